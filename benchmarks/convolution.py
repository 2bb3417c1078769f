"""Convolution with two seconds of impulse response, each item with its own."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contest import (
    BOTH,
    RATE,
    SMALL,
    B,
    C,
    Contender,
    Contest,
    Controls,
    Outcome,
    Setup,
    Size,
    Work,
    by_autodiff,
    compete,
    differentiable,
    peer,
)
from benchmarks.results import Aim, Group, find, ratio
from dasp.atoms.convolution import convolve

SECONDS = 2


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Noise, and decaying noise for a response (B, 1, taps): two seconds, or half the audio where that is shorter."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(*size.shape, generator=generator)
    taps = min(SECONDS * RATE, size.samples // 2)
    decay = torch.exp(-6.9 * torch.arange(taps) / taps)
    h = torch.randn(size.batch, 1, taps, generator=generator) * decay
    return x, {"h": (h / h.norm(dim=-1, keepdim=True)).double().requires_grad_()}


def _whole(x: Tensor, h: Tensor) -> Tensor:
    """One FFT over everything."""
    n = x.shape[-1] + h.shape[-1] - 1
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(h, n), n)[..., : x.shape[-1]]


def dasp(x: Tensor, controls: Controls) -> Work:
    return differentiable(lambda x, h: convolve(x, h)[0], x, _single(controls))


def torchaudio(x: Tensor, controls: Controls) -> Work:
    fftconvolve = peer("torchaudio").functional.fftconvolve

    def fn(x: Tensor, h: Tensor) -> Tensor:
        return fftconvolve(x, h.expand(-1, x.shape[1], -1))[..., : x.shape[-1]]

    return differentiable(fn, x, _single(controls))


def torch_fft(x: Tensor, controls: Controls) -> Work:
    """What a careful user writes: real FFTs at a length that is fast."""
    fast = peer("scipy.fft").next_fast_len

    def fn(x: Tensor, h: Tensor) -> Tensor:
        n = fast(x.shape[-1] + h.shape[-1] - 1, real=True)
        return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(h, n), n)[..., : x.shape[-1]]

    return differentiable(fn, x, _single(controls))


def _single(controls: Controls) -> Controls:
    return {k: v.detach().float().requires_grad_() for k, v in controls.items()}


CONTENDERS = (
    Contender("dasp", dasp, note="in double, which keeps blocks equal to the whole"),
    Contender("torchaudio fftconvolve", torchaudio, ("torchaudio",)),
    Contender("torch.fft at a fast length", torch_fft, ("scipy",)),
)
CONTESTS = {"": Contest(case, CONTENDERS, by_autodiff(_whole))}


def run(setup: Setup) -> Group:
    out = Outcome()
    for size in (SMALL,) if setup.quick else (B, C):
        out.add(compete(CONTESTS[""], size, BOTH, setup, group="convolution", measure_memory=size is C))
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out)), tuple(out.notes))


def aims(out: Outcome) -> list[Aim]:
    return [
        Aim(
            f"2 s convolution, f+b, {size}: faster than torchaudio.functional.fftconvolve",
            ratio(find(out.rows, "torchaudio fftconvolve", size, BOTH), find(out.rows, "dasp", size, BOTH)),
            4,
            False,
            " x",
        )
        for size in ("B", "C")
    ]


TITLE = "Convolution with two seconds"
ABOUT = "Oracle: one FFT over everything in float64, and autograd."
