"""Six-band parametric equaliser: low shelf, four peaks, high shelf, each item with its own eighteen controls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from benchmarks.contest import (
    BOTH,
    FORWARD,
    RATE,
    SMALL,
    A,
    B,
    C,
    Contender,
    Contest,
    Controls,
    Outcome,
    Setup,
    Size,
    Work,
    agree,
    by_autodiff,
    compete,
    differentiable,
    peer,
)
from benchmarks.results import Aim, Group, fastest_peer, find, ratio
from dasp import ParametricEQ
from dasp.atoms.biquad import biquad, biquad_reference
from dasp.effects.parametric_eq import BANDS

KINDS = ("low_shelf", "peak", "peak", "peak", "peak", "high_shelf")
FREQUENCIES = ((60, 200), (150, 500), (500, 1200), (1500, 4000), (4000, 9000), (6000, 12000))
PARTS = ("cutoff_frequency_hz", "gain_db", "q")
_THEIRS = zip(BANDS, ("low_shelf", "band0", "band1", "band2", "band3", "high_shelf"), strict=True)
_RENAMED = zip(PARTS, ("cutoff_freq", "gain_db", "q_factor"), strict=True)
renamed = {f"{band}_{part}": f"{b}_{p}" for (band, b), (part, p) in itertools.product(_THEIRS, _RENAMED)}
"""Our controls' names -> dasp-pytorch's."""


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Noise; each band within its part of the spectrum, +-12 dB, Q 0.5 to 4."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(*size.shape, generator=generator)
    controls = {}
    for band, (low, high) in zip(BANDS, FREQUENCIES, strict=True):
        u, v, w = torch.rand(3, size.batch, generator=generator)
        for part, value in zip(PARTS, (low * (high / low) ** u, 24 * v - 12, 0.5 * 8**w), strict=True):
            controls[f"{band}_{part}"] = value.double().requires_grad_()
    return x, controls


def low_case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Every band at 40 Hz, or as low as it goes, with Q = 8: poles close to the unit circle. Its gains stay."""
    x, controls = case(size, seed)
    lowest = {params[0].name: max(40.0, params[0].low) for _, params in BANDS.values()}
    for name in controls:
        if name.endswith("_q"):
            controls[name] = torch.full((size.batch,), 8.0, dtype=torch.float64).requires_grad_()
        elif name in lowest:
            controls[name] = torch.full((size.batch,), lowest[name], dtype=torch.float64).requires_grad_()
    return x, controls


def columns(controls: Controls) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies, gains and Qs, each (B, 6)."""
    frequency, gain, q = (torch.stack([controls[f"{band}_{part}"] for band in BANDS], 1) for part in PARTS)
    return frequency, gain, q


def cookbook(controls: Controls) -> Tensor:
    """R. Bristow-Johnson's sections from the controls: (B, 6, 6) float64, rows b0, b1, b2, a0, a1, a2 with a0 = 1."""
    frequency, gain, q = (t.double() for t in columns(controls))
    w = 2 * math.pi * frequency / RATE
    a, cos, alpha = 10 ** (gain / 40), torch.cos(w), torch.sin(w) / (2 * q)
    root = 2 * torch.sqrt(a) * alpha
    rows = []
    for i, kind in enumerate(KINDS):
        g, c, al, r = a[:, i], cos[:, i], alpha[:, i], root[:, i]
        if kind == "peak":
            row = (1 + al * g, -2 * c, 1 - al * g, 1 + al / g, -2 * c, 1 - al / g)
        else:
            s = 1 if kind == "low_shelf" else -1
            plus, minus = g + 1, g - 1
            row = (
                g * (plus - s * minus * c + r),
                2 * s * g * (minus - s * plus * c),
                g * (plus - s * minus * c - r),
                plus + s * minus * c + r,
                -2 * s * (minus + s * plus * c),
                plus + s * minus * c - r,
            )
        rows.append(torch.stack(row, -1) / row[3][:, None])
    return torch.stack(rows, 1)


def _cascade(x: Tensor, **controls: Tensor) -> Tensor:
    sos = cookbook(controls)
    return biquad(x, torch.cat([sos[..., :3], sos[..., 4:]], -1)[..., None])[0]


_by_atom = by_autodiff(_cascade)


def oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """scipy.signal.sosfilt in float64; gradients of the same recursion in float64 by dasp's atom, which has to agree with scipy
    on the output, and with the plain torch reference and autograd on a short piece's gradients, or there is no benchmark."""
    from scipy.signal import sosfilt

    sos = cookbook(controls).detach().numpy()
    y = torch.from_numpy(np.stack([sosfilt(s, row) for s, row in zip(sos, x.numpy(), strict=True)]))
    ours, gradients = _by_atom(x, controls, cotangent)
    agree("the float64 atom and scipy's sosfilt", ours, y, 1e-9)
    if cotangent is not None:
        _agree_on_gradients(x[:1, :1, :128], {k: v[:1] for k, v in controls.items()}, cotangent[:1, :1, :128])
    return y, list(gradients)


