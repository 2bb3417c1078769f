"""The multi-resolution STFT loss (Yamamoto et al. 2019), block by block of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from dasp.atoms.spectral import Slope, compare, frame_count, magnitudes
from gradients.operators import operator

WINDOWS = ("hann_window", "bartlett_window", "blackman_window", "hamming_window", "kaiser_window", "sqrt_hann_window")


@dataclass(frozen=True)
class Target:
    """A target and its magnitude spectra, from `MultiResolutionSTFTLoss.prepare`: for that loss's settings alone."""

    audio: Tensor  # (B, C, T)
    magnitudes: tuple[Tensor, ...]  # one for each resolution, in the kernel's order


class Terms(NamedTuple):
    """A loss and what it is made of, a value for each resolution, unweighted."""

    loss: Tensor
    spectral_convergence: list[Tensor]
    log_magnitude: list[Tensor]
    linear_magnitude: list[Tensor]


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence and magnitude distances at several STFT resolutions, averaged.

    With |X| = sqrt(max(|STFT x|^2, eps)), each resolution adds w_sc || |Y| - |X| || / || |Y| || (Frobenius norms over the whole
    batch), w_log_mag D(log |X|, log |Y|) and w_lin_mag D(|X|, |Y|). Values and gradients are those of auraloss 0.4 under the same
    settings, except where auraloss has no gradient though output and target differ: a frame of the output none of whose bins
    reaches eps (silence). Its gradient here is the one just above eps, in the phase of the target's frame, so that descent
    leaves silence. The same holds for the target, where its gradient is asked for.

    Both spectra exist for a few frames at a time. The output's gradient is made in the same pass, wherever one is wanted; memory
    is a few signals. Second derivatives are refused. What auraloss also has, and this not: phase terms (of wrapped angles), mel
    and chroma bins, scale invariance, A-weighting, and reduction "none".

    Args:
        fft_sizes, hop_sizes, win_lengths: in samples, one of each for a resolution; windows are centred in their transforms.
        window: name of torch's window function, or sqrt_hann_window, the square root of Hann's.
        w_sc, w_log_mag, w_lin_mag: weights of the terms.
        eps: least power of a bin.
        output: "loss": a scalar; "full": `Terms`, each of which has its gradient; each costs a pass.
        reduction: "mean" or "sum" over batch, channels, frames and bins, of the two magnitude distances.
        mag_distance: D: "L1", the absolute difference, or "L2", its square.

    Shapes:
        output, target (B, C, T), T > half the longest transform -> a scalar in the output's dtype.

    Raises:
        ValueError: on any other setting or shape.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (600, 1200, 240),
        window: str = "hann_window",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        *,
        eps: float = 1e-8,
        output: Literal["loss", "full"] = "loss",
        reduction: Literal["mean", "sum"] = "mean",
        mag_distance: Literal["L1", "L2"] = "L1",
    ) -> None:
        super().__init__()
        if not len(fft_sizes) == len(hop_sizes) == len(win_lengths) > 0:
            raise ValueError(
                "MultiResolutionSTFTLoss: expected as many fft_sizes as hop_sizes and win_lengths, and at least one; got "
                f"{len(fft_sizes)}, {len(hop_sizes)} and {len(win_lengths)}."
            )
        for size, hop, length in zip(fft_sizes, hop_sizes, win_lengths, strict=True):
            if not (size >= 2 and hop >= 1 and 1 <= length <= size):
                raise ValueError(
                    "MultiResolutionSTFTLoss: a resolution needs fft_size >= 2, hop_size >= 1 and win_length from 1 to fft_size; "
                    f"got {size}, {hop} and {length}."
                )
        choices = {"window": (window, WINDOWS), "output": (output, ("loss", "full"))}
        choices |= {"reduction": (reduction, ("mean", "sum")), "mag_distance": (mag_distance, ("L1", "L2"))}
        for name, (value, known) in choices.items():
            if value not in known:
                raise ValueError(f"MultiResolutionSTFTLoss: {name} must be one of {', '.join(known)}; got {value!r}.")
        if not eps > 0:
            raise ValueError(f"MultiResolutionSTFTLoss: eps must be positive; got {eps}.")
        self.fft_sizes, self.hop_sizes, self.win_lengths = tuple(fft_sizes), tuple(hop_sizes), tuple(win_lengths)
        self.weights = (float(w_sc), float(w_log_mag), float(w_lin_mag))
        self.eps, self.output, self.reduction, self.mag_distance = eps, output, reduction, mag_distance
        for i, (size, length) in enumerate(zip(fft_sizes, win_lengths, strict=True)):
            before = (size - length) // 2
            # Made in float32 even for float64 signals, as auraloss does.
            values = getattr(torch, window.removeprefix("sqrt_"))(length, dtype=torch.float32)
            values = values.sqrt() if window.startswith("sqrt_") else values
            padded = nn.functional.pad(values, (before, size - length - before))
            self.register_buffer(f"window_{i}", padded, persistent=False)

    def prepare(self, target: Tensor) -> Target:
        """A target that many outputs are compared with: its magnitudes, kept in its dtype. They take (n / 2 + 1) / hop times the
        target for each resolution, 14 times it at the default settings, and save a quarter of a call's time."""
        self._check(target, target.shape)
        target = target.detach()
        rows = target.flatten(0, 1)
        levels = [
            magnitudes(_padded(rows, len(w)), w.to(rows), hop, self.eps)
            for w, hop in zip(self._windows(), self.hop_sizes, strict=True)
        ]
        return Target(target, tuple(levels))

    def forward(self, output: Tensor, target: Tensor | Target) -> Tensor | Terms:
        """The distance of `output` (B, C, T) from `target`, audio of the same shape and dtype or what `prepare` made of it.

        Raises:
            ValueError: another shape or dtype.
        """
        prepared = isinstance(target, Target)
        audio = target.audio if prepared else target
        self._check(output, audio.shape)
        if audio.dtype != output.dtype:
            raise ValueError(
                f"MultiResolutionSTFTLoss: output and target must have one dtype; got {output.dtype} and {audio.dtype}."
            )
        levels = list(target.magnitudes) if prepared else []
        windows = [w.to(output) for w in self._windows()]

        def distance(which: list[int], weights: tuple[float, ...]) -> Tensor:
            return _distance(
                output,
                audio,
                [levels[i] for i in which] if prepared else [],
                [windows[i] for i in which],
                [self.hop_sizes[i] for i in which],
                [self.eps, *weights],
                [self.reduction == "mean", self.mag_distance == "L2"],
            )

        every = list(range(len(windows)))
        if self.output == "loss":
            return distance(every, self.weights)
        unit = torch.eye(3).tolist()
        terms = [
            [distance([i], tuple(unit[t])) if w else output.new_zeros(()) for i in every] for t, w in enumerate(self.weights)
        ]
        loss = sum(w * torch.stack(values).mean() for w, values in zip(self.weights, terms, strict=True))
        assert isinstance(loss, Tensor)
        return Terms(loss, *terms)

    def _windows(self) -> list[Tensor]:
        return [self.get_buffer(f"window_{i}") for i in range(len(self.fft_sizes))]

    def _check(self, x: Tensor, shape: torch.Size) -> None:
        if x.ndim != 3 or x.shape != shape or 0 in shape:
            raise ValueError(
                "MultiResolutionSTFTLoss: expected output and target (B, C, T) of one shape, with something in it; got "
                f"{tuple(x.shape)} and {tuple(shape)}."
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"MultiResolutionSTFTLoss: expected float32 or float64; got {x.dtype}. Convert with .float().")
        if x.shape[2] <= max(self.fft_sizes) // 2:
            raise ValueError(
                f"MultiResolutionSTFTLoss: needs more than {max(self.fft_sizes) // 2} samples; got {x.shape[2]}. "
                "Choose smaller fft_sizes."
            )


