"""Allpass: echoes that leave every magnitude as it is."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effect import Effect
from dasp.effects._delays import echoes, gliding
from dasp.param import Param

_LONGEST_MS = 100.0


def allpass(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    delay_ms: float | Tensor = 10.0,
    gain: float | Tensor = 0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y[n] = -gain x[n] + x[n - d] + gain y[n - d]: dense echoes, no colour.

    M. R. Schroeder, "Natural sounding artificial reverberation", J. Audio Eng. Soc. 10 (1962). Between samples the line is read
    by Thiran's all-pass, so the magnitude is flat at every delay, and the gradient of the delay is true; where its whole part
    changes (half samples) there is a small step, and a gliding delay ticks faintly. New delays are reached in 32 samples.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        delay_ms: number, (B,), (B, 1, 1) or (B, 1, T); 0.5 to 100, longer ones too where no state is carried;
            at least 1.5 samples.
        gain: between -1 and 1; same shapes.
        state: a dict that carries the line between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    ms, level = as_controls(x, delay_ms, gain)
    samples = gliding(ms * (sample_rate / 1000), x.shape[2], state, hop)
    out = echoes(x, samples, level, _LONGEST_MS * sample_rate / 1000, state, thiran=True)
    # With w = x + g out in the line, y = -g w + out.
    return (1 - level * level).to(x.dtype) * out - level.to(x.dtype) * x


class Allpass(Effect):
    """Smear a sound in time and leave its spectrum: Schroeder's all-pass."""

    controls = (
        Param("delay_ms", "ms", 0.5, _LONGEST_MS, 10.0, "log", "time between two echoes", step=1e-4),
        Param("gain", "", -0.95, 0.95, 0.5, doc="level of each echo relative to the one before"),
    )
    dsp = staticmethod(allpass)