def _agree_on_gradients(x: Tensor, controls: Controls, g: Tensor) -> None:
    """dasp's compiled adjoint against autograd through the sample-by-sample loop."""
    leaves = {k: v.detach().clone().requires_grad_() for k, v in controls.items()}
    sos = cookbook(leaves)
    y, _ = biquad_reference(x, torch.cat([sos[..., :3], sos[..., 4:]], -1)[..., None])
    by_loop = torch.autograd.grad(y, [*leaves.values()], g)
    small = {k: v.detach().requires_grad_() for k, v in controls.items()}
    _, (_, *by_atom) = _by_atom(x, small, g)
    agree("the float64 atom's gradients and autograd's", torch.cat(by_atom), torch.cat(by_loop), 1e-7)


def plugin_oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The same recursion in float64 with the coefficients that float32 makes of the controls in Pedalboard's plugins: what is
    left of dasp's error when it is held against the filter that the plugin says it is."""
    from dasp.atoms.design import sections_reference
    from dasp.atoms.precision import as_plugin

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        f, g, q = (t.unsqueeze(-1) for t in columns(controls))
        sos = sections_reference(KINDS, f, g, q, RATE, torch.float32)
        assert sos.plugin is not None
        return biquad(x, as_plugin(sos.exact, sos.plugin))[0]

    y, gradients = by_autodiff(fn)(x, controls, cotangent)
    return y, list(gradients)


def dasp(x: Tensor, controls: Controls) -> Work:
    effect = ParametricEQ(RATE)
    return differentiable(lambda x, **c: effect(x, **c), x, controls)


def torchaudio(x: Tensor, controls: Controls) -> Work:
    """`lfilter` for each section in turn, each item and channel with its own coefficients; designed in double, rounded once."""
    lfilter = peer("torchaudio").functional.lfilter

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        sos = _for_rows(cookbook(controls), x).to(x.dtype)
        y = x.flatten(0, 1)
        for section in sos.unbind(1):
            y = lfilter(y, section[:, 3:], section[:, :3], clamp=False, batching=True)
        return y.view_as(x)

    return differentiable(fn, x, controls)


def torchlpc(x: Tensor, controls: Controls) -> Work:
    """The zeros by shifted sums, the poles by `sample_wise_lpc` with coefficients that stay; section by section."""
    lpc = peer("torchlpc").sample_wise_lpc

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        sos = _for_rows(cookbook(controls), x).to(x.dtype)
        y = x.flatten(0, 1)
        for section in sos.unbind(1):
            b0, b1, b2, _, a1, a2 = (c[:, None] for c in section.unbind(1))
            padded = torch.nn.functional.pad(y, (2, 0))
            zeros = b0 * y + b1 * padded[:, 1:-1] + b2 * padded[:, :-2]
            y = lpc(zeros, torch.stack([a1, a2], -1).expand(-1, y.shape[1], -1))
        return y.view_as(x)

    return differentiable(fn, x, controls)


def philtorch(x: Tensor, controls: Controls) -> Work:
    """`lti.lfilter` in transposed direct form II, section by section."""
    lfilter = peer("philtorch.lti").lfilter

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        sos = _for_rows(cookbook(controls), x).to(x.dtype)
        y = x.flatten(0, 1)
        for section in sos.unbind(1):
            y = lfilter(section[:, :3].contiguous(), section[:, 4:].contiguous(), y, form="tdf2")
        return y.view_as(x)

    return differentiable(fn, x, controls)


def dasp_pytorch(x: Tensor, controls: Controls) -> Work:
    """Its own six-band equaliser, by sampling the frequency response."""
    equaliser = peer("dasp_pytorch").functional.parametric_eq

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        return equaliser(x, RATE, **{renamed[k]: v.to(x.dtype) for k, v in controls.items()})

    return differentiable(fn, x, controls)


def grafx(x: Tensor, controls: Controls) -> Work:
    """Its biquads by frequency sampling with its default length; its equaliser's own units are not Hz, so the sections are
    given."""
    filters = peer("grafx.processors.core.iir").IIRFilter(order=2, backend="fsm", flashfftconv=False)

    def fn(x: Tensor, **controls: Tensor) -> Tensor:
        sos = cookbook(controls).to(x.dtype)[:, None].expand(-1, x.shape[1], -1, -1)
        return filters(x, sos[..., :3], sos[..., 3:])

    return differentiable(fn, x, controls)


