"""A channel strip and a training step: equaliser, compressor, pan and reverb on eight tracks, their sum, the loss, the
gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks import loss as losses
from benchmarks.contest import (
    BOTH,
    RATE,
    Contender,
    Contest,
    Controls,
    Missing,
    Outcome,
    Setup,
    Size,
    Work,
    by_autodiff,
    compete,
    differentiable,
    peer,
)
from benchmarks.equalizer import renamed as equaliser_names
from benchmarks.results import Aim, Group, find, ratio
from dasp import Compressor, Effect, NoiseShapedReverb, Panner, ParametricEQ, Reverb

TRACKS = Size("8 tracks x 6 s", 8, 1, 6 * RATE)
SHORT = Size("1 track x 1 s", 1, 1, RATE)
QUICK = Size("2 tracks x 4096", 2, 1, 4096)
LOSS = losses.SETTINGS["auraloss's defaults"]
TAPS, BANDPASS = 65536, 1023  # dasp-pytorch's defaults


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Noise for tracks and for the mix to be met; controls in [0, 1], those of the reverb enough for either kind."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(*size.shape, generator=generator)
    target = 0.3 * torch.randn(1, 2, size.samples, generator=generator)
    widths = {"eq": len(ParametricEQ.controls), "compressor": 4, "pan": 1, "reverb": len(NoiseShapedReverb.controls)}
    controls = {k: 0.2 + 0.6 * torch.rand(size.batch, n, generator=generator) for k, n in widths.items()}
    return x, {k: v.double().requires_grad_() for k, v in controls.items()} | {"target": target}


def _strip(x: Tensor, room: Effect, eq: Tensor, compressor: Tensor, pan: Tensor, reverb: Tensor) -> Tensor:
    y = Panner(RATE)(Compressor(RATE)(ParametricEQ(RATE)(x, eq), compressor), pan)
    return room(y, reverb[:, : len(room.controls)]).sum(0, keepdim=True)


def _dasp(room: Effect, x: Tensor, controls: Controls) -> Work:
    try:
        loss = losses.ours(**LOSS)
    except Missing:
        loss = losses.theirs(**LOSS)
    return differentiable(lambda x, target, **c: loss(_strip(x, room, **c), target), x, controls)


def freeverb(x: Tensor, controls: Controls) -> Work:
    return _dasp(Reverb(RATE), x, controls)


def noise_shaped(x: Tensor, controls: Controls) -> Work:
    return _dasp(NoiseShapedReverb(RATE, seconds=TAPS / RATE), x, controls)


def _true(room: Effect, x: Tensor, target: Tensor, **controls: Tensor) -> Tensor:
    """The same in float64."""
    loss = losses.theirs(**LOSS)
    for one in loss.stft_losses:  # type: ignore[attr-defined]
        one.window = one.window.double()
    return loss(_strip(x, room, **controls), target)


true_freeverb = by_autodiff(lambda x, **c: _true(Reverb(RATE), x, **c))
true_noise_shaped = by_autodiff(lambda x, **c: _true(NoiseShapedReverb(RATE, seconds=TAPS / RATE), x, **c))


def _dry(x: Tensor, eq: Tensor, compressor: Tensor, pan: Tensor) -> Tensor:
    """dasp-pytorch's effects up to the panner, in our controls' ranges: (tracks, 2, T)."""
    functional = peer("dasp_pytorch").functional
    zero = torch.zeros(len(x))
    bands = {equaliser_names[k]: v.float() for k, v in ParametricEQ(RATE).physical(eq).items()}
    times = {k: v.float() for k, v in Compressor(RATE).physical(compressor).items()}
    y = functional.parametric_eq(x, RATE, **bands)
    y = functional.compressor(y, RATE, **times, knee_db=zero + 1e-3, makeup_gain_db=zero)
    return functional.stereo_panner(y, RATE, pan.float()).squeeze(2)


def published(x: Tensor, controls: Controls) -> Work:
    """dasp-pytorch as it is: its reverb convolves directly and draws new noise at every call."""
    room, loss = peer("dasp_pytorch").functional.noise_shaped_reverberation, losses.theirs(**LOSS)

    def fn(x: Tensor, target: Tensor, eq: Tensor, compressor: Tensor, pan: Tensor, reverb: Tensor) -> Tensor:
        r = reverb.float()
        bands = {f"band{b}_gain": r[:, b : b + 1] for b in range(12)} | {
            f"band{b}_decay": r[:, 12 + b : 13 + b] for b in range(12)
        }
        return loss(room(_dry(x, eq, compressor, pan), RATE, **bands, mix=r[:, 24:]).sum(0, keepdim=True), target)

    return differentiable(fn, x, controls)


def by_fft(x: Tensor, controls: Controls) -> Work:
    """dasp-pytorch's effects, its reverb in the best form we know: the filtered noise made once, the convolution by FFT."""
    filters, loss = peer("dasp_pytorch.signal").octave_band_filterbank(BANDPASS, RATE), losses.theirs(**LOSS)
    fftconvolve = peer("torchaudio").functional.fftconvolve
    noise = torch.randn(2, len(filters), TAPS + BANDPASS - 1, generator=torch.Generator().manual_seed(0))
    shaped = fftconvolve(noise, filters.flip(-1)[:, 0].expand(2, -1, -1), mode="valid")
    time = torch.linspace(0, 1, TAPS)

    def fn(x: Tensor, target: Tensor, eq: Tensor, compressor: Tensor, pan: Tensor, reverb: Tensor) -> Tensor:
        y, r = _dry(x, eq, compressor, pan), reverb.float()[:, None, :, None]
        envelope = torch.exp(-(10 * r[:, :, 12:24] + 1) * time) * r[:, :, :12]
        response = (shaped * envelope).mean(2)
        wet = fftconvolve(y, response)[..., : y.shape[-1]]
        return loss((y + r[:, :, 24] * (wet - y)).sum(0, keepdim=True), target)

    return differentiable(fn, x, controls)


