"""Synthetic music for the tests of the mixing layer: nothing is read from outside."""

import math
from pathlib import Path

import numpy as np
import soundfile
import torch

RATE = 22050


def stem(kind: int, seconds: float = 1.5, rate: int = RATE, channels: int = 1) -> torch.Tensor:
    """(channels, T): hits, a tone with partials, noise bursts, by `kind`; deterministic."""
    generator = torch.Generator().manual_seed(kind)
    t = torch.arange(round(seconds * rate)) / rate
    beat = (t * (2 + kind)) % 1
    envelope = torch.exp(-6 * beat)
    if kind % 3 == 0:
        x = torch.sin(2 * math.pi * (60 + 40 * envelope) * t) * envelope
    elif kind % 3 == 1:
        x = sum(torch.sin(2 * math.pi * f * (110 + 20 * kind) * t) / f for f in range(1, 8)) * envelope.sqrt()
    else:
        x = torch.randn(len(t), generator=generator) * envelope
    x = 0.3 * x / x.abs().max()
    return torch.stack([x, 0.7 * torch.roll(x, 37)])[:channels].float()


def save(path: Path, audio: torch.Tensor, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(audio.T), rate, subtype=subtype)
    return path


def listing(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its content: to prove that nothing was touched."""
    return {str(f.relative_to(folder)): f.read_bytes() if f.is_file() else b"" for f in sorted(folder.rglob("*"))}


def fake_match(tracks, lag: int = 0, master: bool = True, seed: int = 0, gradient="autodiff"):
    """A MatchResult at random controls, without a match."""
    from dasp import Chain, Gain, PeakFilter, Reverb
    from mixing.align import shift
    from mixing.console import Console, Controls
    from mixing.result import ALWAYS_ON, INACTIVE, UNHEARD, MatchResult, strip

    rate, names = tracks.sample_rate, tracks.names[0]
    console = Console(
        strip(("LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor"), rate),
        {"reverb": Reverb(rate)},
        Chain(PeakFilter(rate), Gain(rate)) if master else None,
        gradient=gradient,
    )
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 0.35 + 0.3 * torch.rand(*shape, generator=generator, dtype=torch.float64)

    start = console.defaults(1, len(names))
    controls = Controls(draw(*start.tracks.shape), draw(*start.buses.shape), draw(*start.master.shape))
    lags = [lag] + [0] * (len(names) - 1)
    with torch.no_grad():
        mix = console(shift(tracks, lags), controls)
    physical = mix.controls
    flags = {names[0]: (INACTIVE,), names[1]: (ALWAYS_ON,)}
    if len(names) > 2:
        flags[names[2]] = (UNHEARD,)
    return MatchResult(
        audio=mix.audio[0],
        sample_rate=rate,
        tracks={n: {k: float(v[0, i]) for k, v in physical["tracks"].items()} for i, n in enumerate(names)},
        buses={k: float(v[0]) for k, v in physical["buses"].items()},
        master={k: float(v[0]) for k, v in physical["master"].items()},
        lags=dict(zip(names, lags, strict=True)),
        gain_reduction=dict.fromkeys(names, (-2.5, 0.75)),
        flags=flags,
        metrics={"residual_db": -33.0, "stft_distance": 0.02, "seconds": 3.0, "linear_explains_db": -math.inf},
        history=(
            ("align", 0, 0.0),
            *(("fit", i, 0.1 * 0.97**i) for i in range(80)),
            *(("polish", i, 0.01 * 0.5**i) for i in range(5)),
        ),
        notes=(*tracks.notes, "A note."),
        console=console,
        controls=controls,
    )
