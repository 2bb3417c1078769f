"""Recover how a mix was made: fit the console to a reference, given the stems."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dasp import Chain, Compressor, Effect, Gain, HighShelfFilter, LowShelfFilter, PeakFilter, Reverb
from gradients import SPSA, Autodiff, FiniteDifference, Hybrid, Proxy, Strategy, resolve
from mixing.align import find_lags, shift
from mixing.console import Console, Controls
from mixing.fit import Progress, fit
from mixing.gauss_newton import gauss_newton
from mixing.loss import StereoLoss, residual_db
from mixing.milestones import Milestones, identity
from mixing.multitrack import Multitrack
from mixing.result import MatchResult, identifiability, leaves, reduction_db, sounding, strip
from mixing.spectral import (
    LinearMix,
    correction,
    equaliser_controls,
    equaliser_start,
    fader_and_pan,
    linear_mix,
    refit,
    track_energy,
)

EFFECTS = ("LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor")
FOREIGN_DB = -8.0  # a reference made of these stems by a console leaves less than this to the best linear mix
DOUBTFUL_DB = -12.0  # above this a few steps decide: a console with compressors soon explains more than any linear mix


def match(
    multitrack: Multitrack,
    reference: Tensor,
    *,
    gradient: str | Strategy = "autodiff",
    effects: Sequence[str] = EFFECTS,
    reverb: bool = True,
    master: bool | str = "auto",
    align: bool = True,
    steps: int | None = None,
    polish: bool | None = None,
    seed: int = 0,
    progress: Progress = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
) -> MatchResult:
    """Fit a console to a reference mix.

    Stages: late stems are moved; spectral least squares gives faders, pans and equalisers to start from; Adam on excerpts, with
    the gradient strategy asked for; Gauss-Newton to finish. The loss is L1 in time where a linear mix explains
    the reference to -8 dB or better, so it was made of these stems; else (a foreign master) the stereo STFT loss as well, and
    a master chain joins.

    Args:
        multitrack: one song.
        reference: its mix (2, T), as long as the stems.
        gradient: strategy for inserts, bus and master; faders, pans and sends are exact under all. With "proxy" and "hybrid" a
            master chain whose effects have no trained networks keeps its exact gradient.
        effects: inserts of every track by name, in order.
        reverb: whether a shared reverb send is fitted.
        master: a chain of shelves, peak, compressor and gain on the mix; "auto": for foreign masters.
        align: find and move late stems.
        steps: of Adam; by default 50 before Gauss-Newton, else 160 (80 with fd, whose steps take longest).
        polish: finish with Gauss-Newton, by differences of what is heard: of the real plugins where the gradient is theirs; by
            default where there is no master chain.
        seed: of excerpts and stochastic strategies.
        progress: called with (stage, step, of how many, loss).
        should_stop: asked between steps; True keeps the best so far.
        checkpoint: folder in which each stage, and each pass of Gauss-Newton, leaves what it found. The same match called again
            goes on behind it. The caller removes it when the result is safe.

    Returns:
        the settings in human units, the mix that they make, and how near it is.

    Raises:
        ValueError: shapes do not fit, or an effect's name is unknown.
    """
    began = time.monotonic()
    if multitrack.audio.shape[0] != 1:
        raise ValueError(f"match: one song at a time; got a batch of {multitrack.audio.shape[0]}.")
    if reference.ndim != 2 or reference.shape != (2, multitrack.samples):
        raise ValueError(
            f"match: the reference must be (2, {multitrack.samples}), as long as the stems; got {tuple(reference.shape)}."
        )
    strategy = resolve(gradient)
    if gradient == "spsa":  # Adam averages over the steps: more of them serve better than more directions a step
        strategy = SPSA(directions=2)
    options = {"effects": tuple(effects), "reverb": reverb, "master": master, "align": align, "steps": steps, "polish": polish}
    of = identity(multitrack, reference, strategy=strategy, seed=seed, **options) if checkpoint else ""
    stages = Milestones(checkpoint, of)
    history: list[tuple[str, int, float]] = []

    def report(stage: str, step: int, total: int, loss: float) -> None:
        history.append((stage, step, loss))
        progress(stage, step, total, loss)

    names, notes = multitrack.names[0], []
    plain = multitrack.unity_mix()[0]
    report("align", 0, 1, 0.0)
    lags = find_lags(multitrack, reference) if align else [0] * len(names)
    moved = shift(multitrack, lags)
    notes += [
        f"{n}: {abs(lag)} samples ({1e3 * abs(lag) / multitrack.sample_rate:.1f} ms) {'late' if lag > 0 else 'early'} against "
        "the reference; moved."
        for n, lag in zip(names, lags, strict=True)
        if lag
    ]
    linear = linear_mix(moved, reference)
    rate = multitrack.sample_rate
    settings: dict[str, Any] = {"seed": seed, "progress": report, "should_stop": should_stop}

    def console(strategy: Strategy | None, with_master: bool) -> Console:
        end = Chain(LowShelfFilter(rate), PeakFilter(rate), HighShelfFilter(rate), Compressor(rate), Gain(rate))
        if strategy is not None and not (isinstance(strategy, Proxy | Hybrid) and end.proxy_view() is None):
            end = Chain(end, gradient=strategy)

        def under(effect: Effect) -> Effect:
            return effect if strategy is None else Chain(effect, gradient=strategy)

        inserts = strip(tuple(effects), rate)
        buses = {"reverb": under(Reverb(rate))} if reverb else {}
        return Console(None if inserts is None else under(inserts), buses, end if with_master else None)

    foreign = _is_foreign(console(None, False), moved, reference, linear, settings if steps != 0 else None)
    with_master = foreign if master == "auto" else bool(master)
    if foreign:
        notes.append(
            f"Even the best linear mix of these stems leaves {linear.explained_db:.1f} dB: the reference holds more than a "
            "console makes of them (mastering, other versions of stems). The settings are a likeness, not a recovery."
        )
    white, driven = console(None, with_master), console(strategy, with_master)
    heard = white if isinstance(strategy, Autodiff | Proxy) else driven  # a proxy is descended on; the effect itself is heard
    found = start = _start(white, moved, reference, linear)
    candidates = [start]
    settings["stereo_loss"] = foreign
    if polish is None:
        polish = not with_master
    count = steps if steps is not None else (50 if polish else 80 if isinstance(strategy, FiniteDifference) else 160)
    rough = count if polish else count // 3

    def first() -> Controls:
        found = fit(driven, moved, reference, start, steps=rough, **settings)
        if not foreign and equaliser_controls(leaves(white.track_chain)):
            found = _equalisers_again(white, moved, reference, found)
        return found

    if rough and not should_stop():
        found = stages.run("fit", first, should_stop)
        candidates.append(found)
    if count > rough and not should_stop():
        before = found
        found = stages.run(
            "fit again", lambda: fit(driven, moved, reference, before, steps=count - rough, **settings), should_stop
        )
        candidates.append(found)
    if polish and not should_stop():
        found = gauss_newton(heard, moved, reference, found, progress=report, should_stop=should_stop, stages=stages)
        candidates.append(found)
    return _result(
        heard,
        moved,
        reference,
        plain,
        candidates,
        lags,
        linear,
        foreign,
        history,
        notes,
        began,
    )


def _is_foreign(
    console: Console, multitrack: Multitrack, reference: Tensor, linear: LinearMix, settings: dict[str, Any] | None
) -> bool:
    """Whether the reference holds more than a console makes of these stems; in doubt a short white-box fit is tried."""
    if settings is None or not FOREIGN_DB >= linear.explained_db > DOUBTFUL_DB:
        return linear.explained_db > FOREIGN_DB

    def report(stage: str, *rest: Any) -> None:
        settings["progress"]("try", *rest)

    start = _start(console, multitrack, reference, linear)
    tried = fit(console, multitrack, reference, start, steps=50, stereo_loss=False, **{**settings, "progress": report})
    with torch.no_grad():
        return float(residual_db(console(multitrack, tried).audio, reference[None])) > linear.explained_db


def _start(console: Console, multitrack: Multitrack, reference: Tensor, linear: LinearMix) -> Controls:
    """Controls suggested by the best linear mix."""
    tracks, rate = multitrack.audio.shape[1], multitrack.sample_rate
    gain, pan, shape = fader_and_pan(linear, tracks)
    inserts, offset = equaliser_start(leaves(console.track_chain), shape, track_energy(linear, tracks), rate)
    controls = console.defaults(1, tracks)
    place = len(console.inserts)
    controls.tracks[0, :, :place] = inserts
    names = [q.name for q in console.track_controls]
    fader_db = 20 * gain.clamp_min(1e-3).log10() + offset
    if "threshold_db" in names:
        fader_db = fader_db - _compressor_start(console, multitrack, controls)
    for name, value in (("fader_db", fader_db), ("pan", pan)):
        i = names.index(name)
        controls.tracks[0, :, i] = console.track_controls[i].to_unit(value).clamp(0, 1)
    for i, q in enumerate(console.track_controls):
        if q.name.startswith("send_"):
            controls.tracks[0, :, i] = q.to_unit(-18.0)
    if console.master is not None:
        _master_start(console, multitrack, reference, controls)
    return controls


def _compressor_start(console: Console, multitrack: Multitrack, controls: Controls) -> Tensor:
    """Ratio 2 and the threshold at the 80th percentile of the track's own level: above it, or at ratio 1, there is no gradient.
    Returns the mean gain reduction (N,) in dB, for the fader to make up."""
    names = [q.name for q in console.inserts]
    threshold, ratio = names.index("threshold_db"), names.index("ratio")
    reductions = []
    for n in range(multitrack.audio.shape[1]):
        width = int(multitrack.channels[0, n])
        x = multitrack.audio[0, n, :width]
        on = sounding(x, multitrack.sample_rate)
        level = x[:, on].abs().flatten()[:: max(1, int(on.sum()) // 50000)]
        db = 20 * float(torch.quantile(level, 0.8).clamp_min(1e-3).log10()) if level.numel() else -30.0
        q = console.inserts[threshold]
        controls.tracks[0, n, threshold] = q.to_unit(min(max(db, q.low + 1), q.high - 1))
        controls.tracks[0, n, ratio] = console.inserts[ratio].to_unit(2.0)
        trace = reduction_db(console, multitrack, controls, n)
        assert trace is not None
        reductions.append(float(trace[:, on].mean()) if on.any() else 0.0)
    return torch.tensor(reductions, dtype=torch.float64)


def _master_start(console: Console, multitrack: Multitrack, reference: Tensor, controls: Controls) -> None:
    """The master's compressor barely working, its gain where the levels agree."""
    names = [q.name for q in console.master_controls]

    def put(name: str, value: float) -> None:
        q = console.master_controls[names.index(name)]
        controls.master[0, names.index(name)] = q.to_unit(min(max(value, q.low), q.high))

    put("threshold_db", -12.0)
    put("ratio", 1.5)
    with torch.no_grad():
        mix = console(multitrack, controls).audio[0]
    put(
        "gain_gain_db" if "gain_gain_db" in names else "gain_db",
        float(10 * (reference.square().sum() / mix.square().sum()).log10()),
    )


