"""Compressor with separate attack and release, each item with its own four controls."""

from __future__ import annotations

import math

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
from benchmarks.results import Aim, Group, find, ratio
from dasp import Compressor, StudioCompressor
from dasp.atoms.ballistics import ballistics, ballistics_reference

EDGES = {
    "silence": {},
    "ratio 1": {"ratio": 1.0},
    "attack 0": {"attack_ms": 0.0},
    "knee 0": {"knee_db": 0.0},
}


def case(size: Size, seed: int) -> tuple[Tensor, Controls]:
    """Bursts of noise between near silence and -3 dB, four a second; thresholds -40 to -20 dB, ratios 2 to 8, attacks 2 to 20 ms,
    releases 50 to 300 ms."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(size.samples) / RATE
    offset = torch.rand(size.batch, size.channels, 1, generator=generator)
    loud = ((4 * t + offset) % 1 < 0.4).float() * 0.95 + 0.05
    x = 0.7 * loud * torch.rand(*size.shape, generator=generator).mul(2).sub(1)
    u = torch.rand(4, size.batch, generator=generator)
    values = {"threshold_db": -40 + 20 * u[0], "ratio": 2 * 4 ** u[1], "attack_ms": 2 * 10 ** u[2], "release_ms": 50 * 6 ** u[3]}
    return x, {k: v.double().requires_grad_() for k, v in values.items()}


def poles(controls: Controls) -> tuple[Tensor, Tensor]:
    """The follower's poles (B,), in Pedalboard's convention: exp(-2000 pi / (fs t))."""
    attack, release = (torch.exp(-2000 * math.pi / (RATE * controls[k])) for k in ("attack_ms", "release_ms"))
    return attack, release


def _for_all(v: Tensor) -> Tensor:
    return v.reshape(-1, 1, 1)


def _level_design(x: Tensor, follow: object = ballistics, **c: Tensor) -> Tensor:
    """Follow |x|, then the curve: Pedalboard's."""
    attack, release = map(_for_all, poles(c))
    level = follow(x.abs(), attack, release)[0]  # type: ignore[operator]
    return x * _curve(level, c)


def _curve(level: Tensor, c: Controls) -> Tensor:
    threshold, exponent = 10 ** (_for_all(c["threshold_db"]) / 20), 1 / _for_all(c["ratio"]) - 1
    above = level >= threshold
    return torch.where(above, torch.where(above, level / threshold, 1.0) ** exponent, 1.0)


def _decibel_design(x: Tensor, linked: str = "", **c: Tensor) -> Tensor:
    """The curve on |x| in dB, its reduction followed: Giannoulis et al.'s, branching. `linked`: the channels' sum is heard."""
    attack, release = map(_for_all, poles(c))
    key = x.sum(1, keepdim=True) if linked == "sum" else x
    db = 20 * torch.log10(key.abs().clamp_min(1e-8))
    reduction = (1 - 1 / _for_all(c["ratio"])) * (db - _for_all(c["threshold_db"])).clamp_min(0)
    return x * 10 ** (-ballistics(reduction, attack, release)[0] / 20)


def _energy_design(x: Tensor, **c: Tensor) -> Tensor:
    """Follow the channels' mean x^2 from 1 on, then the curve on it in the log domain: grafx's with ballistics."""
    attack, release = map(_for_all, poles(c))
    start = x.new_ones(len(x), 1, 1)
    energy = ballistics(x.square().mean(1, keepdim=True), attack, release, start)[0]
    over = torch.log(energy + 1e-5) - _for_all(c["threshold_db"]) * math.log(10) / 10
    return x * torch.exp((1 / _for_all(c["ratio"]) - 1) * over.clamp_min(0))


_by_atom = by_autodiff(_level_design)
decibel = by_autodiff(_decibel_design)
decibel_of_sum = by_autodiff(lambda x, **c: _decibel_design(x, "sum", **c))
energy = by_autodiff(_energy_design)


