"""What a gradient strategy is: a rule that turns up to three views of one effect into an output with a derivative."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Fn = Callable[..., Tensor]
"""(audio (B, C, T), controls (B, P) or (B, P, frames) in [0, 1], **aux) -> audio (B, C', T)."""

VIEWS = ("whitebox", "blackbox", "proxy")


@dataclass(frozen=True)
class Target:
    """All that a strategy may see of an effect: its name and up to three functions that compute it.

    Where the black box can do better than be called on a batch of copies, `rises` is the way to ask it for many probes at once.

    Attributes:
        name: used in error messages.
        whitebox: differentiable DSP.
        blackbox: the real thing, opaque to autograd.
        proxy: a trained network.
        training: whether the owner is in training mode (`nn.Module.training`); read by `Hybrid(when="eval")`.
        steps: for each control the step in [0, 1] at which differences of the black box are best; empty where nobody measured.
        rises: (x (B, C, T), probes (N, B, P[, frames]), y (B, C', T), g (B, C', T), **aux) -> (N, B) float64, the inner products
            <blackbox(x, probe) - y, g> of N probes of each item; None: `blackbox` on copies of the audio gives them.
        remedy: () -> what to do where there is no proxy, for the error message.
    """

    name: str
    whitebox: Fn | None = None
    blackbox: Fn | None = None
    proxy: Fn | None = None
    training: bool = False
    steps: tuple[float, ...] = ()
    rises: Callable[..., Tensor] | None = None
    remedy: Callable[[], str] = lambda: "Pass proxy=a trained network to the effect."

    def view(self, kind: str, asked_by: str) -> Fn:
        """The function behind one view. One that has a method `prepare` (a network that is yet to be loaded) is told that it will
        be called, so that what is wrong with it shows here and not in the backward pass.

        Args:
            kind: one of VIEWS.
            asked_by: how the message names who asked, `gradient='fd'`.

        Raises:
            ValueError: the effect has no such view; the message names those it has.
        """
        if kind not in VIEWS:
            raise ValueError(f"{asked_by}: a view is one of {', '.join(VIEWS)}; got {kind!r}.")
        function = getattr(self, kind)
        if function is None:
            have = [k for k in VIEWS if getattr(self, k) is not None]
            hint = f" {self.remedy()}" if kind == "proxy" else ""
            raise ValueError(
                f"{self.name}: {asked_by} needs a {kind} view, and this effect has "
                f"{' and '.join(have) if have else 'none'} only.{hint}"
            )
        prepare = getattr(function, "prepare", None)
        if prepare is not None:
            prepare()
        return function


DEFAULT_STEP = 1e-3


def probe_steps(target: Target, u: Tensor, epsilon: float | None) -> Tensor:
    """The step of differences for each control, (1, P) or (1, P, 1) as `u` has it: `epsilon`, or what the target knows."""
    values = target.steps if epsilon is None and target.steps else [DEFAULT_STEP if epsilon is None else epsilon] * u.shape[1]
    return torch.tensor(values, dtype=u.dtype, device=u.device).reshape(1, -1, *[1] * (u.ndim - 2))


class Strategy:
    """A frozen dataclass of its own settings, called in place of the effect."""

    def __call__(self, target: Target, x: Tensor, controls: Tensor, **aux: Tensor) -> Tensor:
        """Run the effect.

        Args:
            target: the effect's views.
            x: audio (B, C, T).
            controls: (B, P) or (B, P, frames) in [0, 1].
            aux: further tensors handed to the view as they are, such as `sidechain` (B, C, T).

        Returns:
            audio (B, C', T), with the derivative that this strategy gives it.
        """
        raise NotImplementedError


def names() -> list[str]:
    """The strings that `resolve` knows: the public modules of this package that define a strategy."""
    import gradients

    helpers = {"strategy", "batching", "online", "operators", "testing"}
    found = (m.name for m in pkgutil.iter_modules(gradients.__path__))
    return sorted(n for n in found if n not in helpers and not n.startswith("_"))


def resolve(spec: str | Strategy) -> Strategy:
    """`"spsa"` -> the strategy of module `gradients.spsa` with its default settings; a Strategy passes through.

    Raises:
        ValueError: an unknown string; the message has the nearest name and all of them.
    """
    if isinstance(spec, Strategy):
        return spec
    known = names()
    if spec not in known:
        near = difflib.get_close_matches(str(spec), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"gradient={spec!r} is not one of {', '.join(known)}, nor a gradients.Strategy object.{hint}")
    module = importlib.import_module(f"gradients.{spec}")
    (cls,) = [
        c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Strategy) and c.__module__ == module.__name__
    ]
    return cls()