def _equalisers_again(console: Console, multitrack: Multitrack, reference: Tensor, controls: Controls) -> Controls:
    """Fit the equalisers anew, now that compressors, levels and reverb are roughly known, where that lowers the residual.

    The first fit saw the stems' filters with everything else in them, and descent does not leave the local minimum it chose.
    """
    effects, inserts = leaves(console.track_chain), len(console.inserts)
    with torch.no_grad():
        strips = console.strips(multitrack, controls.tracks)
        mix = console.sum(strips, controls)[0]
        magnitude, power = correction(strips[0], reference - (mix - strips[0].sum(0)))
    again, offset = refit(effects, controls.tracks[0, :, :inserts], magnitude, power, multitrack.sample_rate)
    moved = controls.tracks.clone()
    moved[0, :, :inserts] = again[0]
    fader = console.track_controls[inserts]
    moved[0, :, inserts] = fader.to_unit(fader.to_physical(moved[0, :, inserts]) + offset[0]).clamp(0, 1)
    with torch.no_grad():
        other = console.strips(multitrack, moved)[0]
        residual = reference - mix
        before = residual.square().sum()
        better = torch.stack([(residual + a - b).square().sum() < before for a, b in zip(strips[0], other, strict=True)])
    return Controls(torch.where(better[None, :, None], moved, controls.tracks), controls.buses, controls.master)


