"""How near a proxy comes to its teacher, in sound and in gradient."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

FINE = 1e-6  # step of differences in float64; larger ones step over the kinks of limiters

Fn = Callable[[Tensor, Tensor], Tensor]
"""(audio (B, C, T), controls (B, P) in [0, 1]) -> audio (B, C', T)."""


def esr(output: Tensor, target: Tensor) -> Tensor:
    """Error-to-signal ratio of each item, (B, C, T) -> (B,): energy of the difference over the target's."""
    return (output - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each item's samples, (B, C, T) -> (B,)."""
    return (output - target).abs().mean((1, 2))


def mr_stft(output: Tensor, target: Tensor) -> Tensor:
    """auraloss's multi-resolution STFT loss at its own settings, of two signals (B, C, T) -> scalar: spectral convergence and log
    magnitude at 1024, 2048 and 512 points."""
    return _mr_stft()(output, target)


@cache
def _mr_stft() -> Callable[[Tensor, Tensor], Tensor]:
    from auraloss.freq import MultiResolutionSTFTLoss

    return MultiResolutionSTFTLoss()


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Of two signals (B, C, T) -> scalar."""
    return (output - target).square().mean()


COTANGENTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mr_stft": mr_stft, "mse": mean_squared_error}
"""The losses in whose direction gradients are compared."""


def loudness_error_lu(output: Tensor, target: Tensor, sample_rate: float) -> float:
    """Absolute difference of integrated loudness (ITU-R BS.1770, pyloudnorm) of two signals (C, T).

    Returns:
        LU; NaN where a signal is shorter than the meter's 0.4 s, or so quiet that the meter's gate leaves nothing.
    """
    import pyloudnorm

    if target.shape[1] < round(0.4 * sample_rate):
        return float("nan")
    meter = pyloudnorm.Meter(round(sample_rate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is nearly silent the meter says minus infinity, and warns
        levels = [float(meter.integrated_loudness(s.detach().double().T.contiguous().numpy())) for s in (output, target)]
    difference = abs(levels[0] - levels[1])
    return difference if difference < float("inf") else float("nan")


def control_gradient(function: Fn, x: Tensor, controls: Tensor, cotangent: Tensor) -> Tensor:
    """The gradient (B, P) of the controls for a cotangent (B, C', T) at the output, by reverse mode."""
    u = controls.clone().requires_grad_()
    return torch.autograd.grad(function(x, u), u, cotangent)[0].detach()


def jacobian(function: Fn, x: Tensor, controls: Tensor) -> Tensor:
    """The derivative of the waveform by each control (P, C', T), of one item (1, C, T) and (1, P), by forward mode.

    Where a function has an operation without a forward-mode derivative, central differences are its columns: give it float64.
    """
    columns = []
    with contextlib.suppress(NotImplementedError, RuntimeError), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # torch's forward mode scripts its rules at first use, against its own
        for direction in torch.eye(controls.shape[1], dtype=controls.dtype):
            columns.append(torch.func.jvp(lambda u: function(x, u), (controls,), (direction[None],))[1][0].detach())  # noqa: PERF401
    return torch.stack(columns) if len(columns) == controls.shape[1] else differences(function, x, controls, FINE)


def differences(function: Fn, x: Tensor, controls: Tensor, step: float) -> Tensor:
    """Central differences of the waveform by each control (P, C', T), of one item, by one run on a batch of all probes."""
    probes = controls + step * torch.cat([torch.eye(controls.shape[1]), -torch.eye(controls.shape[1])]).to(controls)
    with torch.no_grad():
        up, down = function(x.expand(len(probes), -1, -1), probes).double().chunk(2)
    return (up - down) / (2 * step)


def acts(x: Tensor, y: Tensor, floor_db: float = -30.0) -> bool:
    """Whether an effect changed its input by more than a floor: energy of the change over the input's."""
    x = x.expand_as(y) if x.shape[1] == 1 else x.mean(1, keepdim=True).expand_as(y) if x.shape != y.shape else x
    return bool((y - x).square().sum() > 10 ** (floor_db / 10) * x.square().sum())


def summary(values: Tensor, share: float = 0.5) -> float | None:
    """A quantile of what is a number; None where nothing is."""
    known = values[~values.isnan()].double()
    return float(torch.quantile(known, share)) if known.numel() else None


def agreement(found: Tensor, truth: Tensor, names: list[str]) -> dict[str, Any]:
    """Gradients of N cases (N, P) beside the true ones.

    Returns:
        relative_error: median of ||found - truth|| / ||truth||.
        cosine, cosine_p10: median and 10th percentile over the cases.
        norm_ratio: median of ||found|| / ||truth||.
        controls: each control's cosine across the cases, every case divided by its true norm.
        Cases whose true gradient is zero or not finite do not count.
    """
    size = truth.norm(dim=1)
    good = (size > 0) & size.isfinite()
    found, truth, size = found[good], truth[good], size[good, None]
    cosine = torch.nn.functional.cosine_similarity(found, truth, dim=1, eps=1e-300)
    scaled, true = found / size, truth / size
    by_control = (scaled * true).sum(0) / (scaled.square().sum(0) * true.square().sum(0)).sqrt()
    return {
        "relative_error": summary((scaled - true).norm(dim=1)),
        "cosine": summary(cosine),
        "cosine_p10": summary(cosine, 0.1),
        "norm_ratio": summary(scaled.norm(dim=1)),
        "controls": {n: None if c != c else c for n, c in zip(names, by_control.tolist(), strict=True)},
    }


def jacobian_errors(found: Tensor, truth: Tensor, output: Tensor) -> Tensor:
    """Each control's ||found - truth||^2 / ||truth||^2 on the waveform, (P, C, T) -> (P,).

    NaN for a control that does nothing here: its column's energy is below -100 dB of the output's (a Q at 0 dB of gain).
    """
    truth, found = truth.flatten(1).double(), found.flatten(1).double()
    energy = truth.square().sum(1)
    error = (found - truth).square().sum(1) / energy
    return torch.where(energy > 1e-10 * output.double().square().sum(), error, torch.nan)
