"""Linear networks of delay lines, written down once and run sample by sample, with the exact adjoint of whatever was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dasp.atoms._library import apply, call, native, on_gpu, suffix
from gradients.batching import batched
from gradients.operators import operator

# As in native/network.cpp.
_INPUT, _TAP, _SLIDE, _STEP, _SUM, _DIFF, _SCALED, _WRITE, _OUTPUT, _ALL_PASS = range(10)
_WIDTH = 6


@dataclass
class Network:
    """A program of additions, multiplications and delays that runs once a sample.

    Methods append an instruction; those that give a value return the register in which it stands. Register 0 is always zero. A
    parameter is named by its index in the `params` of `run`.

    >>> comb = Network()
    >>> line = comb.line(100)
    >>> echo = comb.tap(line, 100)
    >>> comb.write(line, comb.scaled(comb.input(0), echo, 0))
    >>> comb.output(0, echo)
    >>> y, state = comb.run(torch.ones(1, 1, 300), torch.full((1, 1, 1), 0.5))
    >>> y[0, 0, [99, 100, 200]]
    tensor([0.0000, 1.0000, 1.5000])
    """

    program: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    registers: int = 1
    outputs: int = 0

    def line(self, size: int) -> int:
        """A delay line of which the last `size` samples can be read."""
        self.sizes.append(size)
        return len(self.sizes) - 1

    def input(self, channel: int) -> int:
        return self._add(_INPUT, 1, channel)

    def tap(self, line: int, offset: int) -> int:
        """The line's value `offset` samples ago, at least 1."""
        return self._add(_TAP, 1, line, offset)

    def slide(self, line: int, param: int) -> int:
        """The line's value a parameter's number of samples ago, in [1, size - 1], interpolated linearly."""
        return self._add(_SLIDE, 2, line, param)

    def step(self, line: int, param: int) -> int:
        """The line's value a parameter's number of whole samples ago, in [1, size - 1]; the number's gradient is the one that
        linear interpolation would have."""
        return self._add(_STEP, 2, line, param)

    def sum(self, a: int, b: int) -> int:
        return self._add(_SUM, 1, a, b)

    def diff(self, a: int, b: int) -> int:
        return self._add(_DIFF, 1, a, b)

    def scaled(self, a: int, b: int, param: int) -> int:
        """a + param b."""
        return self._add(_SCALED, 1, a, b, param)

    def write(self, line: int, value: int) -> None:
        """Append this sample's value to a line."""
        self._add(_WRITE, 0, line, value)

    def output(self, channel: int, value: int) -> None:
        self._add(_OUTPUT, 0, channel, value)
        self.outputs = max(self.outputs, channel + 1)

    def all_pass(self, value: int, line: int, offset: int, param: int) -> int:
        """(p + z^-offset) / (1 + p z^-offset) of a value, |p| < 1, with a line of its own.

        In the form that is a rotation of value and memory at each sample, so that it stays lossless while p moves; the line holds
        sqrt(1 - p^2) times what the direct form's would.
        """
        return self._add(_ALL_PASS, 2, value, line, offset, param)

    def one_pole(self, value: int, keep: int, new: int) -> int:
        """s = keep s' + new value, with two parameters and a line of its own."""
        line = self.line(1)
        out = self.scaled(self.scaled(0, self.tap(line, 1), keep), value, new)
        self.write(line, out)
        return out

    def run(self, x: Tensor, params: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the program over a signal.

        Float32 in float32; the backward pass is the exact adjoint in double, with registers recomputed by blocks. Second
        derivatives are refused.

        Args:
            x: (B, inputs, T).
            params: (B, P, 1 or T), float64.
            state: (B, M), the lines after an earlier call, or None for silence; no gradient flows into it.

        Returns:
            (B, outputs, T) and the state after it.
        """
        if params.ndim != 3 or params.shape[0] != len(x) or params.shape[2] not in (1, x.shape[2]):
            raise ValueError(
                f"network: params must be ({len(x)}, P, 1 or {x.shape[2]}) for audio {tuple(x.shape)}; got {tuple(params.shape)}."
            )
        if state is None:
            state = x.new_zeros(len(x), sum(self.sizes))
        if not native(x):
            return network_reference(x, params, state, self)
        return apply(_Network, x, params.double(), state, self.program, self.sizes, self.registers, self.outputs)

    def _add(self, op: int, values: int, *operands: int) -> int:
        self.program += [op, self.registers, *operands, *[0] * (_WIDTH - 2 - len(operands))]
        self.registers += values
        return self.registers - values


def network_reference(x: Tensor, params: Tensor, state: Tensor, network: Network) -> tuple[Tensor, Tensor]:
    """The program in plain torch, one sample after the other: the oracle, and the fallback."""
    code, sizes, zero = network.program, network.sizes, x.new_zeros(len(x))
    instructions = [code[i : i + _WIDTH] for i in range(0, len(code), _WIDTH)]
    lines = [list(part.unbind(1)) for part in state.split(sizes, 1)]
    params = params.double().expand(-1, -1, x.shape[2])
    out: list[list[Tensor]] = [[] for _ in range(network.outputs)]
    for n in range(x.shape[2]):
        r, p, written = {0: zero}, params[..., n], {}
        gains = p.to(x.dtype)
        for op, dst, a, b, c, d in instructions:
            if op == _INPUT:
                r[dst] = x[:, a, n]
            elif op == _TAP:
                r[dst] = lines[a][-b]
            elif op in (_SLIDE, _STEP):
                r[dst] = _delayed(lines[a][-sizes[a] :], p[:, b], op == _STEP)
            elif op == _SUM:
                r[dst] = r[a] + r[b]
            elif op == _DIFF:
                r[dst] = r[a] - r[b]
            elif op == _SCALED:
                r[dst] = r[a] + gains[:, c] * r[b]
            elif op == _WRITE:
                written[a] = r[b]
            elif op == _OUTPUT:
                out[a].append(r[b])
            else:
                t, gain = lines[b][-c], gains[:, d]
                turned = (1 - gain * gain).sqrt()
                written[b] = turned * r[a] - gain * t
                r[dst] = gain * r[a] + turned * t
        for line, value in written.items():
            lines[line].append(value)
    y = torch.stack([torch.stack(channel, -1) for channel in out], 1) if x.shape[2] else x.new_zeros(len(x), network.outputs, 0)
    return y, torch.cat([torch.stack(line[-size:], 1) for line, size in zip(lines, sizes, strict=True)], 1).detach()


def _delayed(line: list[Tensor], delay: Tensor, rounded: bool) -> Tensor:
    size, newest_first = len(line), torch.stack(line[::-1], 1)
    held = delay.clamp(1, size - 1)
    whole = held.detach().round() if rounded else held.detach().floor().clamp_max(size - 2)
    near, far = (newest_first.gather(1, (whole.long() - 1 + i)[:, None])[:, 0] for i in (0, 1))
    slope = far - near
    part = held - (held.detach() if rounded else whole)
    return near + part.to(near.dtype) * (slope.detach() if rounded else slope)


@operator("dasp::network")
def _forward(
    x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int, outputs: int
) -> tuple[Tensor, Tensor]:
    x, params, state = x.contiguous(), params.contiguous(), state.clone(memory_format=torch.contiguous_format)
    y = x.new_empty(x.shape[0], outputs, x.shape[2])
    call(f"network_{suffix(x)}", x, params, y, state, *_described(x, params, program, sizes, registers, outputs))
    return y, state


@_forward.register_fake
def _(
    x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int, outputs: int
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], outputs, x.shape[2]), state.new_empty(state.shape)


@operator("dasp::network_backward")
def _backward(
    g: Tensor, x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int
) -> tuple[Tensor, Tensor]:
    g, x, params, state = (t.contiguous() for t in (g, x, params, state))
    gx, gp = torch.zeros_like(x, dtype=torch.float64), torch.zeros_like(params)
    call(
        f"network_backward_{suffix(x)}",
        g,
        x,
        params,
        state,
        gx,
        gp,
        *_described(x, params, program, sizes, registers, g.shape[1]),
    )
    return gx.to(x.dtype), gp


@_backward.register_fake
def _(
    g: Tensor, x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), params.new_empty(params.shape)


def _described(
    x: Tensor, params: Tensor, program: list[int], sizes: list[int], registers: int, outputs: int
) -> list[Tensor | int]:
    """The arguments that both kernels end with."""
    code, lengths = torch.tensor(program, dtype=torch.int64), torch.tensor(sizes, dtype=torch.int64)
    batch, inputs, samples = x.shape
    return [code, len(program) // _WIDTH, lengths, len(sizes), registers, batch, inputs, outputs, samples, *params.shape[1:]]


_forward.register_vmap(batched(_forward))
_backward.register_vmap(batched(_backward))
on_gpu("network", forward=_forward, backward=_backward)


class _Network(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, params: Tensor, state: Tensor, program: list[int], sizes: list[int], registers: int, outputs: int
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, params, state, program, sizes, registers, outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        x, params, state, ctx.program, ctx.sizes, ctx.registers, _ = inputs
        ctx.save_for_backward(x, params, state)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        return *_backward(g, *ctx.saved_tensors, ctx.program, ctx.sizes, ctx.registers), *[None] * 5
