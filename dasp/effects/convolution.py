"""Convolution: an impulse response, measured or learnt, as Pedalboard's."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dasp.atoms.biquad import biquad
from dasp.atoms.convolution import convolve
from dasp.atoms.level import as_controls
from dasp.atoms.precision import as_plugin
from dasp.atoms.ramp import glide
from dasp.effect import Effect
from dasp.param import Param
from gradients import Strategy

GLIDE_SECONDS = 0.05


def convolution(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    mix: float | Tensor = 1.0,
    impulse_response: Tensor | None = None,
    normalise: bool = True,
    state: dict | None = None,
    hop: int = 0,
) -> Tensor:
    """y = mix (h * x) + (1 - mix) x, without latency and as long as the input; the mix glides to new values in 50 ms.

    Args:
        x: mono (B, 1, T) or stereo (B, 2, T).
        sample_rate: in Hz; the impulse response is at the same rate.
        mix: in [0, 1]; number, (B,), (B, 1, 1) or (B, 1, T).
        impulse_response: (B, 1 or 2, L); a mono signal takes its first channel. None: 0.3 s of decaying noise.
        normalise: scale h to 0.125 / sqrt(E), E the energy of its stronger channel, as the plugin does; silence stays.
        state: a dict that carries past input and the glide between blocks.
        hop: samples for which each value is held where controls vary in time.
    """
    (wet,) = as_controls(x, mix)
    h = default_response(sample_rate).to(x.device).expand(len(x), -1, -1) if impulse_response is None else impulse_response
    h = h.double()
    if normalise:
        energy = _energy(h, x.dtype).amax(-1)[:, None, None]
        heard = energy >= 1e-8
        h = h * torch.where(heard, 0.125 / torch.where(heard, energy, 1.0).sqrt(), 1.0)
    wet = wet.to(x.dtype)
    gains = torch.cat([wet, 1 - wet], 1)  # each with a ramp of its own, whose rounding differs
    gains = glide(gains, x.shape[2], math.floor(GLIDE_SECONDS * sample_rate), state, "glide", hop)
    memory = {} if state is None else state
    y, memory["past"] = convolve(x, h[:, : x.shape[1]], memory.get("past"))
    return gains[:, :1] * y + gains[:, 1:] * x


def _energy(h: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, C): the plugin adds up one square after the other in float32, which makes a long response up to 1e-4 too loud."""
    exact = h.square().sum(-1)
    if dtype == torch.float64:
        return exact
    running_sum = h.new_tensor([1.0, 0.0, 0.0, -1.0, 0.0]).reshape(1, 1, 5, 1).expand(len(h), -1, -1, -1)
    return as_plugin(exact, biquad(h.detach().float().square(), running_sum)[0][..., -1])


def default_response(sample_rate: float) -> Tensor:
    """Noise that falls by 60 dB in 0.3 s, always the same, (1, samples) float32."""
    samples, rate = 13230, 44100
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((1, samples), np.float32))
    return resampled(noise * 10 ** (-3 * torch.arange(samples) / samples), rate, sample_rate)


def resampled(h: Tensor, rate: float, to_rate: float) -> Tensor:
    """An impulse response (C, L) at another rate as the plugin does it: linear interpolation, and a second-order Butterworth
    low-pass at half the lower rate, before it on the way down, after it on the way up."""
    step = rate / to_rate
    if step == 1:
        return h
    k = math.tan(math.pi * min(0.5 / step, 0.5 * step))
    scale = 1 / (1 + math.sqrt(2) * k + k * k)
    b = scale * k * k
    row = [b, 2 * b, b, 2 * scale * (k * k - 1), scale * (1 - math.sqrt(2) * k + k * k)]
    sos = torch.tensor(row, dtype=torch.float64).reshape(1, 1, 5, 1)
    h, length = nn.functional.pad(h, (0, 2)), max(1, round(h.shape[1] / step))  # the last value may lie behind the end
    low = biquad(h[None], sos)[0][0] if step > 1 else h
    position = torch.arange(length, dtype=torch.float64) * step
    whole = position.long()
    out = low[:, whole].lerp(low[:, whole + 1], (position - whole).to(h.dtype))
    return out if step > 1 else biquad(out[None], sos)[0][0]


def _plugin(
    *, mix: float, normalise: bool = True, impulse_response: np.ndarray | None = None, sample_rate: float = 44100
) -> list[tuple[str, dict[str, Any]]]:
    if not normalise:
        raise ValueError("Convolution: the plugin always scales its impulse response; normalise=False goes with 'autodiff' only.")
    h = default_response(sample_rate).numpy() if impulse_response is None else impulse_response
    return [("Convolution", {"impulse_response_filename": h, "mix": mix, "sample_rate": sample_rate})]


class Convolution(Effect):
    """Give a signal the sound of a room, a loudspeaker, anything that has an impulse response.

    `impulse_response` is a parameter of the module (learnable) or a buffer; it gets its gradient under every strategy.

    Args:
        sample_rate: in Hz.
        impulse_response: (L,), or (1 or 2, L), shorter than three samples zero-padded; None: 0.3 s of decaying noise.
        impulse_response_rate: its rate in Hz where that is not the effect's; it is then resampled, as the plugin does.
        learnable: whether it is a parameter.
        gradient, proxy: as in Effect.
        normalise: option; False keeps the impulse response's own level, which the plugin cannot.
    """

    controls = (Param("mix", "", 0.0, 1.0, 1.0, doc="0 dry, 1 convolved only"),)
    dsp = staticmethod(convolution)
    plugin = staticmethod(_plugin)
    options = {"normalise": True}
    channels = (1, 2)
    links_channels = True  # no sum, but the second channel's response is another's

    def __init__(
        self,
        sample_rate: float = 44100,
        *,
        impulse_response: Tensor | np.ndarray | None = None,
        impulse_response_rate: float | None = None,
        learnable: bool = True,
        gradient: str | Strategy = "autodiff",
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(sample_rate, gradient=gradient, proxy=proxy, **options)
        h = default_response(self.sample_rate) if impulse_response is None else torch.as_tensor(impulse_response).detach()
        h = h if h.ndim > 1 else h[None]
        if h.ndim != 2 or len(h) not in (1, 2) or h.shape[1] < 1 or not h.is_floating_point():
            raise ValueError(
                f"Convolution: impulse_response must be floats of shape (samples,), (1, samples) or (2, samples); "
                f"got {h.dtype} of {tuple(h.shape)}."
            )
        if impulse_response is not None and impulse_response_rate is not None:
            h = resampled(h, impulse_response_rate, self.sample_rate)
        # Of a square array the plugin cannot tell channels from samples.
        h = nn.functional.pad(h, (0, max(0, len(h) + 1 - h.shape[1])))
        if learnable:
            self.impulse_response = nn.Parameter(h.clone())
        else:
            self.register_buffer("impulse_response", h.clone())

    def extra(self, x: Tensor) -> dict[str, Tensor]:
        return {"impulse_response": self.impulse_response.expand(len(x), -1, -1)}
