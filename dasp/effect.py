"""The base class of all effects: a table of controls, a pure function, a plugin; and one line where the backends part."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dasp.automation import hold, hop_length, to_grid
from dasp.blackbox import Host, Recipe, Stage, joined, register, render, rises
from dasp.param import Param, Scales
from dasp.trained import SHIPPED, Trained, as_reference, training_command
from gradients import Strategy, Target, resolve

LONG = 1 << 22  # samples; without gradients, longer signals go through the white box in blocks of that size
_RESERVED = ("sample_rate", "sidechain", "impulse_response", "state", "hop")


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' for an error message, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


class Effect(nn.Module):
    """An audio effect as a function of audio and of controls in [0, 1].

    A subclass declares `controls` (the table), `dsp` (a pure function whose keywords are the table's names) and, where there
    is one, `plugin`. Everything else - views, shape checks, normalisation, the table in the docstring - follows from these.

    Class attributes:
        controls: the table.
        dsp: white box, `dsp(x, *, sample_rate, <controls>, [sidechain], [impulse_response], [state], [hop], [options])`.
            Controls arrive as float64 tensors (B, 1, 1), or (B, 1, T) when they vary in time. `state` is a dict that streaming
            calls carry along; `hop` is the length of the blocks in which the plugin gets controls that vary, 0 if they do not.
            None: only the plugin is known, and there is no white box.
        plugin: Pedalboard's class name (its attributes are the control names), or a function of the controls and options
            (and impulse_response where `dsp` takes it, and sample_rate where it is named) returning
            [(class name, attributes), ...] in series; or a `Host` that keeps the plugin and runs it; None: the black box is the
            DSP, unseen by autograd.
        plugin_needs_rate: whether the plugin must have seen the sample rate before its attributes are set.
        options: names and defaults of settings that are not controls (no gradient), given to `__init__`.
        channels: input channel counts that are accepted; None for any.
        links_channels: whether one channel's sound depends on another's (a reverb); others treat each for itself.
        static_because: why controls cannot vary in time; empty if they can.
        audio_surrogate: for an effect whose output has no true derivative in its input (a quantiser): what it is instead.

    Args:
        sample_rate: in Hz.
        gradient: a strategy or its name: "autodiff", "fd", "spsa", "proxy", "hybrid".
        proxy: for "proxy" and "hybrid": the name of shipped weights or a file of `proxies.save`, loaded when first needed and
            then shared and frozen, outside of the effect; or a network of your own, called as proxy(x, controls): a Module
            becomes part of the effect, trained and saved with it. None: the weights shipped for this effect, if any.
    """

    controls: ClassVar[tuple[Param, ...]] = ()
    dsp: ClassVar[Callable[..., Tensor] | None] = None
    plugin: ClassVar[str | Callable[..., Recipe] | Host | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    channels: ClassVar[tuple[int, ...] | None] = None
    links_channels: ClassVar[bool] = False
    static_because: ClassVar[str] = ""
    audio_surrogate: ClassVar[str] = ""
    plugin_needs_rate: ClassVar[bool] = False
    _takes: ClassVar[frozenset[str]] = frozenset()
    _key: ClassVar[str] = ""
    _scales: ClassVar[Scales] = Scales(())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "controls" not in vars(cls):
            return
        if cls.dsp is not None:
            cls._takes = _checked_keywords(cls, cls.dsp)
        elif cls.plugin is None:
            raise TypeError(f"{cls.__name__}: declares neither dsp nor plugin; an effect needs one of them.")
        cls._key = register(cls)
        cls._scales = Scales(cls.controls)
        cls.__doc__ = f"{inspect.getdoc(cls) or ''}\n\n{table_of(cls.controls)}"

    def __init__(
        self,
        sample_rate: float = 44100,
        *,
        gradient: str | Strategy = "autodiff",
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if not sample_rate > 0:
            raise ValueError(f"{self.name}: sample_rate is in Hz, above 0; got {sample_rate}.")
        for option in options:
            if option not in type(self).options:
                known = ", ".join(type(self).options) or "none"
                raise TypeError(
                    f"{self.name}: no option {option!r}; it has {known}.{nearest(option, type(self).options)} "
                    "Controls are given at the call, not here."
                )
        self.sample_rate = float(sample_rate)
        self.gradient = resolve(gradient)
        self.proxy = as_reference(proxy)
        self.settings = {**type(self).options, **options}
        self._declaration = json.dumps([self._key, self.settings])  # here, since torch.compile cannot trace json

    @property
    def name(self) -> str:
        """The class's name, as error messages have it."""
        return type(self).__name__

    @classmethod
    def out_channels(cls, channels: int) -> int:
        """Output channels for a number of input channels."""
        return channels

    @property
    def takes(self) -> frozenset[str]:
        """Which of `sidechain` and `state` the effect accepts."""
        return self._takes

    @property
    def static(self) -> str:
        """Why the controls cannot vary in time; empty if they can."""
        return self.static_because

    def forward(
        self,
        x: Tensor,
        controls: Tensor | None = None,
        *,
        sidechain: Tensor | None = None,
        state: dict | None = None,
        **physical: float | Tensor,
    ) -> Tensor:
        """Process audio.

        Args:
            x: audio (B, C, T), float32 or float64.
            controls: (B, P) in [0, 1], or (B, P, frames) when they vary in time, in the order of `self.controls`.
            sidechain: (B, C, T), what the detector listens to instead of x, where the effect has a detector.
            state: a dict, empty at first, that carries the effect's memory from one block to the next (autodiff only).
            **physical: instead of `controls`: values in the controls' own units, floats or tensors (B,) or (B, frames);
                those left out have their default.

        Returns:
            audio (B, C', T).

        Raises:
            ValueError, TypeError: a shape or name is wrong; the message has what was expected. Values are not checked.
        """
        self._check_audio(x, sidechain)
        u = self._unit_controls(x, controls, physical)
        aux: dict[str, Any] = {k: v for k, v in (("sidechain", sidechain), ("state", state)) if v is not None}
        aux |= self.extra(x)
        for key in ("sidechain", "state"):
            if key in aux and key not in self.takes:
                raise ValueError(
                    f"{self.name}: has no use for {key}= (it has {'no detector' if key == 'sidechain' else 'no memory'})."
                )
        return self.gradient(self.target(), x, u, **aux)

    def target(self) -> Target:
        """The views that a strategy may use."""
        steps = tuple(q.step for q in self.controls)
        white = None if type(self).dsp is None else self._whitebox
        rises = None if type(self).plugin is None else self._rises
        return Target(self.name, white, self._blackbox, self.proxy_view(), self.training, steps, rises, self._remedy)

    @property
    def path(self) -> str:
        """An import path that makes the effect again, as `python -m proxies.train` takes it."""
        options = ", ".join(f"{k}={v!r}" for k, v in self.settings.items() if v != type(self).options[k])
        module = "dasp" if type(self).__module__.startswith("dasp.") else type(self).__module__
        return f"{module}:{type(self).__qualname__}{f'({options})' if options else ''}"

    @property
    def shipped(self) -> str:
        """Name of the weights that are shipped for this effect, options included; empty where there are none."""
        ours = type(self).__module__.startswith("dasp.") and self.settings == dict(type(self).options)
        return self.name if ours and self.name in SHIPPED else ""

    def proxy_view(self) -> Callable[..., Tensor] | None:
        """The proxy that strategies get: the network given, or what the name given or the shipped weights will load."""
        given = (self.shipped or None) if self.proxy is None else self.proxy
        if not isinstance(given, str):
            return given
        return Trained(self.name, given, self.controls, self.sample_rate, self.path)

    def _remedy(self) -> str:
        """What to do where there is no proxy."""
        command = training_command(self.path, self.sample_rate)
        return f"No weights are shipped for it: train some with `{command}` and pass proxy=their file, or a network of your own."

    def extra(self, x: Tensor) -> dict[str, Tensor]:
        """Tensors of the effect's own that its views need besides audio and controls, with the batch first: an impulse response.
        They go through the strategy, so that a learnable one gets its gradient under each."""
        return {}

    def stream(
        self, x: Tensor, state: dict | None = None, controls: Tensor | None = None, **physical: float | Tensor
    ) -> tuple[Tensor, dict]:
        """Process the next block of a signal.

        Args:
            x: audio (B, C, T), the block.
            state: what the call for the block before returned; None for the first one. It is not changed.
            controls, physical: as in `forward`, for this block.

        Returns:
            audio (B, C', T) and the state after it, a tree of dicts and tensors (empty where the effect has no memory).
        """
        after = _copied(state or {})
        keywords: dict[str, Any] = {"state": after} if "state" in self.takes else {}
        return self(x, controls, **keywords, **physical), after

    def physical(self, controls: Tensor) -> dict[str, Tensor]:
        """Controls in [0, 1], (B, P) or (B, P, frames) -> name: value in its unit, (B,) or (B, frames)."""
        return {q.name: q.to_physical(controls[:, i]) for i, q in enumerate(self.controls)}

    def unit(self, batch: int = 1, **physical: float | Tensor) -> Tensor:
        """Values in the controls' units (`physical`, as in `forward`) -> (batch, P) or (batch, P, frames) in [0, 1], float64."""
        return unit_controls(self.name, self.controls, batch, physical)

    def _whitebox(self, x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        samples, hop = x.shape[2], 0
        if u.ndim == 3:
            hop = hop_length(u.shape[2], samples)
            u = to_grid(u, samples)
        size = LONG // 16 if hop else LONG  # controls that vary are held in double for every sample of a block
        if torch.is_grad_enabled() or samples <= size:
            return self._run(x, u, hop, **aux)
        size -= size % max(hop, 1)
        out = x.new_empty(x.shape[0], self.out_channels(x.shape[1]), samples)
        if "state" in self._takes:
            aux.setdefault("state", {})
        key = aux.pop("sidechain", None)
        for start in range(0, samples, size):
            part = slice(start, start + size)
            side = {} if key is None else {"sidechain": key[..., part]}
            values = u[..., start // hop : (start + size) // hop] if hop else u
            out[..., part] = self._run(x[..., part], values, hop, **side, **aux)
        return out

    def _run(self, x: Tensor, u: Tensor, hop: int, **aux: Any) -> Tensor:
        """The DSP at controls (B, P), or (B, P, K) that are held for `hop` samples each."""
        values = self._scales.to_physical(u if hop else u[..., None])
        if hop:
            values = hold(values, hop, x.shape[2])
        v = {q.name: value for q, value in zip(self.controls, values.split(1, dim=1), strict=True)} if self.controls else {}
        if "hop" in self._takes:
            aux["hop"] = hop
        dsp = type(self).dsp
        assert dsp is not None
        return dsp(x, sample_rate=self.sample_rate, **v, **aux, **self.settings)

    def _blackbox(self, x: Tensor, u: Tensor, sidechain: Tensor | None = None, **aux: Tensor) -> Tensor:
        return self._played(x, u, self._stages(u, x.shape[2], aux), sidechain)

    def _played(self, x: Tensor, u: Tensor, stages: list[Stage], sidechain: Tensor | None) -> Tensor:
        """x through the plugins of a series, at the values that the stages have of controls u."""
        if not stages:
            return x
        program, values, responses = joined(stages)
        return render(x, values, sidechain, responses, _frames(u), program, self.sample_rate)

    def _rises(self, x: Tensor, probes: Tensor, y: Tensor, g: Tensor, sidechain: Tensor | None = None, **aux: Tensor) -> Tensor:
        """`Target.rises` of the plugins."""
        runs = probes.transpose(0, 1).flatten(0, 1)
        program, values, responses = joined(self._stages(runs, x.shape[2], aux))
        values = values.unflatten(0, (len(x), len(probes)))
        out = rises(x, values, y, g[:, None], sidechain, responses, _frames(runs), program, self.sample_rate)
        return out[..., 0].T

    @property
    def in_series(self) -> bool:
        """Whether the black box is a recipe of plugins, which can be joined to those before and behind it."""
        plugin = type(self).plugin
        return plugin is not None and not isinstance(plugin, Host)

    def _stages(self, u: Tensor, samples: int, aux: dict[str, Tensor]) -> list[Stage]:
        """What the black box runs at controls (runs, P) or (runs, P, frames)."""
        values = self._scales.to_physical(to_grid(u, samples) if u.ndim == 3 else u[..., None])
        values = values if u.ndim == 3 else values[..., 0]
        return [Stage(self._declaration, values, aux.get("impulse_response"))]

    def _check_audio(self, x: Tensor, sidechain: Tensor | None) -> None:
        if x.ndim != 3:
            raise ValueError(
                f"{self.name}: audio must be (batch, channels, samples); got {tuple(x.shape)}. "
                f"Use x.reshape({'1, 1, -1' if x.ndim == 1 else '1, *x.shape' if x.ndim == 2 else '-1, channels, samples'})."
            )
        if not x.is_floating_point() or x.dtype in (torch.float16, torch.bfloat16):
            raise TypeError(f"{self.name}: audio must be float32 or float64; got {x.dtype}. Use x.float().")
        if self.channels is not None and x.shape[1] not in self.channels:
            fix = "Use Panner to make mono stereo." if x.shape[1] == 1 else "Fold further channels into the batch."
            raise ValueError(f"{self.name}: takes {' or '.join(map(str, self.channels))} channels; got {x.shape[1]}. {fix}")
        if sidechain is not None and sidechain.shape != x.shape:
            raise ValueError(
                f"{self.name}: sidechain must have the audio's shape {tuple(x.shape)}; got {tuple(sidechain.shape)}. "
                "Use sidechain.expand_as(x) for one key over all channels."
            )

    def _unit_controls(self, x: Tensor, u: Tensor | None, physical: Mapping[str, float | Tensor]) -> Tensor:
        batch, count = len(x), len(self.controls)
        if u is None:
            u = unit_controls(self.name, self.controls, batch, physical, x.device)
        elif physical:
            raise TypeError(f"{self.name}: give controls in [0, 1] or {', '.join(physical)} in their units, not both.")
        elif u.ndim not in (2, 3) or u.shape[0] != batch or u.shape[1] != count:
            names = ", ".join(q.name for q in self.controls)
            raise ValueError(
                f"{self.name}: controls must be ({batch}, {count}) or ({batch}, {count}, frames) in [0, 1] for {names}; "
                f"got {tuple(u.shape)}."
            )
        if u.ndim == 3:
            if u.shape[2] == 1:
                return u[..., 0]
            if self.static:
                raise ValueError(f"{self.name}: its controls cannot vary in time: {self.static}")
            if u.shape[2] > max(x.shape[2], 1):
                raise ValueError(f"{self.name}: more frames ({u.shape[2]}) than samples ({x.shape[2]}) in controls.")
        return u

    def extra_repr(self) -> str:
        settings = "".join(f", {k}={v!r}" for k, v in self.settings.items())
        return f"{self.sample_rate:g}, gradient={self.gradient}{settings}"


def _checked_keywords(cls: type[Effect], dsp: Callable[..., Tensor]) -> frozenset[str]:
    """The reserved keywords that a white box takes; the others must be the table's names and the options."""
    table = [q.name for q in cls.controls]
    takes = [n for n, p in inspect.signature(dsp).parameters.items() if p.kind is p.KEYWORD_ONLY]
    declared = [n for n in takes if n not in _RESERVED and n not in cls.options]
    if declared != table:
        raise TypeError(
            f"{cls.__name__}: dsp takes {', '.join(declared) or 'nothing'}; the table declares {', '.join(table) or 'nothing'}."
        )
    return frozenset(takes) & set(_RESERVED[1:])


def _frames(u: Tensor) -> int:
    return u.shape[2] if u.ndim == 3 else 0


def _copied(state: dict) -> dict:
    """The tree without its tensors: those are replaced, never written to."""
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in state.items()}


def unit_controls(
    name: str,
    controls: Sequence[Param],
    batch: int,
    physical: Mapping[str, float | Tensor],
    device: torch.device | None = None,
) -> Tensor:
    """Physical values by name -> (batch, P) or (batch, P, frames) in [0, 1]; float64, so that typed values arrive unrounded."""
    known = [q.name for q in controls]
    for key in physical:
        if key not in known:
            raise TypeError(f"{name}: no control {key!r}; it has {', '.join(known) or 'none'}.{nearest(key, known)}")
    frames = {v.shape[1] for v in physical.values() if isinstance(v, Tensor) and v.ndim == 2 and v.shape[1] > 1}
    if len(frames) > 1:
        raise ValueError(f"{name}: controls that vary in time need the same number of frames; got {sorted(frames)}.")
    if not any(isinstance(value, Tensor) for value in physical.values()):
        row = [q.to_unit(float(physical.get(q.name, q.default))) for q in controls]
        return torch.tensor(row, dtype=torch.float64, device=device).expand(batch, -1)
    columns = []
    for q in controls:
        value = physical.get(q.name, q.default)
        if isinstance(value, Tensor):
            if value.ndim > 2 or (value.ndim and value.shape[0] not in (1, batch)):
                raise ValueError(
                    f"{name}: {q.name} must be a number or a tensor ({batch},) or ({batch}, frames); got {tuple(value.shape)}."
                )
            column = q.to_unit(value.double().to(device))
            column = column.reshape(-1, 1) if value.ndim < 2 else column
        else:
            column = torch.tensor([[q.to_unit(float(value))]], dtype=torch.float64, device=device)
        columns.append(column.expand(batch, max(frames, default=1)))
    u = torch.stack(columns, 1)
    return u if frames else u[..., 0]


def table_of(controls: Sequence[Param]) -> str:
    """The controls as a Markdown table."""
    if not controls:
        return "No controls."
    rows = ["| control | unit | range | scale | default | | gradient |", "|---|---|---|---|---|---|---|"]
    rows += [
        f"| `{q.name}` | {q.unit} | {q.low:g} to {q.high:g} | {q.scale} | {q.default:g} | {q.doc} "
        f"| {f'surrogate: {q.surrogate}' if q.surrogate else 'true'} |"
        for q in controls
    ]
    return "\n".join(rows)