def _result(
    console: Console,
    multitrack: Multitrack,
    reference: Tensor,
    plain: Tensor,
    candidates: list[Controls],
    lags: list[int],
    linear: LinearMix,
    foreign: bool,
    history: list[tuple[str, int, float]],
    notes: list[str],
    began: float,
) -> MatchResult:
    """The best candidate on the full length, with everything a report needs."""
    distance = StereoLoss()
    target = distance.prepare(reference[None])
    scored = []
    with torch.no_grad():
        for controls in candidates:
            strips = console.strips(multitrack, controls.tracks)
            mix = console.sum(strips, controls)
            stft = float(distance(mix, target))
            residual = float(residual_db(mix, reference[None]))
            scored.append((stft if foreign else residual, len(scored), stft, residual, controls, strips, mix))
        best = min(scored, key=lambda s: s[:2])
        plain_distance = float(distance(plain[None], target))
    _, _, stft, residual, controls, strips, mix = best
    if not plain_distance:
        notes = [*notes, "The reference is the plain sum of these stems; there is nothing to be found out."]
    names = multitrack.names[0]
    physical = console.physical(controls)
    reductions, flags = identifiability(console, multitrack, controls, strips, reference)
    steps = sum(stage == "fit" for stage, *_ in history)
    return MatchResult(
        audio=mix[0],
        sample_rate=multitrack.sample_rate,
        tracks={n: {k: float(v[0, i]) for k, v in physical["tracks"].items()} for i, n in enumerate(names)},
        buses={k: float(v[0]) for k, v in physical["buses"].items()},
        master={k: float(v[0]) for k, v in physical["master"].items()},
        lags=dict(zip(names, lags, strict=True)),
        gain_reduction=reductions,
        flags=flags,
        metrics={
            "residual_db": residual,
            "stft_distance": stft / plain_distance if plain_distance else math.inf,
            "stft_distance_absolute": stft,
            "stft_distance_of_plain_sum": plain_distance,
            "linear_explains_db": linear.explained_db,
            "steps": float(steps),
            "seconds": time.monotonic() - began,
        },
        history=tuple(history),
        notes=(*multitrack.notes, *notes),
        console=console,
        controls=controls,
    )
