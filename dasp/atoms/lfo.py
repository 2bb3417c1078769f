"""The sine of modulation effects, with the plugins' float32 phase and its exact derivative."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms._library import call, native, on_gpu
from dasp.atoms.libm import libm
from dasp.atoms.precision import as_plugin
from gradients.batching import batched


def lfo(
    rate_hz: Tensor, sample_rate: float, samples: int, dtype: torch.dtype, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """sin(phase - pi) with a phase that starts at 0 and grows by 2 pi rate / fs a sample.

    For float32 audio the phase is accumulated in float32, as in the plugins: its rounding changes the rate by 4e-4 at 1 Hz. The
    derivative is that of the true phase, d phase[n] / d rate = 2 pi n / fs.

    Args:
        rate_hz: (B, 1, K), K = 1 or `samples`; the values of a float32 tensor for the plugins' sound.
        sample_rate: in Hz.
        samples: T, how many values.
        dtype: of the audio.
        state: phase (B, 1, 1) from an earlier call, or None for 0.

    Returns:
        (B, 1, T) in float64, with float32 values for float32 audio; and the state after it.
    """
    if state is None:
        state = torch.zeros(rate_hz.shape[0], 1, 1, dtype=dtype, device=rate_hz.device)
    steps = (2 * math.pi / sample_rate * rate_hz.double()).expand(-1, -1, samples)
    phase = torch.cat([state.double(), steps], -1).cumsum(-1)
    phase, after = phase[..., :-1], phase[..., -1:].detach()
    if dtype == torch.float64:
        return torch.sin(phase - math.pi), after
    step = rate_hz.detach().float() * torch.tensor(2 * math.pi, dtype=torch.float32).div(sample_rate).to(rate_hz.device)
    run = _phase if native(step) else lfo_phase_reference
    rounded, after = run(step, state, samples)
    half = torch.tensor(math.pi, dtype=torch.float32, device=step.device)
    return as_plugin(torch.sin(as_plugin(phase, rounded) - math.pi), libm("sinf", rounded - half)), after


@torch.library.custom_op("dasp::lfo_phase", mutates_args=(), device_types="cpu")
def _phase(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    step, state = step.contiguous(), state.clone(memory_format=torch.contiguous_format)
    phase = step.new_empty(*step.shape[:2], samples)
    call("lfo_phase", step, phase, state, step.shape[0] * step.shape[1], samples, step.shape[2])
    return phase, state


@_phase.register_fake
def _(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    return step.new_empty(*step.shape[:2], samples), state.new_empty(state.shape)


_phase.register_vmap(batched(_phase))
on_gpu("lfo", phase=_phase)


def lfo_phase_reference(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The float32 phase in plain torch: the oracle, and the fallback."""
    turn = torch.tensor(2 * math.pi, dtype=torch.float32, device=step.device)
    now, phases = state, [state[..., :0]]
    for n in range(samples):
        phases.append(now)
        now = now + step[..., n : n + 1] if step.shape[2] > 1 else now + step
        now = torch.where(now >= turn, now - turn, now)
    return torch.cat(phases, -1), now