def oracle(x: Tensor, controls: Controls, cotangent: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """dasp's float64 follower in the design written out above; on a short piece it has to agree with a loop and autograd."""
    y, gradients = _by_atom(x, controls, cotangent)
    short = x[:1, :1, :600].detach(), {k: v[:1].detach().requires_grad_() for k, v in controls.items()}
    g = torch.ones_like(short[0])
    by_atom = _by_atom(*short, g)
    by_loop = by_autodiff(lambda x, **c: _level_design(x, ballistics_reference, **c))(*short, g)
    agree("the float64 follower and a loop", by_atom[0], by_loop[0], 1e-10)
    for one, other in zip(by_atom[1], by_loop[1], strict=True):
        agree("the float64 follower's gradients and autograd's", one, other, 1e-7)
    return y, list(gradients)


def dasp(x: Tensor, controls: Controls) -> Work:
    effect = Compressor(RATE)
    return differentiable(lambda x, **c: effect(x, **c), x, controls)


def dasp_studio(x: Tensor, controls: Controls) -> Work:
    """The other design; its times are real time constants, the plugin's over 2 pi."""
    effect = StudioCompressor(RATE, stereo_link="none", smoothing="branching")

    def fn(x: Tensor, threshold_db: Tensor, ratio: Tensor, attack_ms: Tensor, release_ms: Tensor) -> Tensor:
        times = {"attack_ms": attack_ms / (2 * math.pi), "release_ms": release_ms / (2 * math.pi)}
        return effect(x, threshold_db=threshold_db, ratio=ratio, knee_db=0.0, makeup_gain_db=0.0, **times)

    return differentiable(fn, x, controls)


def torchcomp(x: Tensor, controls: Controls) -> Work:
    """Its core follows |x|, as in its own limiter; then the curve in torch."""
    core = peer("torchcomp").core.compressor_core

    def fn(x: Tensor, **c: Tensor) -> Tensor:
        rows = x.abs().flatten(0, 1)
        attack, release = ((1 - p).to(x.dtype).repeat_interleave(x.shape[1]) for p in poles(c))
        level = core(rows, rows.new_zeros(len(rows)), release, attack).view_as(x)  # its attack is where the value falls
        return x * _curve(level, {k: v.to(x.dtype) for k, v in c.items()})

    return differentiable(fn, x, controls)


def torchcomp_decibel(x: Tensor, controls: Controls) -> Work:
    """Its core on the gain in dB, which is what its users do."""
    core = peer("torchcomp").core.compressor_core

    def fn(x: Tensor, **c: Tensor) -> Tensor:
        slope, threshold = (_for_all(v).to(x.dtype) for v in (1 - 1 / c["ratio"], c["threshold_db"]))
        gain = -slope * (20 * torch.log10(x.abs().clamp_min(1e-8)) - threshold).clamp_min(0)
        rows = gain.flatten(0, 1)
        attack, release = ((1 - p).to(x.dtype).repeat_interleave(x.shape[1]) for p in poles(c))
        return x * 10 ** (core(rows, rows.new_zeros(len(rows)), attack, release).view_as(x) / 20)

    return differentiable(fn, x, controls)


def grafx(x: Tensor, controls: Controls) -> Work:
    """Ballistics on the channels' mean energy, hard knee; its own units from ours."""
    effect = peer("grafx.processors.dynamics").Compressor(energy_smoother="ballistics", knee="hard", flashfftconv=False)

    def fn(x: Tensor, **c: Tensor) -> Tensor:
        # It adds -6 to the threshold, takes 1 + exp(.) for the ratio and a sigmoid for the coefficients, of which the first acts
        # where the energy falls.
        threshold = c["threshold_db"] * math.log(10) / 10 + 6
        coefficients = torch.stack([torch.logit(1 - p) for p in reversed(poles(c))], 1).to(x.dtype)
        ratio = torch.log(c["ratio"] - 1)
        return effect(x, threshold[:, None].to(x.dtype), ratio[:, None].to(x.dtype), z_alpha_pre=coefficients)

    return differentiable(fn, x, controls)


def dasp_pytorch(x: Tensor, controls: Controls) -> Work:
    """Its compressor: times to 10 and 90 %, hence ln 9 over our poles' 2 pi; the least knee that is not NaN."""
    effect = peer("dasp_pytorch").functional.compressor
    longer = math.log(9) / (2 * math.pi)

    def fn(x: Tensor, **c: Tensor) -> Tensor:
        zero = torch.zeros(len(x), dtype=x.dtype)
        c = {k: v.to(x.dtype) for k, v in c.items()}
        times = {k: c[k] * longer for k in ("attack_ms", "release_ms")}
        still = {"knee_db": zero + 1e-3, "makeup_gain_db": zero}
        return effect(x, RATE, threshold_db=c["threshold_db"], ratio=c["ratio"], **times, **still)

    return differentiable(fn, x, controls)


def pedalboard(x: Tensor, controls: Controls) -> Work:
    from dasp.parity import by_hand

    effect, values = Compressor(RATE), {k: v.detach() for k, v in controls.items()}
    return Work(lambda: by_hand(effect, x, values))


CONTENDERS = (
    Contender("dasp", dasp, note="Pedalboard's design: the level is followed"),
    Contender("torchcomp core on the level", torchcomp, ("torchcomp",), "the same design"),
    Contender("pedalboard", pedalboard, ("pedalboard",), "the same design, forward only"),
    Contender("dasp StudioCompressor", dasp_studio, (), "the gain in dB is followed", decibel),
    Contender("torchcomp core on the dB curve", torchcomp_decibel, ("torchcomp",), "the gain in dB is followed", decibel),
    Contender("grafx ballistics", grafx, ("grafx.processors.dynamics",), "the channels' energy is followed", energy),
    Contender("dasp-pytorch", dasp_pytorch, ("dasp_pytorch",), "claims the gain in dB, of the channels' sum", decibel_of_sum),
)
CONTESTS = {"": Contest(case, CONTENDERS, oracle)}


def run(setup: Setup) -> Group:
    contest, out = CONTESTS[""], Outcome()
    for size, work in [(SMALL, BOTH)] if setup.quick else [(C, FORWARD), (A, BOTH), (B, BOTH), (C, BOTH)]:
        out.add(compete(contest, size, work, setup, group="compressor", measure_memory=(size, work) == (C, BOTH)))
    failing = edges()
    out.notes += [f"{name}: {text}" for name, text in failing.items()]
    return Group(TITLE, ABOUT, tuple(out.rows), () if setup.quick else tuple(aims(out, failing)), tuple(out.notes))


def edges() -> dict[str, str]:
    """Where each contender's output or gradients are not finite, or it refuses: silence, ratio 1, attack 0, knee 0."""
    found = {}
    for one in CONTENDERS:
        wrong = []
        for edge, changes in EDGES.items():
            x, controls = case(Size("edge", 1, 1, 2000), 0)
            if edge == "silence":
                x = torch.zeros_like(x)
            controls |= {
                k: torch.full((1,), v, dtype=torch.float64).requires_grad_() for k, v in changes.items() if k in controls
            }
            try:
                if edge == "knee 0":
                    if one.make not in (dasp_studio, dasp_pytorch):
                        continue
                    gradients = _at_knee_zero(one, x)
                else:
                    work = one.make(x, controls)
                    gradients = work.forward_backward(torch.ones_like(x)) if work.forward_backward else [work.forward()]
            except (ImportError, OSError):
                break
            except Exception as error:
                wrong.append(f"{edge} ({type(error).__name__})")
                continue
            if not all(g is None or bool(g.isfinite().all()) for g in gradients):
                wrong.append(edge)
        if wrong:
            found[one.name] = f"not finite, or refused, at {', '.join(wrong)}"
    return found


def _at_knee_zero(one: Contender, x: Tensor) -> tuple[Tensor, ...]:
    """Gradient to the knee where it is 0, in the two that have one. A square wave sits on the threshold."""
    knee = torch.zeros(1, requires_grad=True)
    loud = 0.1 * torch.sign(x) + 0 * x
    if one.make is dasp_studio:
        y = StudioCompressor(RATE)(loud, threshold_db=-20.0, knee_db=knee)
    else:
        at = {"threshold_db": -20.0, "ratio": 4.0, "attack_ms": 5.0, "release_ms": 50.0, "makeup_gain_db": 0.0}
        y = peer("dasp_pytorch").functional.compressor(loud, RATE, knee_db=knee, **{k: torch.tensor([v]) for k, v in at.items()})
    return torch.autograd.grad(y.sum(), knee)


def aims(out: Outcome, failing: dict[str, str]) -> list[Aim]:
    rows = out.rows
    ours = find(rows, "dasp", "C", BOTH)
    by_torchcomp = [ratio(r, ours) for r in rows if r.contender.startswith("torchcomp") and (r.case, r.work) == ("C", BOTH)]
    least = min((r for r in by_torchcomp if r is not None), default=None)
    theirs = ratio(find(rows, "dasp-pytorch", "C", BOTH), ours)
    bad = sum(name.startswith("dasp") and name != "dasp-pytorch" for name in failing)
    return [
        Aim("compressor, f+b, C: over the yardstick", ours.passes if ours else None, 30, True, " x"),
        Aim("compressor, f+b, C: faster than torchcomp's faster one", least, 3, False, " x"),
        Aim("compressor, f+b, C: faster than dasp-pytorch", theirs, 20, False, " x"),
        Aim("compressor, f+b, C: peak memory over the input", ours.memory if ours else None, 3, True, " x"),
        Aim("compressors not finite at silence, knee 0, ratio 1 or attack 0", float(bad), 0, True),
    ]


TITLE = "Compressor"
ABOUT = """Bursts of noise. There are three designs among the contenders; each is held against its own in float64 (the follower
by dasp's float64 atom, which has to agree with a loop over samples and autograd), with the same time constants and thresholds."""
