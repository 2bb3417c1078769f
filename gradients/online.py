"""Fine-tuning a proxy on the very effect that it stands for, while a model is trained through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradients.strategy import Fn


def relative_error(output: Tensor, target: Tensor) -> Tensor:
    """Energy of the difference over the target's (ESR), each item for itself, averaged."""
    difference = (output - target).square().sum((1, 2))
    return (difference / (target.square().sum((1, 2)) + 1e-8 * target[0].numel())).mean()


class OnlineAdaptation:
    """The second regime of training through a proxy: the proxy is fine-tuned on the effect's own output as it is used.

    Without it a proxy is frozen (Steinmetz et al. 2020, 2022). An object of this class is given to a strategy,
    `Proxy(adapt=...)` or `Hybrid(adapt=...)`, and holds what changes: parameters and the optimiser's state of each proxy that the
    strategy meets. The networks themselves are never written to, so a shipped proxy stays as it was shipped; `state` tells what
    became of one. Deterministic. It needs an ordinary backward pass: not torch.compile, not torch.func around the effect.

    Args:
        lr: of Adam.
        every: adapt at every so many-th call of the effect with gradients enabled, the first one included.
        steps: of Adam at each of those calls, all on that call's audio.
        spread: at 0 the proxy learns from the outputs that are made anyway, at the controls in use. These say what the effect
            does there and not how it changes: a batch of like controls teaches no derivative. Above 0, each step runs the
            effect once more, each item's controls moved by up to so much in [0, 1].
        loss: loss(proxy's output, effect's output), both (B, C, T) -> scalar.
        seed: of the moves.

    Attributes:
        losses: the loss before each step, of all proxies, in order.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        every: int = 1,
        steps: int = 1,
        spread: float = 0.0,
        loss: Callable[[Tensor, Tensor], Tensor] = relative_error,
        seed: int = 0,
    ) -> None:
        for name, value in (("lr", lr), ("every", every), ("steps", steps)):
            if not value > 0:
                raise ValueError(f"OnlineAdaptation: {name} must be above 0; got {value}.")
        if not 0 <= spread <= 1:
            raise ValueError(f"OnlineAdaptation: spread is from 0 to 1; got {spread}.")
        self.lr, self.every, self.steps, self.spread, self.loss = lr, every, steps, spread, loss
        self._generator = torch.Generator().manual_seed(seed)
        self.losses: list[float] = []
        self._students: dict[Any, _Student] = {}
        self._waiting: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"OnlineAdaptation(lr={self.lr:g}, every={self.every}, steps={self.steps}, spread={self.spread:g})"

    def state(self, proxy: Fn) -> dict[str, Tensor]:
        """The adapted parameters and buffers of a proxy by their names: what its `load_state_dict` takes.

        Raises:
            KeyError: no call has met this proxy.
        """
        return {k: v.detach().clone() for k, v in self._students[_key(proxy)].state.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that was learned and how it goes on, of plain values and tensors, for a checkpoint.

        Proxies have no names of their own; they stand in the order in which the strategy met them.
        """
        students = [student.state_dict() for student in self._students.values()] + self._waiting
        return {"students": students, "generator": self._generator.get_state(), "losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave. Proxies take up what they learned when they are met, in the order of then.

        Raises:
            ValueError: this object has met a proxy before.
        """
        if self._students:
            raise ValueError("OnlineAdaptation: load_state_dict is for a new object; this one has met a proxy.")
        self._generator.set_state(state["generator"])
        self.losses, self._waiting = list(state["losses"]), list(state["students"])

    def follow(self, name: str, proxy: Fn, effect: Fn, x: Tensor, u: Tensor, y: Tensor, aux: dict[str, Tensor]) -> None:
        """Let the proxy learn from the effect, whose output at (x, u, **aux) is `y`, if it is its turn; `name` is the
        effect's, for messages.

        Raises:
            TypeError: the proxy is a plain function, which has no parameters.
        """
        student = self._student(name, proxy, x)
        student.calls += 1
        if (student.calls - 1) % self.every:
            return
        x, u, y = x.detach(), u.detach(), y.detach()
        aux = {k: t.detach() for k, t in aux.items()}
        for _ in range(self.steps):
            at, goal = u, y
            if self.spread:
                move = torch.rand(*u.shape[:2], *[1] * (u.ndim - 2), generator=self._generator).to(u)
                at = (u + self.spread * (2 * move - 1)).clamp(0, 1)
                with torch.no_grad():
                    goal = effect(x, at, **aux)
            with torch.enable_grad():  # also within a forward pass that autograd does not see
                loss = self.loss(student.run(student.state, x, at, **aux), goal)
                gradients = torch.autograd.grad(loss, student.leaves, allow_unused=True)
            for leaf, gradient in zip(student.leaves, gradients, strict=True):
                leaf.grad = gradient
            student.optimiser.step()
            self.losses.append(float(loss.detach()))

    def frozen(self, name: str, proxy: Fn, x: Tensor) -> Fn:
        """The proxy as it is now: what is learned later leaves passes that are under way alone.

        Args:
            name: the effect's, for messages.
            proxy: the network that a copy was made of.
            x: audio on the device where the copy is to be.
        """
        student = self._student(name, proxy, x)
        state = {k: v.detach().clone() for k, v in student.state.items()}
        return lambda x, u, **aux: student.run(state, x, u, **aux)

    def _student(self, name: str, proxy: Fn, x: Tensor) -> _Student:
        key = _key(proxy)
        if key not in self._students:
            module = module_of(name, proxy)
            student = _Student(module, x.device, self.lr)
            if self._waiting:
                student.load_state_dict(name, self._waiting.pop(0))
            self._students[key] = student
        return self._students[key]


def module_of(name: str, proxy: Fn) -> nn.Module:
    """The module that a proxy is, or that its method `module` gives.

    Raises:
        TypeError: there is none, or it has no parameters.
    """
    module = proxy if isinstance(proxy, nn.Module) else getattr(proxy, "module", lambda: None)()
    if not isinstance(module, nn.Module) or next(module.parameters(), None) is None:
        raise TypeError(f"{name}: OnlineAdaptation needs a proxy with parameters, a torch.nn.Module; got {type(proxy).__name__}.")
    return module


def _key(proxy: Fn) -> Any:
    return getattr(proxy, "key", proxy)


class _Student:
    """One proxy's own parameters, in the place of its module's."""

    def __init__(self, module: nn.Module, device: torch.device, lr: float) -> None:
        self.module, self.calls = (module,), 0  # in a tuple: nothing here is to be moved or switched to training with it
        own = {k: p.detach().to(device, copy=True).requires_grad_() for k, p in module.named_parameters()}
        self.state = {**own, **{k: b.detach().to(device, copy=True) for k, b in module.named_buffers()}}
        self.leaves = list(own.values())
        self.optimiser = torch.optim.Adam(self.leaves, lr=lr)

    def state_dict(self) -> dict[str, Any]:
        state = {k: v.detach().clone() for k, v in self.state.items()}
        return {"calls": self.calls, "state": state, "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, name: str, saved: dict[str, Any]) -> None:
        shapes, own = ({k: v.shape for k, v in s.items()} for s in (saved["state"], self.state))
        if shapes != own:
            raise ValueError(f"{name}: OnlineAdaptation: what was saved is of another proxy.")
        with torch.no_grad():
            for key, value in self.state.items():
                value.copy_(saved["state"][key])
        self.calls = saved["calls"]
        self.optimiser.load_state_dict(saved["optimiser"])

    def run(self, state: dict[str, Tensor], x: Tensor, u: Tensor, **aux: Tensor) -> Tensor:
        cast = {k: v.to(x.dtype) if v.is_floating_point() else v for k, v in state.items()}
        return functional_call(self.module[0], cast, (x, u), aux)
