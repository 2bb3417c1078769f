"""Proxies in files: safetensors with a JSON header. Reading one executes nothing, whatever the file holds."""

from __future__ import annotations

import difflib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as hooks

from proxies.header import Header
from proxies.network import Network, build, kinds

WEIGHTS = Path(__file__).with_name("weights")
SUFFIX = ".safetensors"
LARGEST_FILE = 1 << 28  # bytes
LONGEST_TABLE = 1 << 20  # bytes of the table before the weights; the header is in it
SPARE = 1 << 22  # elements that a network may hold beside those of its file: constant buffers


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
    from safetensors.torch import save as serialise

    path = Path(path)
    own = {"receptive_field": network.receptive_field, "controls": network.num_controls}
    _agree(header, network=network.description, **own)
    if network.kind not in kinds():
        raise ValueError(
            f"save: {network.name} is not a network of this package, and could not be loaded; {', '.join(kinds())} are."
        )
    state = {name: _stored(name, value, half) for name, value in network.state_dict().items()}
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(serialise(state, {"header": header.to_json()}))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
        header, network, state = _read(path)
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
    from safetensors import safe_open

    path = _found(name_or_path)
    network = load(path)
    assert network.header is not None
    with safe_open(path, "pt") as file:
        half = any(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118 (it is no dict)
    save(path, network, replace(network.header, scores=scores), half=half)
    return path


def _agree(header: Header, **network: Any) -> None:
    """Check fields of a header against the network's own; of `controls`, their number."""
    for field, own in network.items():
        value = getattr(header, field)
        value = len(value) if field == "controls" else value
        if value != own:
            raise ValueError(f"header: {field}: expected the network's {own}; got {value}.")


def _stored(name: str, value: Tensor, half: bool) -> Tensor:
    stored = value.detach().cpu()
    if value.is_floating_point():
        stored = stored.to(torch.float16 if half else torch.float32)
        if not stored.isfinite().all():
            raise ValueError(f"save: {name} is not finite{' as float16; use half=False' if half else ''}.")
    return stored.contiguous().clone()


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


def _read(path: Path) -> tuple[Header, Network, dict[str, Tensor]]:
    """A file's header, the network that it describes, and its weights in float32, not yet in the network."""
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    with path.open("rb") as file:
        table = int.from_bytes(file.read(8), "little")
    if not 8 + table <= size <= LARGEST_FILE or table > LONGEST_TABLE:
        raise ValueError(f"{size} bytes, of which it says that {table} are the table of its tensors.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.keys() != {"header"}:
                raise ValueError(f"expected a header beside its tensors; got {', '.join(metadata)[:200] or 'nothing'}.")
            header = Header.from_json(metadata["header"])
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            network = _rebuilt(header, {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()})
            state = {name: file.get_tensor(name) for name in parts}
    except SafetensorError as error:
        raise ValueError(str(error)[:200]) from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} is not finite.")
    return header, network, {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _rebuilt(header: Header, stored: dict[str, tuple[str, tuple[int, ...]]]) -> Network:
    """The network that a header describes, with new weights; without memory first, until its tensors are known to be the file's.

    Args:
        stored: dtype and shape of each tensor of the file.

    Raises:
        ValueError: there is no such network, or its tensors are not the file's.
    """
    settings = dict(header.network)
    kind = settings.pop("kind")
    elements = sum(math.prod(shape) for _, shape in stored.values())
    try:
        with torch.device("meta"), _no_more_than(len(stored), elements):
            own = build(kind, **settings).state_dict()
    except Exception as error:  # settings from a file may be wrong in any way
        raise ValueError(f"network: {error}") from error
    for name in sorted(own.keys() | stored.keys()):
        dtype, shape = stored.get(name, ("", None))
        expected = None if name not in own else tuple(own[name].shape)
        dtypes = () if name not in own else ("F32", "F16") if own[name].is_floating_point() else ("I64",)
        if shape != expected or dtype not in dtypes:
            wanted, got = f"{expected} {' or '.join(dtypes)}", f"{shape} {dtype}"
            raise ValueError(f"tensor {name!r:.100}: the network has {wanted}; the file has {got}.")
    with (
        torch.device("cpu"),
        torch.random.fork_rng(devices=[]),
    ):  # loading is no reason for the caller's next random number to be another one
        return build(kind, **settings).float()


@contextmanager
def _no_more_than(tensors: int, elements: int) -> Iterator[None]:
    """Within it, this thread registers no more tensors and elements in modules than a file of that many can fill."""
    thread, seen, total = threading.get_ident(), 0, 0

    def count(module: Any, name: str, value: Any) -> None:
        nonlocal seen, total
        if threading.get_ident() != thread or value is None:
            return
        seen += 1
        total += math.prod(value.shape) if isinstance(value, Tensor) else 0
        if seen > 8 * tensors + 64 or total > elements + SPARE:
            raise ValueError(f"its settings are of a larger network than the file's {elements} numbers in {tensors} tensors.")

    with ExitStack() as stack:
        for kind in ("parameter", "buffer", "module"):
            handle = getattr(hooks, f"register_module_{kind}_registration_hook")(count)
            stack.callback(handle.remove)
        yield
