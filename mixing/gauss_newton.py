"""Gauss-Newton on the residual of a mix, one track at a time: the last stage of a match.

The mix is a sum of strips and stems hardly resemble each other, so each track meets the residual alone: its few controls, all
their perturbations in one batch, a damped least-squares step (Levenberg 1944, Marquardt 1963) that is taken only if the
residual of the whole mix falls. Loud tracks first; each pass leaves less of the others in the residual. The buses are a block
of their own. Differences of strips suffice, so no gradient of the effects is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mixing.console import Console, Controls
from mixing.fit import Progress
from mixing.milestones import Milestones
from mixing.multitrack import Multitrack
from mixing.problem import Problem
from mixing.restart import restart


@torch.no_grad()
def gauss_newton(
    console: Console,
    multitrack: Multitrack,
    reference: Tensor,
    start: Controls,
    *,
    passes: int = 4,
    iterations: int = 4,
    floor_db: float = -70.0,
    progress: Progress = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
    stages: Milestones | None = None,
) -> Controls:
    """Least squares of the mix against the reference (2, T), every sample of it.

    Args:
        console: without a master chain (the mix would not be a sum of strips).
        multitrack: one song.
        reference: (2, T).
        start: near the solution: the method is local.
        passes: over all tracks, at most.
        iterations: of each track in a pass, at most.
        floor_db: stop when the residual is that far below the reference.
        stages: keeps what each pass found; passes that it knows are not done again.
    """
    if console.master is not None:
        raise ValueError("gauss_newton: needs a console without a master chain.")
    stages = stages or Milestones(None, "")
    known = [stages.get(f"refine {sweep}") for sweep in range(passes)]
    done = known.index(None) if None in known else passes
    problem = Problem(console, multitrack, reference, known[done - 1] or start if done else start)
    if done:
        ended, problem.bus_damping, *problem.damping = stages.state(f"refine {done - 1}")
        if ended:
            return problem.controls
    count = multitrack.audio.shape[1]
    total = passes * (count + 1)
    progress("refine", 0, total, problem.cost())
    for sweep in range(done, passes):
        before, at = problem.cost(), sweep * (count + 1)
        order = problem.contributions.square().sum((1, 2)).argsort(descending=True).tolist()
        for place, track in enumerate(order):
            for _ in range(iterations):
                if should_stop():
                    return problem.controls
                if not problem.improve_track(track):
                    break
            progress("refine", at + place + 1, total, problem.cost())
        problem.improve_buses()
        if problem.cost() < 0.5 * 10 ** (floor_db / 10):
            break
        if sweep:
            restart(problem, iterations, should_stop)
        problem.refresh()  # a match that goes on here begins with the same numbers
        progress("refine", at + count + 1, total, problem.cost())
        ended = bool(sweep) and problem.cost() > 0.9 * before
        stages.keep(f"refine {sweep}", problem.controls, (ended, problem.bus_damping, *problem.damping))
        if ended:
            break
    return problem.controls
