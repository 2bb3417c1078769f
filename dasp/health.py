"""`external_health("Plugin.vst3")`: whether a plugin is a function - of its audio, its controls, nothing else - and what may be
asked of it: which gradients, which threads, which block sizes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dasp.blackbox import pedalboard
from dasp.external import External, Range, external
from dasp.hosting import BUFFER, FileHost, reloads_at_reset
from dasp.hosting import load as load_file

SECONDS = 0.25
BLOCKS = (128, 1000, 65536)
SHIFT = 1237  # samples; shares no factor with the blocks and control periods that plugins use
LIMIT = 1e-3
"""Up to this difference, relative to the output's peak, a plugin counts as linear and time-invariant, and two outputs as near."""


@dataclass(frozen=True)
class Health:
    """The report. Differences are the largest of any sample, relative to the output's peak, over the defaults and all random
    settings: 0 is the same bits, None cannot be told.

    Attributes:
        plugin, file: its name; where it is from.
        sample_rate: in Hz.
        channels: counts that it takes; None for any.
        controls, options, left_out: the table in brief; what is left out, and why.
        without_effect: controls that changed nothing, from any of the settings.
        settings: how many random settings were tried.
        finite_as_loaded: no NaN from the plugin as it loads, before anything is set.
        finite_at_defaults: no NaN, no infinity, on noise, impulse, full scale and silence.
        finite_at_random: at how many of the random settings.
        latency_samples: what it holds back; the host compensates for it.
        repeat: the same call twice.
        new_instance: an instance of its own.
        settings_before: after other settings were heard and put back.
        sound_before: what a loud sound leaves behind a reset.
        reloaded_at_reset: it keeps its sound over a reset, so the host loads it again: slow, and on the main thread only.
        block_size: other buffer sizes; the blocks of controls that vary in time are among them.
        linear: the sum of two signals against the sum of their outputs.
        time_invariant: a shifted signal against the shifted output.
        load_seconds: once; None for what is not loaded.
        seconds_per_second: of one second of audio, resets included.
    """

    plugin: str
    file: str
    sample_rate: float
    channels: tuple[int, ...] | None
    controls: tuple[str, ...]
    options: Mapping[str, Any]
    left_out: Mapping[str, str]
    without_effect: tuple[str, ...] | None
    settings: int
    finite_as_loaded: bool
    finite_at_defaults: bool
    finite_at_random: int
    latency_samples: int
    repeat: float | None
    new_instance: float | None
    settings_before: float | None
    sound_before: float | None
    reloaded_at_reset: bool
    block_size: float | None
    linear: float | None
    time_invariant: float | None
    load_seconds: float | None
    seconds_per_second: float

    @property
    def deterministic(self) -> bool | None:
        """Same input, same bits. None: nothing finite came out."""
        return None if self.repeat is None or self.new_instance is None else self.repeat == self.new_instance == 0

    @property
    def adjoint(self) -> bool | None:
        """Whether audio="adjoint" may be used: linear and time-invariant at all settings that were tried."""
        if self.linear is None or self.time_invariant is None:
            return None
        return self.linear <= LIMIT and self.time_invariant <= LIMIT

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "deterministic": self.deterministic, "adjoint": self.adjoint}

    def rows(self) -> list[tuple[str, str, str]]:
        """(question, answer, figure or consequence) for a table."""
        takes = "any" if self.channels is None else ", ".join(map(str, self.channels))
        finite = self.finite_at_random == self.settings
        untouched, stirred = "NaN before anything is set", "every knob having been moved and put back, as dasp does"
        rows = [
            ("channels", takes, ""),
            ("controls", str(len(self.controls)), ", ".join(self.controls)),
            ("options", str(len(self.options)), ", ".join(f"{k}={v!r}" for k, v in self.options.items())),
            ("left out", str(len(self.left_out)), ", ".join(self.left_out)),
            ("controls without effect", _count(self.without_effect), ", ".join(self.without_effect or ())),
            ("finite as loaded", _yes(self.finite_as_loaded), "" if self.finite_as_loaded else untouched),
            ("finite at its defaults", _yes(self.finite_at_defaults), "" if self.finite_as_loaded else stirred),
            ("finite elsewhere", _yes(finite), f"{self.finite_at_random} of {self.settings} random settings"),
            ("latency", f"{self.latency_samples} samples", "the host compensates for it" if self.latency_samples else ""),
            ("deterministic: repeated", *_same(self.repeat)),
            ("deterministic: new instance", *_same(self.new_instance)),
            ("forgets earlier settings", *_same(self.settings_before)),
            ("forgets earlier sound at a reset", *_same(self.sound_before)),
            ("loaded again at each reset", _yes(self.reloaded_at_reset), "main thread only" if self.reloaded_at_reset else ""),
            ("any block size", *_same(self.block_size)),
            ("linear", *_near(self.linear)),
            ("time-invariant", *_near(self.time_invariant)),
            ("gradient of the audio", 'audio="adjoint"' if self.adjoint else 'audio="proxy"', "of the controls: spsa, fd, proxy"),
            ("cost", f"{1e3 * self.seconds_per_second:.1f} ms", "a second of audio"),
        ]
        if self.load_seconds is not None:
            rows.append(("loading", f"{1e3 * self.load_seconds:.0f} ms", "once for each thread that uses it"))
        return rows


