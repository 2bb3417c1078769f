"""Who takes part: rules, which are not trained, and recipes of `dasp train` with what is changed in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_DMC = {
    "model.embedding": 8,
    "model.channels": [4, 8],
    "model.mels": 16,
    "model.n_fft": 512,
    "model.hop": 256,
    "model.patch": 4096,
}
_U_NET = {"model.levels": 3, "model.filters": 4}


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: in tables and folders.
        title: for people.
        rule: a name of `mixing.models` that needs no training here, a rule or shipped weights; None: trained.
        recipe: of `dasp train`.
        changes: of the recipe's settings, by name.
        short: further ones that make it tiny, for a run that only shows that all of this works.
    """

    name: str
    title: str
    rule: str | None = None
    recipe: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    short: dict[str, Any] = field(default_factory=dict)


def _full(gradient: str, about: str) -> System:
    return System(f"dmc-full-{gradient}", f"DMC, full strip, {about}", None, "dmc-full", {"model.gradient": gradient}, _DMC)


def _u_net(form: str, **changes: Any) -> System:
    settings = {"model.form": form, "model.levels": None, "model.filters": 24, **changes}
    return System(
        f"mix-wave-u-net-{form}",
        f"Mix-Wave-U-Net, {form} form, as large as published",
        None,
        "mix-wave-u-net-small",
        settings,
        _U_NET,
    )


SYSTEMS = (
    System("mono", "Mono sum", "mono"),
    System("sum", "Plain sum", "sum"),
    System("equal-loudness", "Equal loudness", "equal_loudness"),
    System("random", "Random faders and pans", "random"),
    System("rules", "Rules of the literature", "rules"),
    System("shipped-gain-pan", "DMC, fader and pan, as shipped", "dmc-gain-pan"),
    System("shipped-full", "DMC, full strip, as shipped", "dmc-full"),
    System("shipped-full-proxy", "DMC, full strip through proxies, as shipped", "dmc-full-proxy"),
    System("shipped-u-net", "Mix-Wave-U-Net, small, as shipped", "mix-wave-u-net-small"),
    System("regression", "Ridge regression", None, "regression"),
    System("demucs", "Demucs, turned round", None, "demucs", {}, {"model.channels": 4, "model.depth": 2, "model.lstm_layers": 1}),
    _u_net("official"),
    _u_net("toolkit"),
    System("dmc-gain-pan", "DMC, fader and pan", None, "dmc-gain-pan", {}, _DMC),
    _full("autodiff", "autodiff"),
    _full("proxy", "proxies"),
    _full("hybrid", "plugins heard, proxies differentiated"),
    _full("spsa", "plugins, SPSA"),
    _full("fd", "plugins, finite differences"),
)
NAMES = tuple(system.name for system in SYSTEMS)
