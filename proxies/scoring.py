"""A network beside its teacher, case by case: what `python -m proxies.evaluate` reports."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from proxies import metrics
from proxies.audio import Source
from proxies.network import Network
from proxies.teacher import Control, Teacher

STEP = 0.005  # of differences of a black box, whose float32 hides smaller ones
PATIENCE = 10  # cases drawn for each one that is to count, at most
THIRDS = ("low", "middle", "high")
MEDIANS = ("esr", "mr_stft", "mean_absolute_error", "loudness_error_lu")


@dataclass(frozen=True)
class Case:
    """Audio (1, C, T), controls (1, P), and the controls of a target to move towards; float32, float64, float64."""

    x: Tensor
    controls: Tensor
    goal: Tensor


def draw(source: Source, teacher: Teacher, count: int, samples: int, channels: int, seed: int, margin: float) -> Iterator[Case]:
    """Cases: clips of the source, and points of a scrambled Sobol sequence over the whole table but `margin` at its edges.

    Controls that the table declares to have a surrogate derivative (`surrogate`) are the same in both points of a case.
    """
    from scipy.stats import qmc

    points = qmc.Sobol(2 * len(teacher.controls), rng=np.random.default_rng((seed, 1))).random_base2((count - 1).bit_length())
    u = margin + (1 - 2 * margin) * torch.from_numpy(points[:count]).reshape(count, 2, 1, -1)
    u[:, 1] = torch.where(exact(teacher.controls), u[:, 1], u[:, 0])
    for n, (controls, goal) in enumerate(u):
        clip = source.clip(np.random.default_rng((seed, 0, n)), samples, channels)
        yield Case(torch.from_numpy(clip)[None], controls, goal)


def exact(controls: Sequence[Control]) -> Tensor:
    """Which controls have a derivative, (P,)."""
    return torch.tensor([not getattr(q, "surrogate", "") for q in controls], dtype=torch.bool)


def score(
    network: Network,
    teacher: Teacher,
    cases: Iterable[Case],
    wanted: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Compare a network with its teacher.

    The sound is that of the black box. The true gradient is that of the white box in float64 where there is one, by reverse mode;
    else differences of the black box are its columns. It is seen through the gradient of a loss at the teacher's output, as
    when the teacher is heard and the network differentiated. Cases in which the effect changes its input by less than
    -30 dB do not count.

    Args:
        network: in evaluation mode.
        teacher: what it imitates.
        cases: taken one after the other until enough of them count, or there are no more.
        wanted: how many are to count.
        progress: called with how many do so far.

    Returns:
        what JSON can hold; floats, or None for what no case could tell:
        cases, left_out: how many count and do not.
        truth: where the true gradient is from.
        esr, esr_p90, mr_stft, mean_absolute_error, loudness_error_lu: medians over the cases, and a 90th percentile.
        gradient: for each loss (mr_stft, mse) what `metrics.agreement` says.
        jacobian_error: for each control the median of ||found - true||^2 / ||true||^2 on the waveform.
        regions: for each control and third of its range: from, to (in its unit), cases, and the medians there of esr,
            relative_error (of the gradient, mr_stft) and jacobian_error (the control's own).

    Raises:
        ValueError: the effect acts in no case.
    """
    alive = exact(teacher.controls)
    names = [q.name for q, good in zip(teacher.controls, alive.tolist(), strict=True) if good]
    rows: list[dict[str, Any]] = []
    drawn, samples, precise = 0, 0, copy.deepcopy(network).double()
    for case in cases:
        drawn, samples = drawn + 1, case.x.shape[2]
        row = _row(network, precise, teacher, case, alive)
        if row is not None:
            rows.append({**row, "controls": case.controls[0, alive]})
        progress(len(rows))
        if len(rows) == wanted:
            break
    if not rows:
        raise ValueError(f"{teacher.name}: changes its input by less than -30 dB in all of {drawn} cases; nothing to score.")
    table = {key: torch.tensor([row[key] for row in rows], dtype=torch.float64) for key in MEDIANS}
    found = {kind: torch.stack([row["found"][kind] for row in rows]) for kind in metrics.COTANGENTS}
    true = {kind: torch.stack([row["true"][kind] for row in rows]) for kind in metrics.COTANGENTS}
    jacobian = torch.stack([row["jacobian"] for row in rows])
    table["relative_error"] = (found["mr_stft"] - true["mr_stft"]).norm(dim=1) / true["mr_stft"].norm(dim=1)
    controls = torch.stack([row["controls"] for row in rows])
    kept = [q for q, good in zip(teacher.controls, alive.tolist(), strict=True) if good]
    return {
        "cases": len(rows),
        "left_out": drawn - len(rows),
        "seconds": samples / teacher.sample_rate,
        "truth": "black box, differences" if teacher.whitebox is None else "white box, float64",
        **{key: metrics.summary(table[key]) for key in MEDIANS},
        "esr_p90": metrics.summary(table["esr"], 0.9),
        "gradient": {kind: metrics.agreement(found[kind], true[kind], names) for kind in metrics.COTANGENTS},
        "jacobian_error": {name: metrics.summary(jacobian[:, i]) for i, name in enumerate(names)},
        "regions": [
            row
            for i, q in enumerate(kept)
            for row in _regions(q, controls[:, i], table["esr"], table["relative_error"], jacobian[:, i])
        ],
    }


