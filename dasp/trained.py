"""Trained proxies by name or file: loaded from `proxies` at first use, shared by all effects, and part of none."""

from __future__ import annotations

import importlib.util
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dasp.param import Param

if TYPE_CHECKING:
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


@dataclass(frozen=True, eq=False)  # by identity: torch 2.11 hashes one while it traces, before its fields are there
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
