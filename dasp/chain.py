"""Effects made of effects: in series (Chain), side by side (Parallel). Each is an Effect with one table and one Target."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dasp.automation import per_sample
from dasp.blackbox import Stage
from dasp.effect import Effect
from dasp.param import Param
from gradients import Strategy, Target
from gradients.online import module_of


class Compound(Effect):
    """What Chain and Parallel share: the joint table and how it is split.

    The table is the effects' tables one after the other, behind `own` controls of the compound itself. Names that occur
    once stay; names that occur in several effects get their effect's name in front (`peak_filter_gain_db`), numbered where the
    same effect occurs more than once (`gain1_gain_db`, `gain2_gain_db`).
    """

    def __init__(
        self,
        effects: tuple[Effect, ...],
        gradient: str | Strategy | None,
        proxy: Callable[..., Tensor] | str | os.PathLike | None,
        own: tuple[Param, ...] = (),
    ) -> None:
        kind = type(self).__name__
        if not effects:
            raise ValueError(f"{kind}: needs at least one effect.")
        for effect in effects:
            if not isinstance(effect, Effect):
                raise TypeError(f"{kind}: takes effects such as dasp.Gain(); got {type(effect).__name__}.")
        rates = sorted({e.sample_rate for e in effects})
        if len(rates) > 1:
            raise ValueError(f"{kind}: effects of one sample rate; got {', '.join(f'{r:g}' for r in rates)} Hz.")
        super().__init__(effects[0].sample_rate, gradient=gradient or "autodiff", proxy=proxy)
        self.joint = gradient is not None
        self.effects = nn.ModuleList(effects)
        self.own = own
        self.controls = own + _joint_table(effects)  # type: ignore[misc]
        limits = [set(e.channels) for e in effects if e.channels is not None]
        self.channels = tuple(sorted(set.intersection(*limits))) if limits else None  # type: ignore[misc]
        self.links_channels = any(e.links_channels for e in effects)  # type: ignore[misc]

    @property
    def takes(self) -> frozenset[str]:
        return frozenset().union(*(e.takes for e in self))

    @property
    def static(self) -> str:
        return next((f"{e.name}: {e.static}" for e in self if e.static), "")

    def __iter__(self) -> Iterator[Effect]:
        return iter(self.effects)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.effects)

    def split(self, controls: Tensor) -> list[Tensor]:
        """Controls (B, P[, frames]) -> each effect's own part, in order."""
        return list(controls[:, len(self.own) :].split([len(e.controls) for e in self], dim=1))

    def forward(
        self,
        x: Tensor,
        controls: Tensor | None = None,
        *,
        sidechain: Tensor | None = None,
        state: dict | None = None,
        **physical: float | Tensor,
    ) -> Tensor:
        """As `Effect.forward`. With `gradient=` given to the compound, one strategy serves all its controls at once; without,
        each effect keeps its own."""
        if self.joint:
            return super().forward(x, controls, sidechain=sidechain, state=state, **physical)
        self._check_audio(x, sidechain)
        u = self._unit_controls(x, controls, physical)

        def each(effect: Effect, x: Tensor, part: Tensor, **aux: Any) -> Tensor:
            return effect(x, part, **aux)

        return self._through(each, x, u, sidechain=sidechain, state=state)

    def extra(self, x: Tensor) -> dict[str, Tensor]:
        return {f"{i}.{key}": value for i, effect in enumerate(self) for key, value in effect.extra(x).items()}

    def target(self) -> Target:
        """The compound's views are its effects' views composed, so a strategy sees one function."""

        def composed(kind: str) -> Callable[..., Tensor]:
            def view(x: Tensor, u: Tensor, **aux: Any) -> Tensor:
                def each(effect: Effect, x: Tensor, part: Tensor, **aux: Any) -> Tensor:
                    return effect.target().view(kind, f"a {self.name}'s {kind}")(x, part, **aux)

                return self._through(each, x, u, **aux)

            return view

        steps = tuple(q.step for q in self.controls)
        white, black = composed("whitebox"), composed("blackbox")
        return Target(self.name, white, black, self.proxy_view(), self.training, steps, remedy=self._remedy)

    def proxy_view(self) -> Callable[..., Tensor] | None:
        """A proxy of the whole where there is one, given or shipped; else those of the effects, if all have one."""
        whole = super().proxy_view()
        if whole is not None or any(e.proxy_view() is None for e in self):
            return whole
        return _Composed(self)

    @property
    def path(self) -> str:
        parts = (e.path.removeprefix("dasp:") for e in self)
        return f"dasp:{self.name}({', '.join(p if p.endswith(')') else f'{p}()' for p in parts)})"

    def _remedy(self) -> str:
        return " ".join(f"{e.name}: {e._remedy()}" for e in self if e.proxy_view() is None)

    def _through(self, each: Callable[..., Tensor], x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        raise NotImplementedError

    def _parts(self, u: Tensor, aux: dict[str, Any]) -> Iterator[tuple[Effect, Tensor, dict[str, Any]]]:
        """Each effect with its controls and those auxiliary inputs that it takes; a state of its own within the state."""
        state = aux.get("state")
        for index, (effect, part) in enumerate(zip(self, self.split(u), strict=True)):
            mine = {k: v for k, v in aux.items() if v is not None and k in effect.takes}
            own = f"{index}."
            mine |= {k.removeprefix(own): v for k, v in aux.items() if k.startswith(own)}
            if state is not None and "state" in mine:
                mine["state"] = state.setdefault(index, {})
            yield effect, part, mine

    def extra_repr(self) -> str:
        return f"gradient={self.gradient if self.joint else 'each its own'}"


class Chain(Compound):
    """Effects in series, which is an effect again: chains nest.

    Args:
        *effects: of one sample rate, in the order in which the audio passes them.
        gradient: one strategy for the whole chain (two runs of the chain per SPSA direction serve all its controls);
            None: each effect keeps its own.
        proxy: what imitates the whole chain, for "proxy" and "hybrid": as of any effect. None: the effects' proxies in series.
    """

    def __init__(
        self,
        *effects: Effect,
        gradient: str | Strategy | None = None,
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    ) -> None:
        super().__init__(effects, gradient, proxy)

    def target(self) -> Target:
        """As any compound's, but that plugins next to each other run as one: each item from the first to the last in one go."""
        return replace(super().target(), blackbox=self._blackbox, rises=self._rises if self.in_series else None)

    @property
    def in_series(self) -> bool:
        return all(effect.in_series for effect in self)

    def _blackbox(self, x: Tensor, u: Tensor, sidechain: Tensor | None = None, **aux: Tensor) -> Tensor:
        waiting: list[Stage] = []
        for effect, part, mine in self._parts(u, {**aux, "sidechain": sidechain}):
            if effect.in_series:
                waiting += effect._stages(part, x.shape[2], mine)
                continue
            x, waiting = self._played(x, u, waiting, sidechain), []
            x = effect.target().view("blackbox", f"a {self.name}'s blackbox")(x, part, **mine)
        return self._played(x, u, waiting, sidechain)

    def _stages(self, u: Tensor, samples: int, aux: dict[str, Tensor]) -> list[Stage]:
        return [stage for effect, part, mine in self._parts(u, aux) for stage in effect._stages(part, samples, mine)]

    def _through(self, each: Callable[..., Tensor], x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        for effect, part, mine in self._parts(u, aux):
            x = each(effect, x, part, **mine)
        return x


class Parallel(Compound):
    """Effects side by side on the same input, summed with the dry signal: dry/wet and sends.

    y = dry_level x + sum_i wet_i_level effect_i(x); the levels are linear controls in front of the effects' own.

    Args:
        *effects: of one sample rate; where one makes mono stereo, the dry signal and the others follow.
        gradient, proxy: as in Chain.
    """

    def __init__(
        self,
        *effects: Effect,
        gradient: str | Strategy | None = None,
        proxy: Callable[..., Tensor] | str | os.PathLike | None = None,
    ) -> None:
        names = ["wet_level"] if len(effects) == 1 else [f"wet{i + 1}_level" for i in range(len(effects))]
        own = (
            Param("dry_level", "", 0.0, 1.0, 1.0, doc="linear gain of the unprocessed signal"),
            *(Param(n, "", 0.0, 1.0, 1.0, doc=f"linear gain of {e.name}") for n, e in zip(names, effects, strict=True)),
        )
        super().__init__(effects, gradient, proxy, own)

    def _through(self, each: Callable[..., Tensor], x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        levels = per_sample(u[:, : len(self.own)], x.shape[2]).to(x.dtype)
        branches = [x, *(each(effect, x, part, **mine) for effect, part, mine in self._parts(u, aux))]
        width = max(b.shape[1] for b in branches)
        return torch.stack([levels[:, i : i + 1] * b.expand(-1, width, -1) for i, b in enumerate(branches)]).sum(0)


def _joint_table(effects: tuple[Effect, ...]) -> tuple[Param, ...]:
    counts = Counter(q.name for e in effects for q in e.controls)
    kinds = Counter(e.name for e in effects)
    seen: Counter[str] = Counter()
    table = []
    for effect in effects:
        seen[effect.name] += 1
        number = str(seen[effect.name]) if kinds[effect.name] > 1 else ""
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", effect.name).lower() + number
        table += [q if counts[q.name] == 1 else replace(q, name=f"{prefix}_{q.name}") for q in effect.controls]
    return tuple(table)


class _Composed:
    """The proxies of a compound's effects as one proxy: a view of a `gradients.Target`."""

    def __init__(self, compound: Compound) -> None:
        self.compound = compound

    @property
    def key(self) -> tuple:
        """What tells one proxy from another."""
        return (type(self.compound), *(getattr(p, "key", p) for p in map(self._proxy, self.compound)))

    def prepare(self) -> None:
        """Load the effects' networks."""
        for effect in self.compound:
            self._proxy(effect)

    def __call__(self, x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        def each(effect: Effect, x: Tensor, part: Tensor, **aux: Any) -> Tensor:
            return self._proxy(effect)(x, part, **aux)

        return self.compound._through(each, x, u, **aux)

    def outside(self, x: Tensor, u: Tensor) -> list[str]:
        """What of the audio, as it reaches each effect, and of the controls was not in the training of that effect's proxy."""
        causes: list[str] = []

        def each(effect: Effect, x: Tensor, part: Tensor, **aux: Any) -> Tensor:
            proxy = self._proxy(effect)
            ask = getattr(proxy, "outside", lambda x, u: ["its proxy does not say what it was trained on"])
            causes.extend(f"{effect.name}: {cause}" for cause in ask(x, part))
            return proxy(x, part)

        with torch.no_grad():
            self.compound._through(each, x, u)
        return list(dict.fromkeys(causes))

    def module(self) -> nn.Module:
        """The effects' networks as one."""
        return _Networks(self.compound, [module_of(e.name, self._proxy(e)) for e in self.compound])

    def _proxy(self, effect: Effect) -> Callable[..., Tensor]:
        return effect.target().view("proxy", f"a {self.compound.name}'s proxy")


class _Networks(nn.Module):
    def __init__(self, compound: Compound, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.compound = (compound,)  # in a tuple: not a part of this module

    def forward(self, x: Tensor, u: Tensor, **aux: Any) -> Tensor:
        (compound,) = self.compound
        networks = {id(effect): network for effect, network in zip(compound, self.networks, strict=True)}

        def each(effect: Effect, x: Tensor, part: Tensor, **aux: Any) -> Tensor:
            return networks[id(effect)](x, part, **aux)

        return compound._through(each, x, u, **aux)