OURS, ALIKE = "dasp, Freeverb", "dasp, noise-shaped reverb"
THEIRS, AS_IS = "dasp-pytorch + auraloss, reverb by FFT", "dasp-pytorch + auraloss, as published"
CONTENDERS = (
    Contender(OURS, freeverb, ("auraloss.freq",), oracle=true_freeverb),
    Contender(ALIKE, noise_shaped, ("auraloss.freq",), "dasp-pytorch's kind of reverb", true_noise_shaped),
    Contender(THEIRS, by_fft, ("dasp_pytorch", "torchaudio", "auraloss.freq"), "no truth: a design of its own"),
    Contender(AS_IS, published, ("dasp_pytorch", "auraloss.freq"), "no truth: noise drawn anew"),
)
CONTESTS = {"": Contest(case, CONTENDERS[:3], None), "short": Contest(case, CONTENDERS, None, "short")}


def run(setup: Setup) -> Group:
    out = Outcome()
    if setup.quick:
        out.add(compete(CONTESTS[""], QUICK, BOTH, setup))
        return Group(TITLE, ABOUT, tuple(out.rows), (), tuple(out.notes))
    out.add(compete(CONTESTS[""], TRACKS, BOTH, setup, group="strip", measure_memory=True))
    out.add(compete(CONTESTS["short"], SHORT, BOTH, setup, group="strip", measure_memory=True))
    if not hasattr(peer("mixing.loss"), "MultiResolutionSTFTLoss"):
        out.notes.append("dasp's strips end in auraloss: this version has no loss of its own")
    return Group(TITLE, ABOUT, tuple(out.rows), tuple(aims(out)), tuple(out.notes))


def aims(out: Outcome) -> list[Aim]:
    found = []
    theirs = find(out.rows, THEIRS, TRACKS.name, BOTH)
    for name in (OURS, ALIKE):
        mine = find(out.rows, name, TRACKS.name, BOTH)
        share = None
        if mine and theirs and mine.memory is not None and theirs.memory:
            share = mine.memory / theirs.memory
        found.append(
            Aim(f"strip + loss step, 8 tracks x 6 s ({name}): faster than {THEIRS}", ratio(theirs, mine), 5, False, " x")
        )
        found.append(Aim(f"strip + loss step, 8 tracks x 6 s ({name}): peak memory over theirs", share, 0.1, True, " x"))
    for name in (OURS, ALIKE):
        times = ratio(find(out.rows, AS_IS, SHORT.name, BOTH), find(out.rows, name, SHORT.name, BOTH))
        found.append(Aim(f"strip + loss step, 1 track x 1 s ({name}): faster than {AS_IS}", times, 5, False, " x"))
    return found


TITLE = "A channel strip and a training step"
ABOUT = """Equaliser, compressor, pan, reverb on each track, the sum of the tracks, the multi-resolution STFT loss to a stereo
target, and the gradients to all tracks and controls. dasp-pytorch's reverb convolves 65536 taps directly, which at the full
size takes minutes; there it runs with its noise filtered once and an FFT instead, and as published on one track of one second.
*Output* is that of the loss, against the same strip in float64; dasp-pytorch's own errors are in the groups of the single
effects. The gradient to the audio is as far off as the loss makes it: its logarithms of nearly empty bins of noise turn the
rounding of float32 effects, the plugin's own, into tenths of the gradient, in auraloss in float64 too."""
