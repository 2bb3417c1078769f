"""The state of a training run on disk: one safetensors file a snapshot, whole or not there; the newest whole one counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

KEEP = 2


def write(folder: Path, step: int, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
    """Write a snapshot and remove older ones but the last: when the machine stops here, one of them is whole.

    Args:
        folder: of the snapshots; made where it is missing.
        step: of the optimiser, behind which the snapshot stands.
        tensors: by name.
        counters: JSON values by name.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    data = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, {"counters": json.dumps(counters)})
    temporary = folder / f"{step:09d}.{os.getpid()}.part"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / f"{step:09d}.safetensors")
    for old in _all(folder)[KEEP:]:
        old.unlink(missing_ok=True)


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(tensors, counters) of the newest snapshot that is whole; None where there is none."""
    from safetensors import SafetensorError, safe_open

    for path in _all(folder):
        try:
            with safe_open(path, "pt") as file:
                counters = json.loads((file.metadata() or {})["counters"])
                if not isinstance(counters, dict):
                    continue
                return {name: file.get_tensor(name) for name in file.keys()}, counters  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError, RecursionError):
            continue
    return None


def clear(folder: Path) -> None:
    """Remove all snapshots, and what an interrupted writing left."""
    for path in (*_all(folder), *folder.glob("*.part")):
        path.unlink(missing_ok=True)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state by "number of the parameter.name"."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": torch.as_tensor(value) for number, own in state.items() for name, value in own.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser the state that `optimiser_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `under`."""
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def copied(network: nn.Module) -> dict[str, Tensor]:
    """A network's state as it is now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _all(folder: Path) -> list[Path]:
    """Snapshots, the newest first."""
    return sorted(folder.glob("*.safetensors"), reverse=True)
