"""FIRFilter: a finite impulse response whose taps can be learnt."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dasp.atoms.convolution import convolve
from dasp.effect import Effect
from gradients import Strategy

_TAPS = 65


def fir_filter(
    x: Tensor, *, sample_rate: float = 44100, impulse_response: Tensor | None = None, state: dict | None = None
) -> Tensor:
    """y[n] = sum_k h[k] x[n - k], as long as the input.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz; taps are samples, so their meaning goes with it.
        impulse_response: (B, 1, taps), or (B, C, taps) for one a channel; None: `default_taps`.
        state: a dict that carries past input between blocks.
    """
    h = default_taps().to(x.device).expand(len(x), 1, -1) if impulse_response is None else impulse_response
    memory = {} if state is None else state
    y, memory["past"] = convolve(x, h, memory.get("past"))
    return y


def default_taps() -> Tensor:
    """65 taps, a single 1 in their middle: the input, 32 samples late, with room to learn on both sides."""
    return torch.nn.functional.one_hot(torch.tensor([_TAPS // 2]), _TAPS).float()


class FIRFilter(Effect):
    """Filter with taps of your own, or learn them: linear-phase or not, any response that they are long enough for.

    `impulse_response`, (1 or C, taps), is a parameter of the module (or a buffer); it gets its gradient under every strategy.

    Args:
        sample_rate: in Hz.
        impulse_response: floats (taps,), (1, taps) or, one response a channel, (C, taps); None: `default_taps`.
        learnable: whether it is a parameter.
        gradient, proxy: as in Effect.
    """

    controls = ()
    dsp = staticmethod(fir_filter)

    def __init__(
        self,
        sample_rate: float = 44100,
        *,
        impulse_response: Tensor | None = None,
        learnable: bool = True,
        gradient: str | Strategy = "autodiff",
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    ) -> None:
        super().__init__(sample_rate, gradient=gradient, proxy=proxy)
        h = default_taps() if impulse_response is None else torch.as_tensor(impulse_response).detach().clone()
        h = h if h.ndim > 1 else h[None]
        if h.ndim != 2 or 0 in h.shape or not h.is_floating_point():
            raise ValueError(
                f"FIRFilter: impulse_response must be floats of shape (taps,) or (channels, taps); "
                f"got {h.dtype} of {tuple(h.shape)}."
            )
        if learnable:
            self.impulse_response = nn.Parameter(h)
        else:
            self.register_buffer("impulse_response", h)

    def extra(self, x: Tensor) -> dict[str, Tensor]:
        h = self.impulse_response
        if len(h) not in (1, x.shape[1]):
            raise ValueError(
                f"FIRFilter: has responses for {len(h)} channels; got audio with {x.shape[1]}. Give it one for all: (1, taps)."
            )
        return {"impulse_response": h.expand(len(x), -1, -1)}
