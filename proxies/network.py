"""What a proxy network is: a function of audio and controls that can be built again from its name and settings."""

from __future__ import annotations

import difflib
import importlib
import json
import pkgutil
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from proxies.header import Header

_DEFINITION = re.compile(r"^class \w+\(Network\):", re.MULTILINE)


class Network(nn.Module):
    """A network called as an effect is: (audio (B, C, T), controls (B, P) or (B, P, frames) in [0, 1]) -> audio (B, C', T).

    A file of this package that defines one subclass is a kind of network, and its name is the kind: `tcn.py`, "tcn". The
    subclass has a constructor whose arguments JSON can hold, which begins with `super().__init__(locals())` and runs on torch's
    meta device as well (`load` tries a file's settings there first), and a `process`. Where the constructor has arguments
    `num_controls`, `in_channels`, `out_channels` and `causal` they mean the same in all: C must be a multiple of `in_channels`,
    each group of that many channels is processed for itself with the same weights, and each gives `out_channels`.
    `proxies.testing.check_network` tells whether all this holds.

    Attributes:
        kind: the file's name.
        settings: the constructor's arguments, all of them; `build(kind, **settings)` makes the network again, with new weights.
        num_controls: P.
        in_channels: channels that the network sees together.
        out_channels: channels that it makes of those.
        causal: whether the output depends on the past only, so that the network can `stream`.
        receptive_field: samples of the input that one sample of the output depends on, itself included; None: unbounded.
        header: what `load` read beside the weights: effect, control table, rate, scores; None for a network that was not loaded.
    """

    kind: ClassVar[str]
    num_controls: int
    in_channels: int
    out_channels: int
    causal: bool
    settings: dict[str, Any]
    header: Header | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__module__.rpartition(".")[2]

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        arguments = {name: value for name, value in arguments.items() if name not in ("self", "__class__")}
        self.settings = json.loads(json.dumps(arguments, allow_nan=False))
        for name in ("num_controls", "in_channels", "out_channels"):
            setattr(self, name, self.settings.get(name, 1))
        self.causal = self.settings.get("causal", True)
        self.at_least(1, "num_controls", "in_channels", "out_channels")

    def at_least(self, low: int, *names: str) -> None:
        """Check the settings of these names, which are sizes.

        Raises:
            ValueError: one is not an integer of at least `low`.
        """
        for name in names:
            size = self.settings.get(name, low)
            if type(size) is not int or size < low:
                raise ValueError(f"{self.name}: {name} must be an integer of at least {low}; got {size!r:.100}.")

    @property
    def name(self) -> str:
        """The class's name, as error messages have it."""
        return type(self).__name__

    @property
    def description(self) -> dict[str, Any]:
        """What a header says of the network: `build(**network.description)` makes it again, with new weights."""
        return {"kind": self.kind, **self.settings}

    @property
    def receptive_field(self) -> int | None:
        """How many samples of the past an output sample depends on; None where that has no end."""
        return None

    def train(self, mode: bool = True) -> Network:
        """Set training or evaluation mode.

        A network without a parameter to be trained stays in evaluation mode: a loaded one is part of an effect, and that of
        a model, whose `train()` must not change what it does. `network.requires_grad_().train()` trains it further.
        """
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Any] | None) -> Tensor:
        """The network itself, on checked shapes.

        Args:
            x: audio (N, in_channels, T), T at least 1.
            controls: (N, P) or (N, P, frames) in [0, 1], of x's dtype.
            state: None for a whole signal; else a dict, empty at first, whose entries (tensors, or dicts of them) are what the
                block before left and are replaced, never written to, by what this one leaves (see `with_past`).

        Returns:
            audio (N, out_channels, T).
        """
        raise NotImplementedError

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        """Process audio.

        Args:
            x: audio (B, C, T), C a multiple of `in_channels`, of the network's own dtype.
            controls: (B, P) or (B, P, frames) in [0, 1].

        Returns:
            audio (B, C / in_channels * out_channels, T).

        Raises:
            ValueError, TypeError: a shape or dtype is wrong; the message has what was expected. Values are not checked.
        """
        return self._fold(x, controls, None)

    def stream(
        self, x: Tensor, state: dict[str, Any] | None = None, controls: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Process the next block of a signal, of any length; the blocks together are the whole, to rounding.

        Args:
            x: audio (B, C, T), the block.
            state: what the call for the block before returned; None for the first one. It is not changed.
            controls: (B, P) or (B, P, frames) in [0, 1] for this block: frames are spread over the block.

        Returns:
            audio as `forward` gives it, and the state after the block.

        Raises:
            ValueError: the network looks ahead, or is in training mode; otherwise as `forward`.
        """
        if not self.causal:
            raise ValueError(
                f"{self.name}: cannot stream: it is not causal, and a sample of its output depends on later samples of the "
                "input. Give it the whole signal, or train one with causal=True."
            )
        if self.training:
            raise ValueError(
                f"{self.name}: cannot stream in training mode, in which normalisations read the whole batch. Call .eval() first."
            )
        if controls is None:
            raise ValueError(f"{self.name}: stream needs controls ({len(x)}, {self.num_controls}) for every block; got none.")
        after = dict(state or {})
        return self._fold(x, controls, after), after

    def outside(self, x: Tensor, controls: Tensor) -> list[str]:
        """What of audio x and controls was not in this network's training: `proxies.validity.outside`.

        Raises:
            ValueError: the network has no header.
        """
        from proxies.validity import outside

        if self.header is None:
            raise ValueError(f"outside: this {self.name} has no header that says what it was trained on; load reads one.")
        return outside(self.header, x, controls)

    def _fold(self, x: Tensor, controls: Tensor, state: dict[str, Any] | None) -> Tensor:
        """Check, fold groups of channels into the batch, process, unfold."""
        if x.ndim != 3 or x.shape[1] % self.in_channels:
            width = "C" if self.in_channels == 1 else f"a multiple of {self.in_channels}"
            raise ValueError(f"{self.name}: expected audio (B, {width}, T); got {tuple(x.shape)}.")
        no_frames = x.shape[2] and not all(controls.shape[2:])
        if controls.ndim not in (2, 3) or controls.shape[:2] != (len(x), self.num_controls) or no_frames:
            shape = f"({len(x)}, {self.num_controls})"
            raise ValueError(f"{self.name}: expected controls {shape} or {shape[:-1]}, frames); got {tuple(controls.shape)}.")
        own = next((p.dtype for p in self.parameters()), x.dtype)
        if x.dtype != own:
            raise TypeError(
                f"{self.name}: expected audio of its weights' dtype {own}; got {x.dtype}. "
                f"Use x.to({own}) or network.to({x.dtype})."
            )
        batch, channels, samples = x.shape
        groups = channels // self.in_channels
        if x.numel():
            u = controls.to(x.dtype).repeat_interleave(groups, 0)
            y = self.process(x.reshape(-1, self.in_channels, samples), u, state)
        else:
            y = x.new_zeros(0)
        return y.reshape(batch, groups * self.out_channels, samples)


def with_past(x: Tensor, samples: int, state: dict[str, Any] | None, key: str) -> Tensor:
    """x (N, C, T) behind the `samples` samples that came before it -> (N, C, samples + T).

    Zeros come before the first sample of a signal. With a state the samples are those kept under `key`, and the last of the
    result are kept there in their place: what a causal convolution needs to go on.

    Raises:
        ValueError: the state is of another number of signals or channels.
    """
    if state is None:
        return nn.functional.pad(x, (samples, 0))
    past = state.get(key, x.new_zeros(*x.shape[:2], samples))
    if past.shape != (*x.shape[:2], samples):
        raise ValueError(f"stream: expected a state of shape {(*x.shape[:2], samples)} under {key!r}; got {tuple(past.shape)}.")
    y = torch.cat((past, x), 2)
    state[key] = y[..., x.shape[2] :].clone()  # not a view, which would keep the whole block
    return y


def per_sample(controls: Tensor, samples: int) -> Tensor:
    """(N, P) -> (N, P, 1); (N, P, frames) -> (N, P, samples), interpolated linearly between the frames' centres."""
    if controls.ndim == 2:
        return controls[..., None]
    return nn.functional.interpolate(controls, samples, mode="linear", align_corners=False)


def kinds() -> list[str]:
    """The kinds that `build` knows: modules of this package whose source says `class ...(Network):`; none is imported for it."""
    import proxies

    found = []
    for module in pkgutil.iter_modules(proxies.__path__):
        loader: Any = module.module_finder.find_spec(module.name, None).loader  # type: ignore[union-attr]
        if not module.ispkg and _DEFINITION.search(loader.get_source(module.name) or ""):
            found.append(module.name)
    return sorted(found)


def build(kind: str, **settings: Any) -> Network:
    """`build("tcn", num_controls=4)` -> a network of module `proxies.tcn` with new weights.

    Args:
        kind: a module of this package that defines a network.
        settings: the arguments of that network's constructor.

    Raises:
        ValueError: an unknown kind; the message has the nearest and all of them. Or what the constructor refuses.

    >>> build("tcn", num_controls=4, blocks=3).receptive_field
    445
    """
    known = kinds()
    if kind not in known:
        near = difflib.get_close_matches(str(kind), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"build: no kind of network {kind!r:.100}; there are {', '.join(known)}.{hint}")
    module = importlib.import_module(f"proxies.{kind}")
    (cls,) = [
        c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Network) and c.__module__ == module.__name__
    ]
    return cls(**settings)