def scipy(x: Tensor, controls: Controls) -> Work:
    """`sosfilt` in float32; forward only."""
    sosfilt = peer("scipy.signal").sosfilt
    sos = cookbook(controls).detach().float().numpy()
    rows = x.numpy()
    return Work(lambda: torch.from_numpy(np.stack([sosfilt(s, row) for s, row in zip(sos, rows, strict=True)])))


def pedalboard(x: Tensor, controls: Controls) -> Work:
    """Six of its plugins in a row; forward only."""
    from dasp.parity import by_hand

    effect, values = ParametricEQ(RATE), {k: v.detach() for k, v in controls.items()}
    return Work(lambda: by_hand(effect, x, values))


def _for_rows(sos: Tensor, x: Tensor) -> Tensor:
    """(B, 6, 6) -> (B C, 6, 6)."""
    return sos.repeat_interleave(x.shape[1], 0)


CONTENDERS = (
    Contender("dasp", dasp),
    Contender("torchaudio lfilter x 6", torchaudio, ("torchaudio",)),
    Contender("torchlpc", torchlpc, ("torchlpc",)),
    Contender("philtorch tdf2", philtorch, ("philtorch",)),
    Contender("dasp-pytorch", dasp_pytorch, ("dasp_pytorch",), "frequency sampling"),
    Contender("grafx fsm", grafx, ("grafx.processors.core.iir",), "frequency sampling, 4000 taps"),
    Contender("scipy sosfilt float32", scipy, ("scipy",)),
    Contender("pedalboard", pedalboard, ("pedalboard",)),
)
LOW = "B, 40 Hz, Q 8"
PLUGIN_CASES = {"plugin": "B, against float32's coefficients", "plugin low": f"{LOW}, against float32's coefficients"}
CONTESTS = {
    "": Contest(case, CONTENDERS, oracle),
    "low": Contest(low_case, CONTENDERS[:6], oracle, "low"),
    "plugin": Contest(case, CONTENDERS[:1], plugin_oracle, "plugin"),
    "plugin low": Contest(low_case, CONTENDERS[:1], plugin_oracle, "plugin low"),
}


def run(setup: Setup) -> Group:
    out = Outcome()
    main, low = CONTESTS[""], CONTESTS["low"]
    if setup.quick:
        out.add(compete(main, SMALL, FORWARD, setup))
        out.add(compete(main, SMALL, BOTH, setup))
        return Group(TITLE, ABOUT, tuple(out.rows), (), tuple(out.notes))
    for size in (B, C):
        out.add(compete(main, size, FORWARD, setup))
    for size in (A, B, C):
        out.add(compete(main, size, BOTH, setup, group="equalizer", measure_memory=size is C))
    out.add(compete(low, B, BOTH, setup, wall=False, case=LOW))
    for name, label in PLUGIN_CASES.items():
        out.add(compete(CONTESTS[name], B, BOTH, setup, wall=False, case=label))
    return Group(TITLE, ABOUT, tuple(out.rows), tuple(aims(out)), tuple(out.notes))


def aims(out: Outcome) -> list[Aim]:
    rows = out.rows
    ours = find(rows, "dasp", "C", BOTH)
    found = [Aim("six-band EQ, f+b, C: over the yardstick", ours.passes if ours else None, 45, True, " x")]
    for size, limit in (("C", 20), ("A", 8), ("B", 10)):
        peer_row = fastest_peer(rows, "dasp", size, BOTH)
        name = f" ({peer_row.contender})" if peer_row else ""
        figure = ratio(peer_row, find(rows, "dasp", size, BOTH))
        found.append(Aim(f"six-band EQ, f+b, {size}: faster than the fastest exact peer{name}", figure, limit, False, " x"))
    found.append(Aim("six-band EQ, f+b, C: peak memory over the input", ours.memory if ours else None, 2.5, True, " x"))
    for label in ("B", LOW):
        row = find(rows, "dasp", label, BOTH)
        found.append(Aim(f"EQ gradients, {label}: relative error", row.gradient_error if row else None, 1e-6, True))
    return found


TITLE = "Six-band parametric equaliser"
ABOUT = """Oracle: `scipy.signal.sosfilt` in float64 with coefficients in float64; gradients by the float64 adjoint, which has
to agree with autograd through a loop over samples. dasp in float32 is Pedalboard to the bit, so it filters with the
coefficients that float32 makes of the controls, and its error against the ideal filter is theirs; the rows "against float32's
coefficients" hold its sound against a float64 filter with those same coefficients. Its gradient is that of the exact ones, and in
these rows as far from the oracle's as float32's coefficients are from the truth."""
