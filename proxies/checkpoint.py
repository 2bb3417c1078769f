"""Proxies in files: safetensors with a JSON header. Reading one executes nothing, whatever the file holds."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxies import store
from proxies.header import Header
from proxies.network import Network, build, kinds
from proxies.store import SUFFIX

WEIGHTS = Path(__file__).with_name("weights")


def save(path: str | os.PathLike, network: Network, header: Header, *, half: bool = False) -> None:
    """Write a network's weights and their header, whole or not at all.

    Args:
        path: of the file; by convention it ends in .safetensors. One that exists is replaced.
        network: in float32 or float64; stored as float32.
        header: its network and receptive field must be the network's (`network.description`, `network.receptive_field`).
        half: store the weights as float16, half the size; they are float32 again once loaded.

    Raises:
        ValueError: header and network do not agree, or a weight is not finite (in float16, where asked for).
    """
    own = {"receptive_field": network.receptive_field, "controls": network.num_controls}
    _agree(header, network=network.description, **own)
    if network.kind not in kinds():
        raise ValueError(
            f"save: {network.name} is not a network of this package, and could not be loaded; {', '.join(kinds())} are."
        )
    store.write(Path(path), network.state_dict(), header.to_json(), half=half)


def load(name_or_path: str | os.PathLike, controls: Sequence[Any] | None = None) -> Network:
    """Read a network: `load("Compressor")` is the shipped one, `load("mine.safetensors")` a file.

    Args:
        name_or_path: a name without folder and ending is one of the shipped weights.
        controls: the control table that it must have been trained for, objects with name, unit, low, high and scale
            (`Compressor.controls`); None: not compared.

    Returns:
        the network on the CPU, in float32, in evaluation mode, its parameters without gradients (its output has one in audio
        and controls), with `.header`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown name (the message has the nearest and all of them), another control table (the message has the
            command that trains the weights again), or a file that is damaged or none of ours. Such a file is refused before
            memory is allocated for what it claims to be, and nothing in it is ever executed.
    """
    path = _found(name_or_path)
    try:
        header, network, state = store.read(path, Header.from_json, lambda h: build(**h.network))
        _agree(header, receptive_field=network.receptive_field, controls=network.num_controls)
    except ValueError as error:
        raise ValueError(f"{path.name}: not a proxy that can be loaded: {error}") from error
    if controls is not None:
        header.check(controls)
    network.load_state_dict(state)
    network.header = header
    return network.eval().requires_grad_(False)


def write_scores(name_or_path: str | os.PathLike, scores: dict[str, Any]) -> Path:
    """Replace the scores in a file's header; the weights stay as they are, float16 ones too.

    Raises:
        as `load`; ValueError: the scores are not what a header holds.
    """
    path = _found(name_or_path)
    network = load(path)
    assert network.header is not None
    save(path, network, replace(network.header, scores=scores), half=store.is_half(path))
    return path


def _agree(header: Header, **network: Any) -> None:
    """Check fields of a header against the network's own; of `controls`, their number."""
    for field, own in network.items():
        value = getattr(header, field)
        value = len(value) if field == "controls" else value
        if value != own:
            raise ValueError(f"header: {field}: expected the network's {own}; got {value}.")


def _found(name_or_path: str | os.PathLike) -> Path:
    text = os.fspath(name_or_path)
    if Path(text).name == text and not text.endswith(SUFFIX):
        shipped = sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}"))
        if text not in shipped:
            near = difflib.get_close_matches(text, shipped, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" A file's name ends in {SUFFIX}."
            raise ValueError(f"load: no shipped weights {text!r:.100}; there are {', '.join(shipped) or 'none'}.{hint}")
        return WEIGHTS / f"{text}{SUFFIX}"
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(f"load: no file {text}.")
    if not path.is_file():
        raise ValueError(f"load: {text} is not a file.")
    return path
