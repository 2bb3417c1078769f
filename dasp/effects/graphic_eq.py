"""GraphicEQ: ten octave bands, linear phase."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.convolution import fast_length
from dasp.atoms.level import as_controls
from dasp.effect import Effect
from dasp.effects._responses import respond
from dasp.param import Param

_SPACING = 256  # samples between two designs where gains vary in time
# Octave bands of ISO 266.
CENTRES_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)


def graphic_eq(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    band_31_5_hz_gain_db: float | Tensor = 0.0,
    band_63_hz_gain_db: float | Tensor = 0.0,
    band_125_hz_gain_db: float | Tensor = 0.0,
    band_250_hz_gain_db: float | Tensor = 0.0,
    band_500_hz_gain_db: float | Tensor = 0.0,
    band_1000_hz_gain_db: float | Tensor = 0.0,
    band_2000_hz_gain_db: float | Tensor = 0.0,
    band_4000_hz_gain_db: float | Tensor = 0.0,
    band_8000_hz_gain_db: float | Tensor = 0.0,
    band_16000_hz_gain_db: float | Tensor = 0.0,
    delay_ms: float = 50.0,
    state: dict | None = None,
) -> Tensor:
    """A symmetric FIR filter through the bands' gains: no phase is turned, all of the sound comes `delay_ms` late.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; bands above half of it do nothing.
        band_31_5_hz_gain_db to band_16000_hz_gain_db: gain at the bands' centres; numbers, (B,), (B, 1, 1) or
            (B, 1, T), which are read every 256 samples.
        delay_ms: half the filter's length, (taps - 1) / 2 samples: how late the output is, and how finely low bands are told
            apart. With 50 ms every centre is within 0.8 dB of its gain whatever the others' are, above 31.5 Hz within 0.4 dB,
            from 250 Hz on within 0.05 dB; with 100 ms within 0.1 dB.
        state: a dict that carries past input and the way from one design to the next between blocks.
    """
    gains = as_controls(
        x,
        band_31_5_hz_gain_db,
        band_63_hz_gain_db,
        band_125_hz_gain_db,
        band_250_hz_gain_db,
        band_500_hz_gain_db,
        band_1000_hz_gain_db,
        band_2000_hz_gain_db,
        band_4000_hz_gain_db,
        band_8000_hz_gain_db,
        band_16000_hz_gain_db,
    )
    values = torch.cat(torch.broadcast_tensors(*gains), 1)
    return respond(x, values, lambda v: design(v, sample_rate, delay_ms)[:, None], _SPACING, state)


def design(gains_db: Tensor, sample_rate: float, delay_ms: float) -> Tensor:
    """Gains (B, 10) -> symmetric taps (B, 2 delay + 1), by sampling the response in frequency (L. Rabiner, B. Gold, C. McGonegal,
    IEEE Trans. Audio Electroacoust. 18(2), 1970).

    Between centres the decibels follow a raised cosine over log frequency, beyond the outermost they stay. A curve without
    kinks has a response that dies away by itself, so that the window (Kaiser, beta = 1) has little to cut.
    """
    delay = round(delay_ms * sample_rate / 1000)
    size = fast_length(4 * (2 * delay + 1))
    frequency = torch.arange(size // 2 + 1, dtype=torch.float64, device=gains_db.device) * (sample_rate / size)
    octave = torch.log2(frequency.clamp(CENTRES_HZ[0], CENTRES_HZ[-1])) - math.log2(CENTRES_HZ[0])
    # The nominal centres are not exact octaves: each interval is measured by its own ends.
    edges = torch.tensor(CENTRES_HZ, dtype=torch.float64, device=gains_db.device).log2() - math.log2(CENTRES_HZ[0])
    band = torch.searchsorted(edges, octave, right=True).clamp(1, len(CENTRES_HZ) - 1) - 1
    way = (octave - edges[band]) / (edges[band + 1] - edges[band])
    way = (1 - torch.cos(math.pi * way)) / 2
    decibels = gains_db[:, band] * (1 - way) + gains_db[:, band + 1] * way
    half = torch.fft.irfft((10 ** (decibels / 20)).to(torch.complex128), size)[:, : delay + 1]
    window = torch.kaiser_window(2 * delay + 1, periodic=False, beta=1.0, dtype=torch.float64, device=gains_db.device)
    return torch.cat([half[:, 1:].flip(1), half], 1) * window


class GraphicEQ(Effect):
    """Shape the spectrum in ten octave bands without turning phases; the output is late by the option `delay_ms`."""

    controls = tuple(
        Param(f"band_{hz:g}_hz_gain_db".replace(".", "_"), "dB", -12.0, 12.0, 0.0, doc=f"gain at {hz:g} Hz") for hz in CENTRES_HZ
    )
    dsp = staticmethod(graphic_eq)
    options = {"delay_ms": 50.0}
