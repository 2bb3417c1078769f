"""Trained proxies by name or file: loaded from `proxies` at first use, shared by all effects, and part of none."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dasp.param import Param
from gradients.online import module_of

if TYPE_CHECKING:
    from dasp.chain import Compound
    from dasp.effect import Effect
    from proxies import Network

SUFFIX = ".safetensors"


def _shipped() -> frozenset[str]:
    spec = importlib.util.find_spec("proxies")
    folders = [] if spec is None else spec.submodule_search_locations or []
    return frozenset(path.stem for folder in folders for path in Path(folder, "weights").glob(f"*{SUFFIX}"))


SHIPPED = _shipped()
"""Names of the weights that came with the package, by a look into its folder: nothing is loaded for it."""

_networks: dict[tuple[str, torch.dtype, torch.device], Network] = {}
_CPU = torch.device("cpu")


@torch.compiler.assume_constant_result
def _load(reference: str) -> bool:
    """Load a network once in a process, in both dtypes that audio has. torch.compile runs this while it traces, and goes on."""
    if (reference, torch.float32, _CPU) not in _networks:
        import proxies

        network = proxies.load(reference)
        _networks[reference, torch.float64, _CPU] = _copied(network, torch.float64, _CPU)
        _networks[reference, torch.float32, _CPU] = network
    return True


def _copied(network: Network, dtype: torch.dtype, device: torch.device) -> Network:
    import copy

    return copy.deepcopy(network).to(device=device, dtype=dtype)


@dataclass(frozen=True)
class Trained:
    """A trained proxy of one effect, by the name of shipped weights or by a file.

    A view of a `gradients.Target`. The network behind it is loaded at the first use, frozen, and shared by all effects of the
    process; no effect owns it: it is in no `parameters()`, no `state_dict()`, no copy and no pickle, and `train()` does not
    reach it.

    Attributes:
        effect: name of the effect, for messages.
        reference: what `proxies.load` takes.
        controls: the effect's table, which must be the one of the training.
        sample_rate: the effect's, in Hz, which must be that of the training.
        path: the effect's import path.
    """

    effect: str
    reference: str
    controls: tuple[Param, ...]
    sample_rate: float
    path: str

    @property
    def key(self) -> str:
        """What tells one proxy from another: effects of the same weights have the same."""
        return self.reference

    def prepare(self) -> None:
        """Load the network.

        Raises:
            ValueError: there is none, or it is of another table or sample rate; the message has what mends it.
        """
        _load(self.reference)
        header = _networks[self.reference, torch.float32, _CPU].header
        assert header is not None
        if header.sample_rate != self.sample_rate:
            raise ValueError(
                f"{self.effect}: its proxy {self.reference} is of {header.sample_rate:g} Hz and the effect of "
                f"{self.sample_rate:g} Hz; make the effect with sample_rate={header.sample_rate:g} and resample the audio, take "
                f"another gradient ('autodiff', 'spsa', 'fd'), or train a proxy at this rate: "
                f"{training_command(self.path, self.sample_rate)}"
            )
        if not torch.compiler.is_compiling():
            header.check(self.controls)

    def __call__(self, x: Tensor, u: Tensor, state: dict | None = None, **aux: Any) -> Tensor:
        if aux:
            raise ValueError(f"{self.effect}: its proxy hears the audio only and has no use for {', '.join(aux)}=.")
        network = self._network(x.dtype, x.device)
        if state is None:
            return network(x, u)
        y, after = network.stream(x, state, u)
        state.update(after)
        return y

    def outside(self, x: Tensor, u: Tensor) -> list[str]:
        """What of audio and controls was not in the training: see `proxies.validity`."""
        return self._network(torch.float32, _CPU).outside(x, u)

    def module(self) -> nn.Module:
        """The network, float32 on the CPU; not to be written to."""
        return self._network(torch.float32, _CPU)

    def _network(self, dtype: torch.dtype, device: torch.device) -> Network:
        if (self.reference, dtype, device) not in _networks:
            _load(self.reference)
            if device != _CPU:
                _networks[self.reference, dtype, device] = _copied(_networks[self.reference, dtype, _CPU], dtype, device)
        return _networks[self.reference, dtype, device]


class Composed:
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


def as_reference(proxy: Any) -> Any:
    """A path becomes text, and absolute where it is more than a name; anything else stays what it is."""
    if not isinstance(proxy, str | os.PathLike):
        return proxy
    text = os.fspath(proxy)
    return text if Path(text).name == text and not text.endswith(SUFFIX) else os.path.abspath(text)


def training_command(path: str, sample_rate: float) -> str:
    """What trains a proxy for the effect at an import path."""
    rate = "" if sample_rate == 44100 else f" --set sample_rate={sample_rate:g}"
    return f"python -m proxies.train {shlex.quote(path)}{rate}"