def _yes(answer: bool | None) -> str:
    return "?" if answer is None else "yes" if answer else "NO"


def _count(names: tuple[str, ...] | None) -> str:
    return "?" if names is None else str(len(names))


def _same(difference: float | None) -> tuple[str, str]:
    if difference is None:
        return "?", "cannot be told"
    return _yes(difference == 0), "the same bits" if difference == 0 else f"differs by {difference:.1e} of the peak"


def _near(difference: float | None) -> tuple[str, str]:
    if difference is None:
        return "?", "cannot be told"
    return _yes(difference <= LIMIT), f"to {difference:.1e} of the peak"


def external_health(
    plugin: str | Path | type,
    sample_rate: float = 44100,
    *,
    plugin_name: str | None = None,
    ranges: Mapping[str, Range] | None = None,
    settings: int = 4,
    seed: int = 0,
) -> Health:
    """Examine a plugin by its sound.

    Args:
        plugin, sample_rate, plugin_name, ranges: as of `external`.
        settings: how many random settings to try besides the defaults.
        seed: of the settings and of the signals.

    Returns:
        what was found; `str` of it is a report.

    Raises:
        ValueError, ImportError: as `external`.
    """
    if settings < 1:
        raise ValueError(f"external_health: settings is at least 1; got {settings}.")
    with torch.no_grad():
        return _Examination(external(plugin, sample_rate, plugin_name=plugin_name, ranges=ranges), settings, seed).report()


