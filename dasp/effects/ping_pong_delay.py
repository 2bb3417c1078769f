"""PingPongDelay: echoes that bounce between left and right."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effect import Effect
from dasp.effects._delays import echoes, gliding
from dasp.param import Param

_LONGEST_SECONDS = 2.0


def ping_pong_delay(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    delay_seconds: float | Tensor = 0.3,
    feedback: float | Tensor = 0.5,
    mix: float | Tensor = 0.5,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """Two lines that feed each other (U. Zoelzer ed., "DAFX", 2nd ed. 2011, ch. 2): mono or stereo in, stereo out.

    w_left = mean of x + feedback out_right, w_right = feedback out_left, y = (1 - mix) x + mix out: the first echo is left, the
    second right. Linear interpolation, gliding to new delays within 32 samples; the gradient of the delay is true.

    Args:
        x: audio (B, 1, T) or (B, 2, T).
        sample_rate: in Hz.
        delay_seconds: between two echoes; number, (B,), (B, 1, 1) or (B, 1, T); 0.001 to 2, longer ones too where no state
            is carried.
        feedback: level of each echo relative to the one before; mix: 0 dry, 1 wet; same shapes.
        state: a dict that carries the lines between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    seconds, fed, wet = as_controls(x, delay_seconds, feedback, mix)
    samples = gliding(seconds * sample_rate, x.shape[2], state, hop)
    # Sum and difference of two equal lines that feed each other are two lines that feed themselves, with feedback F and -F.
    feed = x.mean(1, keepdim=True).repeat(2, 1, 1)
    out = echoes(feed, samples.repeat(2, 1, 1), torch.cat([fed, -fed]), _LONGEST_SECONDS * sample_rate, state)
    both, difference = out.chunk(2)
    bounced = torch.cat([both + difference, both - difference], 1) / 2
    return (1 - wet).to(x.dtype) * x + wet.to(x.dtype) * bounced


class PingPongDelay(Effect):
    """Repeat the sound left and right in turn."""

    controls = (
        Param("delay_seconds", "s", 0.001, _LONGEST_SECONDS, 0.3, "log", "time between two echoes", step=1e-4),
        Param("feedback", "", 0.0, 0.95, 0.5, doc="level of each echo relative to the one before"),
        Param("mix", "", 0.0, 1.0, 0.5, doc="0 dry, 1 echoes only"),
    )
    dsp = staticmethod(ping_pong_delay)
    channels = (1, 2)
    links_channels = True

    @classmethod
    def out_channels(cls, channels: int) -> int:
        return 2
