"""The sine of modulation effects, with the plugins' float32 phase and its exact derivative; and a delay that swings with it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, compiled, native, on_gpu, suffix
from dasp.atoms.libm import libm
from dasp.atoms.memory import in_huge_pages
from dasp.atoms.precision import as_plugin
from gradients.batching import batched
from gradients.operators import operator


def lfo(
    rate_hz: Tensor, sample_rate: float, samples: int, dtype: torch.dtype, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """sin(phase - pi) with a phase that starts at 0 and grows by 2 pi rate / fs a sample.

    For float32 audio the phase is accumulated in float32, as in the plugins: its rounding changes the rate by 4e-4 at 1 Hz. The
    derivative is that of the true phase, d phase[n] / d rate = 2 pi n / fs. Second derivatives are refused.

    Args:
        rate_hz: (B, 1, K), K = 1 or `samples`; the values of a float32 tensor for the plugins' sound.
        sample_rate: in Hz.
        samples: T, how many values.
        dtype: of the audio.
        state: phase (B, 1, 1) from an earlier call, or None for 0.

    Returns:
        (B, 1, T) in the audio's dtype, and the state after it.
    """
    step, state = _started(rate_hz, sample_rate, dtype, state)
    if not compiled(step):
        return lfo_reference(step, state, samples)
    return apply(_Lfo, step, state, samples)


def swinging_delay(
    rate_hz: Tensor,
    depth: Tensor,
    centre_ms: Tensor,
    sample_rate: float,
    samples: int,
    dtype: torch.dtype,
    state: Tensor | None = None,
    *,
    scale: float = 1.0,
    low_ms: float = 0.0,
    high: float = math.inf,
) -> tuple[Tensor, Tensor]:
    """min(high, max(low_ms, scale depth sine + centre_ms) fs / 1000) samples, with the sine of `lfo`.

    Float32 for float32 audio, in the plugins' order of operations. Second derivatives are refused.

    Args:
        rate_hz, sample_rate, samples, dtype, state: as for `lfo`.
        depth, centre_ms: (B, 1, K), K = 1 or `samples`.
        scale: milliseconds of a depth of 1.
        low_ms, high: what the delay is held within; in ms, and in samples.

    Returns:
        (B, 1, T) in float64, and the state after it.
    """
    step, state = _started(rate_hz, sample_rate, dtype, state)
    limits = (samples, scale, low_ms, sample_rate, high)
    if not compiled(step):
        return swinging_delay_reference(step, depth, centre_ms, state, *limits)
    return apply(_Swing, step, depth, centre_ms, state, *limits)


def _started(rate_hz: Tensor, sample_rate: float, dtype: torch.dtype, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """The phase's step a sample, float64 with the plugins' float32 values for float32 audio; and the phase."""
    if state is None:
        state = torch.zeros(rate_hz.shape[0], 1, 1, dtype=dtype, device=rate_hz.device)
    step = 2 * math.pi / sample_rate * rate_hz.double()
    if dtype == torch.float64:
        return step, state
    turn = torch.tensor(2 * math.pi, dtype=torch.float32).div(sample_rate).to(rate_hz.device)
    return as_plugin(step, rate_hz.detach().float() * turn), state


def lfo_reference(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The same, from the phase's steps (B, 1, K), in torch but for a kernel of the phase: the oracle, and the fallback."""
    phase = torch.cat([state.double(), step.expand(-1, -1, samples)], -1).cumsum(-1)
    phase, after = phase[..., :-1], phase[..., -1:].detach()
    if state.dtype == torch.float64:
        return torch.sin(phase - math.pi), after
    run = _phase if native(step) else lfo_phase_reference
    rounded, after = run(step.detach().float(), state, samples)
    half = torch.tensor(math.pi, dtype=torch.float32, device=step.device)
    return as_plugin(torch.sin(as_plugin(phase, rounded) - math.pi), libm("sinf", rounded - half)).float(), after


def swinging_delay_reference(
    step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, samples: int, scale: float, low: float, rate: float, high: float
) -> tuple[Tensor, Tensor]:
    """The same in plain torch: the oracle, and the fallback."""
    sine, after = lfo_reference(step, state, samples)
    ms = (sine * depth.to(sine.dtype) * scale + centre.to(sine.dtype)).clamp_min(low)
    return (ms.double() * rate / 1000).clamp_max(high).to(sine.dtype).double(), after


