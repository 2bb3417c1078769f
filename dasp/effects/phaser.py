"""Phaser: six all-passes whose corner swings, beside the dry signal, as Pedalboard's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.allpass_cascade import allpass_cascade
from dasp.atoms.level import as_controls
from dasp.atoms.lfo import lfo
from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin
from dasp.effect import Effect
from dasp.effects._modulation import glided, mixed, returns, swing
from dasp.param import Param

_STAGES = 6
_TICK = 4  # samples for which the all-passes keep their corner
_LOWEST_HZ = 20.0


def phaser(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    rate_hz: float | Tensor = 1.0,
    depth: float | Tensor = 0.5,
    centre_frequency_hz: float | Tensor = 1300.0,
    feedback: float | Tensor = 0.0,
    mix: float | Tensor = 0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y = (1 - mix) x + mix out; out is six equal first-order all-passes, fed x - feedback out.

    On a log scale on which 20 Hz is 0 and the lower of 20 kHz and 0.49 fs is 1, their corner is the centre plus
    depth / 2 sin(phase - pi), held within 0 and 1, anew every fourth sample. One oscillator for all channels, with the plugin's
    float32 phase. All controls but the centre reach new values in 50 ms.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        rate_hz, depth, centre_frequency_hz, feedback, mix: numbers, (B,), (B, 1, 1) or (B, 1, T).
        state: a dict that carries all-passes, phase and gliding controls between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    controls = as_controls(x, rate_hz, depth, centre_frequency_hz, feedback, mix)
    fed, wet = glided(controls[3], x.shape[2], x.dtype, sample_rate, state, hop, "feedback"), controls[4]
    # Samples since the last tick; the corner of that tick still holds at the start of this block.
    memory = {} if state is None else state
    past = int(memory.get("past", 0))
    first = -past % _TICK
    ticks = max(0, -(-(x.shape[2] - first) // _TICK))
    rate, deep, centre = (v if v.shape[2] == 1 else v[..., first::_TICK] for v in controls[:3])
    way = ticks, x.dtype, sample_rate / _TICK, state, hop // _TICK
    rate, half = glided(rate, *way, "rate"), glided(deep / 2, *way, "depth")
    sine, memory["phase"] = lfo(rate, sample_rate / _TICK, ticks, x.dtype, memory.get("phase"))
    coefficient = _coefficient(sine, half, centre, sample_rate, x.dtype)
    held = memory["held"] if "held" in memory else coefficient.new_zeros(len(x), 1, 1)
    coefficient = torch.cat([held, coefficient], -1)
    memory |= {"held": coefficient[..., -1:].detach(), "past": torch.tensor((past + x.shape[2]) % _TICK)}
    each = coefficient.repeat_interleave(_TICK, -1)[..., _TICK - first : _TICK - first + x.shape[2]]
    out, memory["stages"] = allpass_cascade(x, each, fed, _STAGES, memory.get("stages"))
    return mixed(x, out, wet, sample_rate, state, hop)


def _coefficient(sine: Tensor, half: Tensor, centre: Tensor, sample_rate: float, dtype: torch.dtype) -> Tensor:
    """The all-passes' G = g / (1 + g) with g = tan(pi f / fs), at each tick."""
    highest = min(20000.0, 0.49 * sample_rate)
    octaves = math.log(highest / _LOWEST_HZ)
    place = (sine * half.double() + torch.log(centre / _LOWEST_HZ) / octaves).clamp(0, 1)
    g = torch.tan(math.pi / sample_rate * _LOWEST_HZ * torch.exp(place * octaves))
    exact = g / (1 + g)
    if dtype == torch.float64:
        return exact
    low, high = (libm("log10f", centre.new_tensor(v).float()) for v in (_LOWEST_HZ, highest))
    at = (libm("log10f", centre.float()) - low) / (high - low)
    place = (sine.detach() * half.detach() + at).clamp(0, 1)
    frequency = libm("powf", place.new_tensor(10.0), place * (high - low) + low)
    g = libm("tan", math.pi * frequency.double() / sample_rate).float()
    return as_plugin(exact, g / (1 + g))


class Phaser(Effect):
    """Sweep notches through the spectrum."""

    controls = (
        *swing(0.1, 10.0, 1.0, 0.5),
        Param("centre_frequency_hz", "Hz", 100.0, 6000.0, 1300.0, "log", "about which the notches swing"),
        *returns(),
    )
    dsp = staticmethod(phaser)
    plugin = "Phaser"
    plugin_needs_rate = True