def _row(network: Network, precise: Network, teacher: Teacher, case: Case, alive: Tensor) -> dict[str, Any] | None:
    """One case; None where the effect does not act. `precise`: the network in float64."""
    x, u = case.x, case.controls
    with torch.no_grad():
        y, goal = (teacher.blackbox(x, v) for v in (u, case.goal))
        if not metrics.acts(x, y):
            return None
        output = network(x, u.float())
    white = teacher.whitebox
    columns = metrics.differences(teacher.blackbox, x, u.clamp(STEP, 1 - STEP), STEP)
    if white is not None:
        columns = metrics.differences(white, x.double(), u, metrics.FINE)
    found, true = {}, {}
    for kind, loss in metrics.COTANGENTS.items():
        heard = y.double().requires_grad_()
        g = torch.autograd.grad(loss(heard, goal.double()), heard)[0]
        by_columns = (columns * g).flatten(1).sum(1)
        true[kind] = (by_columns if white is None else metrics.control_gradient(white, x.double(), u, g)[0])[alive]
        found[kind] = metrics.control_gradient(network, x, u.float(), g.float())[0].double()[alive]
    errors = metrics.jacobian_errors(metrics.jacobian(precise, x.double(), u), columns, y)
    return {
        "esr": float(metrics.esr(output, y)),
        "mr_stft": float(metrics.mr_stft(output, y)),
        "mean_absolute_error": float(metrics.mean_absolute_error(output, y)),
        "loudness_error_lu": metrics.loudness_error_lu(output[0], y[0], teacher.sample_rate),
        "found": found,
        "true": true,
        "jacobian": errors[alive],
    }


def _regions(q: Control, u: Tensor, esr: Tensor, relative: Tensor, jacobian: Tensor) -> list[dict[str, Any]]:
    rows = []
    for k, third in enumerate(THIRDS):
        inside = (u * 3).floor().clamp(0, 2) == k
        rows.append(
            {
                "control": q.name,
                "third": third,
                "from": physical(q, k / 3),
                "to": physical(q, (k + 1) / 3),
                "cases": int(inside.sum()),
                "esr": metrics.summary(esr[inside]),
                "relative_error": metrics.summary(relative[inside]),
                "jacobian_error": metrics.summary(jacobian[inside]),
            }
        )
    return rows


def physical(q: Control, u: float) -> float:
    """[0, 1] -> the control's unit."""
    return q.low * (q.high / q.low) ** u if q.scale == "log" else q.low + (q.high - q.low) * u


def real_time_factor(network: Network, sample_rate: float, channels: int, device: str, runs: int = 7) -> float:
    """Seconds that a second of audio takes, a second at a time, without gradients: on one CPU thread, or on a GPU.

    The median of several runs, behind one that warms up.
    """
    network = copy.deepcopy(network).to(device)
    x = 0.1 * torch.randn(1, channels, round(sample_rate), generator=torch.Generator().manual_seed(0)).to(device)
    u = torch.full((1, network.num_controls), 0.5, device=device)
    before, taken = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for _ in range(runs + 1):
                start = time.perf_counter()
                network(x, u)
                if device != "cpu":
                    torch.cuda.synchronize()
                taken.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return statistics.median(taken[1:])


def rounded(value: Any, digits: int = 4) -> Any:
    """The same with floats of so many significant digits: what goes into a header."""
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def page(name: str, scores: dict[str, Any]) -> str:
    """The scores as Markdown: the sound, the gradient, each control, each third of its range."""

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g}"

    speed = ", ".join(f"{device} {text(factor)}" for device, factor in scores.get("real_time_factor", {}).items())
    lines = [
        f"## {name}",
        "",
        f"{scores['cases']} cases of {scores['seconds']:.3g} s ({scores['left_out']} more left out: the effect did nothing); "
        f"true gradient: {scores['truth']}; real-time factor: {speed or 'not measured'}.",
        "",
        "| ESR, median | 90 % | MR-STFT | mean absolute error | loudness error, LU |",
        "|---|---|---|---|---|",
        f"| {' | '.join(text(scores[key]) for key in ('esr', 'esr_p90', *MEDIANS[1:]))} |",
        "",
        "| control gradient of | relative error, median | cosine, median | 10 % | norm ratio |",
        "|---|---|---|---|---|",
    ]
    for kind, title in (("mr_stft", "MR-STFT"), ("mse", "mean squared error")):
        g = scores["gradient"][kind]
        lines.append(
            f"| {title} | {text(g['relative_error'])} | {text(g['cosine'])} | {text(g['cosine_p10'])} | {text(g['norm_ratio'])} |"
        )
    regions = scores["regions"]
    title = "Jacobian error, thirds of the range"
    lines += [
        "",
        f"| control | cosine | Jacobian error, median | {title} | ESR, thirds | relative error, thirds |",
        "|---|---|---|---|---|---|",
    ]
    for control, error in scores["jacobian_error"].items():
        own = [r for r in regions if r["control"] == control]
        parts = (" / ".join(text(r[key]) for r in own) for key in ("jacobian_error", "esr", "relative_error"))
        lines.append(
            f"| `{control}` | {text(scores['gradient']['mr_stft']['controls'][control])} | {text(error)} | {' | '.join(parts)} |"
        )
    worst = max((r for r in regions if r["relative_error"] is not None), key=lambda r: r["relative_error"], default=None)
    if worst is not None:
        lines += [
            "",
            f"Weakest: `{worst['control']}` from {worst['from']:.4g} to {worst['to']:.4g}, where the gradient's relative error "
            f"is {text(worst['relative_error'])} (median of {worst['cases']} cases).",
        ]
    return "\n".join(lines) + "\n"