def _padded(rows: Tensor, size: int) -> Tensor:
    """Reflected at both ends by half a transform. Put together from slices: torch's own padding goes sample by sample."""
    half = size // 2
    return torch.cat([rows[:, 1 : half + 1].flip(1), rows, rows[:, -half - 1 : -1].flip(1)], 1)


def _add_unpadded(gradient: Tensor, size: int, into: Tensor) -> None:
    """Adds the adjoint of `_padded`."""
    half = size // 2
    into += gradient[:, half:-half]
    into[:, 1 : half + 1] += gradient[:, :half].flip(1)
    into[:, -half - 1 : -1] += gradient[:, -half:].flip(1)


# One operation for torch: it has its rules for fake tensors and for vmap, and torch.compile need not look inside.
@operator("mixing::stft_distance", device="any")
def _distance_and_gradients(
    output: Tensor,
    target: Tensor,
    levels: list[Tensor],
    windows: list[Tensor],
    hops: list[int],
    settings: list[float],
    flags: list[bool],
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    eps, w_sc, w_log, w_linear = settings
    mean, squared = flags
    x, y = output.flatten(0, 1), target.flatten(0, 1)
    loss = torch.zeros((), dtype=torch.float64)
    gradients = [torch.zeros_like(x) if w else x.new_empty(0) for w in wanted]
    for i, (window, hop) in enumerate(zip(windows, hops, strict=True)):
        size = len(window)
        px, py = _padded(x, size), _padded(y, size)
        share = 1 / len(windows)
        each = share / (frame_count(px.shape[1], size, hop) * (size // 2 + 1) * len(x)) if mean else share
        magnitude = {"log": w_log * each, "linear": w_linear * each}
        pair = {"window": window, "hop": hop, "eps": eps, "squared": squared}
        found = compare(
            px,
            py,
            **pair,
            magnitudes=levels[i] if levels else None,
            apart=wanted[0] and w_sc != 0,
            slope=Slope(**magnitude) if wanted[0] and (w_log or w_linear) else None,
        )
        difference, power, log, linear = found.sums.cpu().unbind()
        norm, reference = math.sqrt(difference), math.sqrt(power)
        loss += share * w_sc * norm / reference + magnitude["log"] * log + magnitude["linear"] * linear
        steep = share * w_sc / (norm * reference) if norm else 0.0
        if wanted[0]:
            total = torch.zeros_like(px) if found.signal is None else found.signal
            if found.apart is not None:
                total = total.add_(found.apart, alpha=steep)
            _add_unpadded(total, size, gradients[0])
        if wanted[1]:
            own = steep - share * w_sc * norm / reference**3
            signal = compare(py, px, **pair, slope=Slope(own, steep, **magnitude)).signal
            assert signal is not None
            _add_unpadded(signal, size, gradients[1])
    first, second = (g.view(t.shape) if w else g for g, t, w in zip(gradients, (output, target), wanted, strict=True))
    return loss.to(output), first, second


@_distance_and_gradients.register_fake
def _(output: Tensor, target: Tensor, levels: Any, windows: Any, hops: Any, settings: Any, flags: Any, wanted: list[bool]) -> Any:
    gradients = (torch.empty_like(t) if w else t.new_empty(0) for t, w in zip((output, target), wanted, strict=True))
    return output.new_empty(()), *gradients


@_distance_and_gradients.register_vmap
def _(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    """One after another: a spectral convergence is of its own batch."""

    def item(value: Any, dim: Any, i: int) -> Any:
        if isinstance(value, list):
            return [item(v, d, i) for v, d in zip(value, dim or [None] * len(value), strict=True)]
        return value if dim is None else value.select(dim, i)

    found = [
        _distance_and_gradients(*(item(a, d, i) for a, d in zip(args, in_dims, strict=True))) for i in range(info.batch_size)
    ]
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True)), (0, 0, 0)


class _Distance(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(output: Tensor, target: Tensor, *rest: Any) -> Any:  # type: ignore[override]
        return _distance_and_gradients(output, target, *rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        _, *gradients = output
        ctx.mark_non_differentiable(*gradients)
        ctx.save_for_backward(*gradients, *inputs[:2])
        ctx.wanted = inputs[-1]

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: Any) -> Any:  # type: ignore[override]
        gradients, signals = ctx.saved_tensors[:2], ctx.saved_tensors[2:]
        scaled = (_Gradient.apply(g, *pair) if w else None for *pair, w in zip(gradients, signals, ctx.wanted, strict=True))
        return *scaled, *[None] * 6


class _Gradient(torch.autograd.Function):
    """The gradient with respect to a signal: it depends on the signal, so that taking it for a constant would be wrong."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, gradient: Tensor, signal: Tensor) -> Tensor:  # type: ignore[override]
        return g * gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError("MultiResolutionSTFTLoss: expected to be differentiated once; its gradient has no derivative.")


def _distance(
    output: Tensor,
    target: Tensor,
    levels: list[Tensor],
    windows: list[Tensor],
    hops: list[int],
    settings: list[float],
    flags: list[bool],
) -> Tensor:
    """The weighted terms (settings: eps and the three weights; flags: mean, squared) of some resolutions, averaged."""
    wanted = [torch.is_grad_enabled() and t.requires_grad for t in (output, target)]
    return _Distance.apply(output, target, levels, windows, hops, settings, flags, wanted)[0]