class _Examination:
    """An effect, and the signals and settings that it is heard with."""

    def __init__(self, effect: External, settings: int, seed: int) -> None:
        self.effect, self.settings = effect, settings
        self.generator = torch.Generator().manual_seed(seed)
        self.width = 2 if effect.channels is None or 2 in effect.channels else effect.channels[0]
        self.samples = round(SECONDS * effect.sample_rate)
        random = torch.rand(settings, len(effect.controls), generator=self.generator, dtype=torch.float64)
        self.u = torch.cat([effect.unit(1), random])
        self.noise = self._noise(0.5)

    def _noise(self, level: float) -> Tensor:
        """Noise for two thirds of the time, then silence, in which a tail is heard."""
        x = level * torch.randn(1, self.width, self.samples, generator=self.generator).clamp(-1.9, 1.9)
        x[..., 2 * self.samples // 3 :] = 0
        return x

    def hear(self, x: Tensor, effect: External | None = None) -> Tensor:
        """The signal at each of the settings."""
        return (effect or self.effect)(x.expand(len(self.u), -1, -1), self.u)

    def report(self) -> Health:
        effect, source = self.effect, type(self.effect).source
        host = type(effect).plugin
        load, sound, reloads, as_loaded = None, 0.0, False, None
        y = self.hear(self.noise)
        # Pedalboard's own plugins are made afresh for each run.
        repeat = new = before = _difference(self.hear(self.noise), y)
        if isinstance(host, FileHost):
            start = time.perf_counter()
            plugin = load_file(host.path, host.plugin_name)
            load = time.perf_counter() - start
            as_loaded = bool(np.isfinite(plugin.process(self.noise[0].numpy(), effect.sample_rate)).all())
            repeat, new, before = self._histories(host)
            sound = self._left_behind(host)
            reloads = reloads_at_reset(plugin)
        function = repeat == new == 0
        finite = self._finite()
        return Health(
            plugin=effect.name,
            file=source.what if source.is_file else f"pedalboard.{source.what}",
            sample_rate=effect.sample_rate,
            channels=effect.channels,
            controls=tuple(q.name for q in effect.controls),
            options={k: v for k, v in effect.settings.items() if k != BUFFER},
            left_out=effect.left_out,
            without_effect=self._without_effect() if function else None,
            settings=self.settings,
            finite_as_loaded=bool(finite[0]) if as_loaded is None else as_loaded,
            finite_at_defaults=bool(finite[0]),
            finite_at_random=int(finite[1:].sum()),
            latency_samples=self._latency(),
            repeat=repeat,
            new_instance=new,
            settings_before=before if function else None,
            sound_before=sound,
            reloaded_at_reset=reloads,
            block_size=self._blocks(y) if function else None,
            linear=self._linear(y) if function else None,
            time_invariant=self._shifted(y) if function else None,
            load_seconds=load,
            seconds_per_second=self._cost(),
        )

    def _histories(self, host: FileHost) -> tuple[float | None, float | None, float | None]:
        """Two instances through all settings, each setting twice, then one of them back through all: the differences of the
        repetition, of the other instance, and of what was set before."""
        one, other = host.new(), host.new()
        forth = [(self._play(host, one, i), self._play(host, one, i)) for i in range(len(self.u))]
        twin = [(self._play(host, other, i), self._play(host, other, i)) for i in range(len(self.u))]
        back = [self._play(host, one, i) for i in reversed(range(len(self.u)))][::-1]
        first, second = (torch.stack(column) for column in zip(*forth, strict=True))
        return (
            _difference(second, first),
            _difference(torch.stack([a for a, _ in twin]), first),
            _difference(torch.stack(back), first),
        )

    def _play(self, host: FileHost, instance: Any, index: int, audio: Tensor | None = None) -> Tensor:
        """An instance at one of the settings."""
        values = np.array([q.to_physical(float(u)) for q, u in zip(self.effect.controls, self.u[index], strict=True)])
        x = (self.noise if audio is None else audio)[0].numpy()
        how = {"hop": 0, "sample_rate": self.effect.sample_rate, "settings": self.effect.settings}
        return torch.from_numpy(host.play(instance, x, values, **how))

    def _left_behind(self, host: FileHost) -> float | None:
        """Silence behind a loud sound against silence from the start; not relative to anything."""
        used, silence = host.new(), torch.zeros_like(self.noise)
        self._play(host, used, 0, 4 * self.noise)
        after, before = self._play(host, used, 0, silence), self._play(host, host.new(), 0, silence)
        return float((after - before).abs().max()) if after.isfinite().all() and before.isfinite().all() else None

    def _finite(self) -> Tensor:
        """For each setting, whether all signals come out finite."""
        impulse = torch.zeros_like(self.noise)
        impulse[..., 3] = 1
        square = torch.ones_like(self.noise)
        square[..., ::2] = -1
        signals = (self.noise, impulse, square, torch.zeros_like(self.noise))
        return torch.stack([self.hear(x).isfinite().all(2).all(1) for x in signals]).all(0)

    def _without_effect(self) -> tuple[str, ...]:
        """Each control moved by half its range, from each of the settings."""
        y = self.hear(self.noise)
        names = []
        for i, q in enumerate(self.effect.controls):
            moved = self.u.clone()
            moved[:, i] = (moved[:, i] + 0.5) % 1
            other = self.effect(self.noise.expand(len(moved), -1, -1), moved)
            if torch.equal(y.nan_to_num(), other.nan_to_num()):
                names.append(q.name)
        return tuple(names)

    def _latency(self) -> int:
        source = type(self.effect).source
        host = type(self.effect).plugin
        instance = host.new() if isinstance(host, FileHost) else getattr(pedalboard(), source.what)()
        x = self.noise[0].numpy()
        instance.process(x, self.effect.sample_rate)  # the host holds nothing back before it knows the latency
        instance.reset()
        heard = instance.process(x, self.effect.sample_rate, reset=False)
        return self.samples - heard.shape[1]

    def _blocks(self, y: Tensor) -> float | None:
        others = [type(self.effect)(self.effect.sample_rate, buffer_size=b) for b in BLOCKS if BUFFER in self.effect.settings]
        heard = [self.hear(self.noise, other) for other in others]
        if not self.effect.static and self.effect.controls:
            frames = self.u[..., None].expand(-1, -1, 2)
            heard.append(self.effect(self.noise.expand(len(frames), -1, -1), frames))
        return _largest([_difference(h, y) for h in heard])

    def _linear(self, y: Tensor) -> float | None:
        other = self._noise(0.1)
        return _difference(self.hear(self.noise + other), y + self.hear(other))

    def _shifted(self, y: Tensor) -> float | None:
        later = torch.nn.functional.pad(self.noise, (SHIFT, 0))[..., : self.samples]
        return _difference(self.hear(later)[..., SHIFT:], y[..., :-SHIFT])

    def _cost(self) -> float:
        x = 0.3 * torch.randn(1, self.width, round(self.effect.sample_rate), generator=self.generator)
        times: Sequence[float] = []
        for _ in range(3):
            start = time.perf_counter()
            self.effect(x, self.u[:1])
            times.append(time.perf_counter() - start)
        return min(times)


def _difference(a: Tensor, b: Tensor) -> float | None:
    """The largest difference at any setting, relative to the peak there; settings that are not finite cannot be told."""
    found = []
    for one, other in zip(a.double(), b.double(), strict=True):
        if one.isfinite().all() and other.isfinite().all():
            found.append(float((one - other).abs().max() / other.abs().max().clamp_min(1e-6)))
    return _largest(found)


def _largest(values: Sequence[float | None]) -> float | None:
    told = [v for v in values if v is not None]
    return max(told) if told else None
