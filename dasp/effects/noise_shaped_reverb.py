"""NoiseShapedReverb: bands of noise that decay, each with a level and a time of its own."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from dasp.atoms.level import as_controls, db_to_gain
from dasp.effect import Effect
from dasp.effects._responses import respond
from dasp.param import Param

BANDS = 12
LOWEST_HZ, OCTAVES = 20.0, math.log2(1000)
_NEPERS = 3 * math.log(10)  # 60 dB


def noise_shaped_reverb(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    band1_gain_db: float | Tensor = 0.0,
    band2_gain_db: float | Tensor = 0.0,
    band3_gain_db: float | Tensor = 0.0,
    band4_gain_db: float | Tensor = 0.0,
    band5_gain_db: float | Tensor = 0.0,
    band6_gain_db: float | Tensor = 0.0,
    band7_gain_db: float | Tensor = 0.0,
    band8_gain_db: float | Tensor = 0.0,
    band9_gain_db: float | Tensor = 0.0,
    band10_gain_db: float | Tensor = 0.0,
    band11_gain_db: float | Tensor = 0.0,
    band12_gain_db: float | Tensor = 0.0,
    band1_decay_s: float | Tensor = 1.0,
    band2_decay_s: float | Tensor = 1.0,
    band3_decay_s: float | Tensor = 1.0,
    band4_decay_s: float | Tensor = 1.0,
    band5_decay_s: float | Tensor = 1.0,
    band6_decay_s: float | Tensor = 1.0,
    band7_decay_s: float | Tensor = 1.0,
    band8_decay_s: float | Tensor = 1.0,
    band9_decay_s: float | Tensor = 1.0,
    band10_decay_s: float | Tensor = 1.0,
    band11_decay_s: float | Tensor = 1.0,
    band12_decay_s: float | Tensor = 1.0,
    mix: float | Tensor = 0.3,
    seconds: float = 2.0,
    seed: int = 0,
    state: dict | None = None,
) -> Tensor:
    """Filtered noise shaping (Steinmetz, Ithapu and Calamia, "Filtered noise shaping for time domain room impulse response
    estimation from reverberant speech", WASPAA 2021): convolution with h[m] = sum_b g_b w_b[m] 10^(-3 m / (fs decay_b)), where
    w_b is one of twelve bands of noise.

    The noise is drawn from `seed` as a spectrum: the same at every rate and every call, and another in each channel. The bands
    share 20 Hz to 20 kHz evenly in octaves and fade into each other so that their sum is white; one that lies above the Nyquist
    frequency is silent, and its controls have no gradient.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        band1_gain_db to band12_decay_s, mix: numbers, (B,), (B, 1, 1) or (B, 1, T); where they vary, the room is a new one every
            64th of `seconds`, into which the old one fades. At 0 dB and 1 s a band is as loud as its input.
        seconds: length of the noise; a decay of that many seconds ends at -60 dB.
        seed: another number, another room.
        state: a dict that carries past input and the way from one room to the next between blocks.
    """
    levels = as_controls(
        x,
        band1_gain_db,
        band2_gain_db,
        band3_gain_db,
        band4_gain_db,
        band5_gain_db,
        band6_gain_db,
        band7_gain_db,
        band8_gain_db,
        band9_gain_db,
        band10_gain_db,
        band11_gain_db,
        band12_gain_db,
    )
    decays = as_controls(
        x,
        band1_decay_s,
        band2_decay_s,
        band3_decay_s,
        band4_decay_s,
        band5_decay_s,
        band6_decay_s,
        band7_decay_s,
        band8_decay_s,
        band9_decay_s,
        band10_decay_s,
        band11_decay_s,
        band12_decay_s,
    )
    (wet,) = as_controls(x, mix)
    bands = _noise(sample_rate, seconds, seed, x.shape[1]).to(x.device)
    if state is None:
        bands = bands[..., : max(x.shape[2], 1)]  # what would sound later is cut off
    time = torch.arange(bands.shape[2], dtype=torch.float64, device=x.device) / sample_rate

    def design(values: Tensor) -> Tensor:
        h = torch.zeros((), dtype=torch.float64, device=x.device)
        for i, band in enumerate(bands.unbind(1)):
            level, decay = values[:, i, None, None], values[:, BANDS + i, None, None]
            h = h + db_to_gain(level, torch.float64) * torch.exp(-_NEPERS / decay * time) * band
        return h

    values = torch.cat(torch.broadcast_tensors(*levels, *decays), 1)
    spacing = max(256, round(seconds * sample_rate) // 64)
    y = respond(x, values, design, spacing, state)
    return x + wet.to(x.dtype) * (y - x)


def _noise(sample_rate: float, seconds: float, seed: int, channels: int) -> Tensor:
    """(channels, bands, samples), float64."""
    return _drawn(sample_rate, seconds, seed, channels)


# What torch.compiler.assume_constant_result sets; that itself would import the compiler, some seconds' work.
_noise._dynamo_marked_constant = True  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=8)
def _drawn(sample_rate: float, seconds: float, seed: int, channels: int) -> Tensor:
    length = max(1, round(seconds * sample_rate))
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    position = np.log2(np.maximum(frequency, 1e-3) / LOWEST_HZ) * BANDS / OCTAVES - 0.5  # b at the middle of band b
    distance = np.abs(np.clip(position, 0, BANDS - 1) - np.arange(BANDS)[:, None])
    share = np.where(distance < 1, np.cos(np.pi / 2 * np.minimum(distance, 1)) ** 2, 0) * (frequency > 0)
    # White noise of this level, decaying in one second, has unit gain on average.
    level = math.sqrt(2 * _NEPERS * seconds)
    phase = [np.random.default_rng([seed, c]).random(len(frequency)) for c in range(channels)]
    return torch.from_numpy(np.fft.irfft(share * level * np.exp(2j * np.pi * np.stack(phase))[:, None], length))


def _edge_hz(band: float) -> float:
    return LOWEST_HZ * 2 ** (OCTAVES * band / BANDS)


class NoiseShapedReverb(Effect):
    """Add a room made of noise, with level and decay in twelve bands. Options: `seconds` of noise, and its `seed`."""

    controls = (
        *(
            Param(f"band{b}_gain_db", "dB", -40.0, 12.0, 0.0, doc=f"level from {_edge_hz(b - 1):.0f} to {_edge_hz(b):.0f} Hz")
            for b in range(1, BANDS + 1)
        ),
        *(
            Param(f"band{b}_decay_s", "s", 0.1, 2.0, 1.0, "log", f"time to fall by 60 dB from {_edge_hz(b - 1):.0f} Hz")
            for b in range(1, BANDS + 1)
        ),
        Param("mix", "", 0.0, 1.0, 0.3, doc="0 dry, 1 reverberation only"),
    )
    dsp = staticmethod(noise_shaped_reverb)
    options = {"seconds": 2.0, "seed": 0}
    links_channels = True  # no sum, but each channel has noise of its own
