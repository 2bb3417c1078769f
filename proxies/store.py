"""Weights in files: safetensors with one JSON text beside them. Reading one executes nothing, whatever the file holds."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

SUFFIX = ".safetensors"
LARGEST_FILE = 1 << 28  # bytes
LONGEST_TABLE = 1 << 20  # bytes of the table before the weights; the header is in it
SPARE = 1 << 22  # elements that a network may hold beside those of its file: constant buffers

H = TypeVar("H")
N = TypeVar("N", bound=nn.Module)


def write(path: Path, state: Mapping[str, Tensor], header: str, *, half: bool = False) -> None:
    """Write tensors and a header, whole or not at all.

    Args:
        path: of the file; one that exists is replaced.
        state: tensors by name; floating ones are stored as float32.
        header: JSON.
        half: store them as float16, half the size.

    Raises:
        ValueError: a tensor is not finite (in float16, where asked for).
    """
    from safetensors.torch import save as serialise

    stored = {name: _stored(name, value, half) for name, value in state.items()}
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(serialise(stored, {"header": header}))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path, parse: Callable[[str], H], build: Callable[[H], N]) -> tuple[H, N, dict[str, Tensor]]:
    """Read what `write` wrote. No memory is taken for what a file claims to be before its tensors are known to fit.

    Args:
        path: of the file.
        parse: the header's text -> the header; ValueError refuses it.
        build: the header -> a network with new weights; it is first called on the meta device.

    Returns:
        the header, the network with new weights in float32, and the file's tensors, floating ones as float32.

    Raises:
        ValueError: damaged, none of ours, or the tensors are not those of the network that the header describes.
    """
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
            header = parse(metadata["header"])
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            shapes = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
            network = _rebuilt(lambda: build(header), shapes)
            state = {name: file.get_tensor(name) for name in parts}
    except SafetensorError as error:
        raise ValueError(str(error)[:200]) from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} is not finite.")
    return header, network, {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def is_half(path: Path) -> bool:
    """Whether a file holds float16 tensors."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return any(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118 (it is no dict)


def _stored(name: str, value: Tensor, half: bool) -> Tensor:
    stored = value.detach().cpu()
    if value.is_floating_point():
        stored = stored.to(torch.float16 if half else torch.float32)
        if not stored.isfinite().all():
            raise ValueError(f"save: {name} is not finite{' as float16; use half=False' if half else ''}.")
    return stored.contiguous().clone()


def _rebuilt(build: Callable[[], N], stored: dict[str, tuple[str, tuple[int, ...]]]) -> N:
    """The network that a header describes, with new weights; without memory first, until its tensors are known to be the file's.

    Args:
        build: makes it.
        stored: dtype and shape of each tensor of the file.

    Raises:
        ValueError: there is no such network, or its tensors are not the file's.
    """
    elements = sum(math.prod(shape) for _, shape in stored.values())
    try:
        with torch.device("meta"), _no_more_than(len(stored), elements):
            own = build().state_dict()
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
        return build().float()


@contextmanager
def _no_more_than(tensors: int, elements: int) -> Iterator[None]:
    """Within it, this thread registers no more tensors and elements in modules than a file of that many can fill."""
    thread, seen, total = threading.get_ident(), 0, 0

    def count(module: nn.Module, name: str, value: nn.Module | Tensor | None) -> None:
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
