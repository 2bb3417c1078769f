"""LadderFilter: a resonant, saturating low-, high- or band-pass, as Pedalboard's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dasp.atoms.ladder import ladder
from dasp.atoms.level import as_controls
from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin
from dasp.atoms.ramp import glide
from dasp.blackbox import pedalboard
from dasp.effect import Effect, nearest
from dasp.param import Param

# The stages' weights, and how much of the input leaves the feedback loop.
MODES: dict[str, tuple[tuple[float, ...], float]] = {
    "LPF12": ((0, 0, 1, 0, 0), 0.5),
    "HPF12": ((1, -2, 1, 0, 0), 0.0),
    "BPF12": ((0, 0, -1, 1, 0), 0.5),
    "LPF24": ((0, 0, 0, 0, 1), 0.5),
    "HPF24": ((1, -4, 6, -4, 1), 0.0),
    "BPF24": ((0, 0, 1, -2, 1), 0.5),
}
_OUTPUT_GAIN = {dtype: torch.tensor(1.2, dtype=dtype).item() for dtype in (torch.float32, torch.float64)}
_RAMP_SECONDS = 0.05


def ladder_filter(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    cutoff_hz: float | Tensor = 200.0,
    resonance: float | Tensor = 0.0,
    drive: float | Tensor = 1.0,
    mode: str = "LPF12",
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """R. A. Moog's transistor ladder as a discrete model that saturates at its input and in its feedback; see `atoms.ladder`.

    a = exp(-2 pi cutoff / fs), r = 0.1 + 0.9 resonance; both glide to a new value over 50 ms. D = drive, D' = 0.96 + 0.04 drive,
    each with its gain G(d) = 0.6103 d^-2.642 + 0.3903.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        cutoff_hz, resonance, drive: numbers, (B,), (B, 1, 1) or (B, 1, T).
        mode: LPF12, HPF12, BPF12, LPF24, HPF24 or BPF24: low-, high- or band-pass of 12 or 24 dB an octave.
        state: a dict that carries the stages and the glides between blocks.
        hop: length of the blocks in which the plugin would get controls that vary in time.

    Raises:
        ValueError: another mode.
    """
    if mode not in MODES:
        raise ValueError(f"LadderFilter: mode is one of {', '.join(MODES)}; got {mode!r}.{nearest(mode, MODES)}")
    weights, leak = MODES[mode]
    frequency, peak, hot = as_controls(x, cutoff_hz, resonance, drive)
    warm = 0.96 + 0.04 * hot
    values = [torch.exp(-2 * math.pi * frequency / sample_rate), 0.1 + 0.9 * peak, hot, _gain(hot), warm, _gain(warm)]
    if x.dtype != torch.float64:
        f, r, d = (t.detach().float() for t in (frequency, peak, hot))
        turn = torch.tensor(-2 * math.pi, dtype=torch.float32).to(f.device) / sample_rate
        d2 = d * 0.04 + 0.96
        rounded = [libm("expf", f * turn), 0.1 + r * (1 - r.new_tensor(0.1)), d, _gain(d), d2, _gain(d2)]
        values = [as_plugin(e, v) for e, v in zip(values, rounded, strict=True)]
    length = max(1, int(_RAMP_SECONDS * sample_rate))
    for i, name in enumerate(("coefficient", "resonance")):
        values[i] = glide(values[i].to(x.dtype), x.shape[2], length, state, name, hop)
    parameters = torch.cat(torch.broadcast_tensors(*(v.double() for v in values)), 1)
    mix = [w * _OUTPUT_GAIN[x.dtype] for w in weights]
    memory = {} if state is None else state
    y, memory["stages"] = ladder(x, parameters, [*mix, leak], memory.get("stages"))
    return y


def _gain(d: Tensor) -> Tensor:
    power = d**-2.642 if d.dtype == torch.float64 else libm("powf", d, d.new_tensor(-2.642))
    return power * 0.6103 + 0.3903


def _plugin(mode: str = "LPF12", **controls: Any) -> list[tuple[str, dict[str, Any]]]:
    return [("LadderFilter", {"mode": getattr(pedalboard().LadderFilter.Mode, mode), **controls})]


class LadderFilter(Effect):
    """Filter with a saturating resonant ladder. Option `mode`: LPF12, HPF12, BPF12, LPF24, HPF24 or BPF24."""

    controls = (
        Param("cutoff_hz", "Hz", 20.0, 20000.0, 200.0, "log", "corner or centre frequency"),
        Param("resonance", "", 0.0, 1.0, 0.0, doc="feedback around the ladder; near 1 it rings at the cutoff"),
        Param("drive", "", 1.0, 20.0, 1.0, "log", "gain into the saturation"),
    )
    dsp = staticmethod(ladder_filter)
    plugin = staticmethod(_plugin)
    options = {"mode": "LPF12"}
