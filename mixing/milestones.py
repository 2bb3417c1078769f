"""What the stages of a match found, kept on disk: a match that was killed goes on behind the last stage that it ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixing.console import Controls
from mixing.errors import UserError
from mixing.multitrack import Multitrack

_PARTS, _STATE = ("tracks", "buses", "master"), "state"


class Milestones:
    """Controls by the name of the stage that found them. What is of another match, or damaged, counts as nothing.

    Args:
        folder: of its own; None keeps nothing.
        identity: of the match; see `identity`.

    Raises:
        UserError: the folder is a link, behind which lie files that are not of the match.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        if folder is not None and folder.is_symlink():
            raise UserError(f"{folder}: is a link, where the match keeps what it found; remove it.")
        self.folder, self.identity = folder, identity
        self._found: dict[str, tuple[Controls, Tensor]] = {} if folder is None else _read(folder, identity)

    def get(self, stage: str) -> Controls | None:
        """What a stage of this match found before."""
        return self._found[stage][0] if stage in self._found else None

    def state(self, stage: str) -> list[float]:
        """What a stage of this match kept beside its controls."""
        return self._found[stage][1].tolist()

    def keep(self, stage: str, controls: Controls, state: Sequence[float] = ()) -> None:
        """Write down what a stage found, and numbers from which the next one goes on."""
        self._found[stage] = controls.map(lambda t: t.detach().clone()), torch.tensor(list(state), dtype=torch.float64)
        if self.folder is not None:
            from proxies import snapshot

            tensors = {f"{name}/{part}": getattr(c, part) for name, (c, _) in self._found.items() for part in _PARTS}
            tensors |= {f"{name}/{_STATE}": state for name, (_, state) in self._found.items()}
            snapshot.write(self.folder, len(self._found), tensors, {"of": self.identity})

    def run(self, stage: str, make: Callable[[], Controls], should_stop: Callable[[], bool]) -> Controls:
        """What the stage found before, or else what `make` finds now; kept unless it was stopped on the way."""
        before = self.get(stage)
        if before is not None:
            return before
        found = make()
        if not should_stop():
            self.keep(stage, found)
        return found


def _read(folder: Path, identity: str) -> dict[str, tuple[Controls, Tensor]]:
    from proxies import snapshot

    tensors, counters = snapshot.newest(folder) or ({}, {})
    if counters.get("of") != identity:
        return {}
    stages = dict.fromkeys(name.rpartition("/")[0] for name in tensors)
    whole = [stage for stage in stages if all(f"{stage}/{part}" in tensors for part in (*_PARTS, _STATE))]
    return {s: (Controls(*(tensors[f"{s}/{part}"] for part in _PARTS)), tensors[f"{s}/{_STATE}"]) for s in whole}


def identity(multitrack: Multitrack, reference: torch.Tensor, **options: Any) -> str:
    """What tells one match from another: the sound of stems and reference, the stems' names, and the options."""
    digest = hashlib.sha256()
    for audio in (multitrack.audio, reference):
        digest.update(audio.detach().cpu().contiguous().numpy().data)
    about = {"names": multitrack.names, "rate": multitrack.sample_rate, "options": {k: repr(v) for k, v in options.items()}}
    digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()
