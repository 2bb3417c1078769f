"""Other starts for tracks that Gauss-Newton left in a local minimum."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mixing.problem import Problem
from mixing.result import leaves
from mixing.spectral import correction, equaliser_controls, refit

_SHARE = 0.1  # of the residual that a track must hold to be tried
_TRACKS = 3  # at most in a round
_DEEPEN = 3  # candidates that are followed down


def restart(problem: Problem, iterations: int, should_stop: Callable[[], bool]) -> None:
    """Try other equalisers and compressors on the tracks that the residual speaks of, and keep what ends lower.

    Candidates: equalisers fitted from several starts to what the track's filter still lacks, and compressors with their
    threshold at several depths below the track's peak. The best few at once are followed by Gauss-Newton.
    """
    shares = _shares(problem)
    for track in shares.argsort(descending=True).tolist()[:_TRACKS]:
        if shares[track] < _SHARE:
            return
        candidates = _candidates(problem, track)
        if not len(candidates):
            return
        _, strips = problem.run(track, candidates)
        goal = problem.residual + problem.strips[track]
        left = []
        for i, strip in enumerate(strips):
            # Each at its own best level: a candidate is judged for its shape.
            gain = ((strip * goal).sum() / strip.square().sum().clamp_min(1e-12)).clamp(0.1, 10.0)
            left.append(float((goal - gain * strip).double().square().sum()))
            candidates[i] = problem.louder(candidates[i], 20 * math.log10(float(gain)))
        for i in torch.tensor(left).argsort().tolist()[:_DEEPEN]:
            if should_stop():
                return
            saved, before = problem.save(track), problem.cost()
            problem.place(track, candidates[i])
            for _ in range(iterations):
                if not problem.improve_track(track):
                    break
            if problem.cost() >= 0.995 * before:
                problem.restore(track, saved)


def _shares(problem: Problem) -> Tensor:
    """(N,): how much of the residual each track could explain by a gain that varies in time or over frequency."""
    residual, strips = problem.residual, problem.strips
    hop = round(0.03 * problem.multitrack.sample_rate)
    cut = residual.shape[1] // hop * hop

    def framed(x: Tensor) -> Tensor:
        return x[..., :cut].unflatten(-1, (-1, hop))

    power = framed(strips).square().sum((1, 3)).clamp_min(1e-9)
    in_time = ((framed(strips) * framed(residual)).sum((1, 3)) ** 2 / power).sum(1)
    magnitude, spectrum = correction(strips, residual + strips.sum(0))
    in_frequency = ((magnitude - 1) ** 2 * spectrum).sum(1) / spectrum.sum(1).clamp_min(1e-12) * strips.square().sum((1, 2))
    return torch.maximum(in_time.double(), in_frequency) / residual.double().square().sum().clamp_min(1e-30)


def _candidates(problem: Problem, track: int) -> Tensor:
    """Controls (K, P) of one track to start again from."""
    effects, table = leaves(problem.console.track_chain), list(problem.console.inserts)
    here, found = problem.tracks[track], []
    if equaliser_controls(effects):
        magnitude, power = correction(problem.strips, problem.residual + problem.strips.sum(0))
        inserts = here[None, : len(table)]
        again, _ = refit(effects, inserts, magnitude[track : track + 1], power[track : track + 1], problem.multitrack.sample_rate)
        found += [torch.cat([option, here[len(table) :]]) for option in again[:4, 0]]
    names = [q.name for q in table]
    if "threshold_db" in names and "ratio" in names:
        place, ratio = names.index("threshold_db"), names.index("ratio")
        peak = 20 * math.log10(max(float(problem.multitrack.audio[0, track].abs().max()), 1e-4))
        for depth in (3.0, 6.0, 10.0, 15.0, 21.0):
            option = here.clone()
            q = table[place]
            option[place] = q.to_unit(min(max(peak - depth, q.low), q.high))
            option[ratio] = table[ratio].to_unit(3.0)
            found.append(option)
    return torch.stack(found) if found else here.new_zeros(0, len(here))
