"""What the stages of a match found, kept in a file: a match that was killed goes on behind the last stage that it ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mixing.console import Controls
from mixing.multitrack import Multitrack
from mixing.output import write_whole

_PARTS = ("tracks", "buses", "master")


class Milestones:
    """Controls by the name of the stage that found them. A file of another match, or one that is damaged, counts as none.

    Args:
        path: of the file; None keeps nothing.
        identity: of the match; see `identity`.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        self.path, self.identity = path, identity
        self._found: dict[str, Controls] = {} if path is None else _read(path, identity)

    def get(self, stage: str) -> Controls | None:
        """What a stage of this match found before."""
        return self._found.get(stage)

    def keep(self, stage: str, controls: Controls) -> None:
        """Write down what a stage found."""
        self._found[stage] = controls.map(lambda t: t.detach().clone())
        if self.path is not None:
            self._write(self.path)

    def run(self, stage: str, make: Callable[[], Controls], should_stop: Callable[[], bool]) -> Controls:
        """What the stage found before, or else what `make` finds now; kept unless it was stopped on the way."""
        before = self.get(stage)
        if before is not None:
            return before
        found = make()
        if not should_stop():
            self.keep(stage, found)
        return found

    def forget(self) -> None:
        """The match is done: the file goes."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self, path: Path) -> None:
        from safetensors.torch import save_file

        tensors = {f"{stage}/{part}": getattr(c, part).contiguous() for stage, c in self._found.items() for part in _PARTS}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda temporary: save_file(tensors, temporary, {"of": self.identity}))


def _read(path: Path, identity: str) -> dict[str, Controls]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("of") != identity:
                return {}
            stages = dict.fromkeys(key.rpartition("/")[0] for key in file.keys())  # noqa: SIM118
            return {s: Controls(*(file.get_tensor(f"{s}/{part}") for part in _PARTS)) for s in stages}
    except (OSError, SafetensorError):
        return {}


def identity(multitrack: Multitrack, reference: torch.Tensor, **options: Any) -> str:
    """What tells one match from another: the sound of stems and reference, the stems' names, and the options."""
    digest = hashlib.sha256()
    for audio in (multitrack.audio, reference):
        digest.update(audio.detach().cpu().contiguous().numpy().data)
    about = {"names": multitrack.names, "rate": multitrack.sample_rate, "options": {k: repr(v) for k, v in options.items()}}
    digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()
