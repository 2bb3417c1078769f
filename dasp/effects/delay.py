"""Delay: echoes, as Pedalboard's; with fractional delays that glide where asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.precision import as_plugin
from dasp.atoms.waveshaper import blend
from dasp.blackbox import Recipe
from dasp.effect import Effect, nearest
from dasp.effects._delays import echoes, gliding
from dasp.param import Param

INTERPOLATIONS = ("none", "linear")
LONGEST_SECONDS = 2.0


def delay(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    delay_seconds: float | Tensor = 0.5,
    feedback: float | Tensor = 0.0,
    mix: float | Tensor = 0.5,
    interpolation: str = "none",
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y = (1 - mix) x + mix out with out[n] = w[n - d] and w = x + feedback out.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        delay_seconds: number, (B,), (B, 1, 1) or (B, 1, T); 0.001 to 2, longer ones too where no state is carried.
        feedback: in [0, 1]; mix: in [0, 1], 0 dry, 1 wet; same shapes.
        interpolation: "none": whole samples as the plugin, d = trunc(delay_seconds fs), jumping to new values; the gradient of
            delay_seconds is then that of linear interpolation at d, a surrogate. Below one sample out is 0, at exactly 0 y is x.
            "linear": fractional, gliding to new values within 32 samples, at least one sample; the gradient is true.
        state: a dict that carries the line between blocks.
        hop: samples for which each value is held where controls vary in time.

    Raises:
        ValueError: another interpolation.
    """
    seconds, fed, wet = as_controls(x, delay_seconds, feedback, mix)
    samples = seconds * sample_rate
    if interpolation == "none":
        # Seconds are the plugin's float32 in both precisions: a delay that is a sample off would be another sound.
        samples = as_plugin(samples, torch.trunc(seconds.detach().float().double() * sample_rate))
        wet = torch.where(seconds == 0, 0.0, wet)
    elif interpolation == "linear":
        samples = gliding(samples, x.shape[2], state, hop)
    else:
        near = nearest(interpolation, INTERPOLATIONS)
        raise ValueError(f"Delay: interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}.{near}")
    dry = 1 - wet if x.dtype == torch.float64 else as_plugin(1 - wet, 1 - wet.detach().float())
    if interpolation == "none":
        wet = torch.where(samples < 1, 0.0, wet)
    out = echoes(x, samples, fed, LONGEST_SECONDS * sample_rate, state)
    return blend(x, out, dry, wet)


def _plugin(delay_seconds: float, feedback: float, mix: float, interpolation: str = "none") -> Recipe:
    if interpolation != "none":
        raise ValueError(
            "Delay: Pedalboard's has whole samples only, so interpolation='linear' runs in the white box alone; "
            "use gradient='autodiff', or interpolation='none'."
        )
    return [("Delay", {"delay_seconds": delay_seconds, "feedback": feedback, "mix": mix})]


class Delay(Effect):
    """Repeat the sound after a while. Option `interpolation`: none (whole samples, as the plugin) or linear (fractional)."""

    controls = (
        Param(
            "delay_seconds",
            "s",
            0.001,
            LONGEST_SECONDS,
            0.5,
            "log",
            "time to the echo",
            surrogate="of the linearly interpolated line; true with interpolation='linear'",
        ),
        Param("feedback", "", 0.0, 0.95, 0.0, doc="level of each echo relative to the one before"),
        Param("mix", "", 0.0, 1.0, 0.5, doc="0 dry, 1 echoes only"),
    )
    dsp = staticmethod(delay)
    plugin = staticmethod(_plugin)
    options = {"interpolation": "none"}