@operator("dasp::lfo")
def _sine(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    step, state = step.to(state.dtype).contiguous(), state.clone(memory_format=torch.contiguous_format)
    sine = in_huge_pages(step.new_empty(*step.shape[:2], samples))
    call(f"lfo_{suffix(state)}", step, sine, state, len(step), samples, step.shape[2])
    return sine, state


@_sine.register_fake
def _(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    return state.new_empty(*step.shape[:2], samples), state.new_empty(state.shape)


@operator("dasp::lfo_backward")
def _sine_backward(g: Tensor, step: Tensor, state: Tensor, samples: int) -> Tensor:
    g, step, state = g.double().contiguous(), step.to(state.dtype).contiguous(), state.contiguous()
    to_step = torch.zeros(step.shape, dtype=torch.float64)
    call(f"lfo_backward_{suffix(state)}", g, step, state, to_step, len(step), samples, step.shape[2])
    return to_step


@_sine_backward.register_fake
def _(g: Tensor, step: Tensor, state: Tensor, samples: int) -> Tensor:
    return step.new_empty(step.shape, dtype=torch.float64)


@operator("dasp::lfo_swing")
def _swing(
    step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, samples: int, scale: float, low: float, rate: float, high: float
) -> tuple[Tensor, Tensor]:
    step, depth, centre = (v.to(state.dtype).contiguous() for v in (step, depth, centre))
    state = state.clone(memory_format=torch.contiguous_format)
    limits = torch.tensor([scale, low, rate, high], dtype=torch.float64)
    delay = in_huge_pages(limits.new_empty(*step.shape[:2], samples))
    sizes = (len(step), samples, step.shape[2], depth.shape[2], centre.shape[2])
    call(f"lfo_swing_{suffix(state)}", step, depth, centre, limits, delay, state, *sizes)
    return delay, state


@_swing.register_fake
def _(
    step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, samples: int, scale: float, low: float, rate: float, high: float
) -> tuple[Tensor, Tensor]:
    return step.new_empty(*step.shape[:2], samples, dtype=torch.float64), state.new_empty(state.shape)


@operator("dasp::lfo_swing_backward")
def _swing_backward(
    g: Tensor, step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, scale: float, low: float, rate: float, high: float
) -> tuple[Tensor, Tensor, Tensor]:
    g, state = g.contiguous(), state.contiguous()
    step, depth, centre = (v.to(state.dtype).contiguous() for v in (step, depth, centre))
    limits = torch.tensor([scale, low, rate, high], dtype=torch.float64)
    to = [torch.zeros(v.shape, dtype=torch.float64) for v in (step, depth, centre)]
    sizes = (len(step), g.shape[2], step.shape[2], depth.shape[2], centre.shape[2])
    call(f"lfo_swing_backward_{suffix(state)}", g, step, depth, centre, limits, state, *to, *sizes)
    return to[0], to[1], to[2]


@_swing_backward.register_fake
def _(
    g: Tensor, step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, scale: float, low: float, rate: float, high: float
) -> tuple[Tensor, Tensor, Tensor]:
    to_step, to_depth, to_centre = (v.new_empty(v.shape, dtype=torch.float64) for v in (step, depth, centre))
    return to_step, to_depth, to_centre


for _op in (_sine, _sine_backward, _swing, _swing_backward):
    _op.register_vmap(batched(_op))


class _Lfo(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(step: Tensor, state: Tensor, samples: int) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return _sine(step, state, samples)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.samples = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _sine_backward(g, *ctx.saved_tensors, ctx.samples), None, None


class _Swing(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        step: Tensor, depth: Tensor, centre: Tensor, state: Tensor, *limits: float
    ) -> tuple[Tensor, Tensor]:
        return _swing(step, depth, centre, state, *limits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.limits = inputs[5:]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        tensors = ctx.saved_tensors
        to = _swing_backward(g, *tensors, *ctx.limits)
        return *(v.to(t.dtype) for v, t in zip(to, tensors, strict=False)), *(None,) * 6


@operator("dasp::lfo_phase")
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
