"""The compiled kernels: found, loaded with ctypes, called on tensors.

A plain C library: nothing of Python or torch is needed to build it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradients.operators import Operator

_ABI = 5


def _load() -> ctypes.CDLL | None:
    """The library, or None with one warning if it was not built: the torch references then do its work.

    One source, built once for every processor and once for each wider instruction set: the widest that this processor has is
    loaded. DASP_INSTRUCTIONS names another: baseline, avx2 or avx512. All of them compute the same, to the bit.
    """
    for folder in (Path(__file__).parent, *(Path(p) / "dasp" / "atoms" for p in sys.path)):
        if (folder / "_native.so").is_file():
            library = _open(folder / "_native.so")
            library.dasp_instructions.restype = ctypes.c_char_p
            asked = os.environ.get("DASP_INSTRUCTIONS")
            suffix = library.dasp_instructions().decode() if asked is None else f"_{asked}".removesuffix("_baseline")
            wide = folder / f"_native{suffix}.so"
            if wide.is_file():
                return _open(wide)
            if asked is not None:
                raise ImportError(f"DASP_INSTRUCTIONS={asked}: there is no {wide}; baseline is there on every machine.")
            return library
    warnings.warn(
        "dasp's compiled kernels are missing (no C++ compiler when it was installed): plain torch does their work, "
        "exact but some thousand times slower. Install a compiler and reinstall.",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _open(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    if library.dasp_abi() != _ABI:
        raise ImportError(f"{path} belongs to another version of dasp; build it again: pip install -e .")
    return library


# At import, not at first use: torch.compile cannot trace a search for files.
_LIBRARY = _load()


def compiled(x: Tensor) -> bool:
    """Whether the compiled library serves this tensor; elsewhere the references do, which is as well on a GPU where nothing
    waits for itself: convolutions, designs, curves."""
    return x.device.type == "cpu" and _LIBRARY is not None


def native(x: Tensor) -> bool:
    """The same for what has a GPU kernel too."""
    if x.device.type == "cuda":
        return _TRITON or _without_triton()
    return compiled(x)


def call(name: str, *args: Tensor | int) -> None:
    """Call a kernel: contiguous CPU tensors by address, integers as int64, the number of threads last."""
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_int64(a) for a in args]
    getattr(_LIBRARY, name)(*values, ctypes.c_int64(torch.get_num_threads()))


def apply(function: type[torch.autograd.Function], *args: Any) -> Any:
    """`function.apply`; where no gradients are wanted only its forward, which on short signals is half of the time."""
    return (function.apply if torch.is_grad_enabled() else function.forward)(*args)


def suffix(x: Tensor) -> str:
    """The kernels' name ending for a dtype."""
    return "f64" if x.dtype == torch.float64 else "f32"


# Triton comes with torch's CUDA builds. It is looked for here and imported at the first call of a kernel.
_TRITON = find_spec("triton") is not None


@functools.cache
def _without_triton() -> bool:
    warnings.warn(
        "dasp's GPU kernels need Triton, which is missing: plain torch does their work, exact but some thousand times slower. "
        "Install it: pip install triton.",
        RuntimeWarning,
        stacklevel=3,
    )
    return False


def on_gpu(atom: str, **kernels: Operator) -> None:
    """Let dasp.atoms.gpu.<atom> serve operators on CUDA, each by the function of its keyword; imported at the first call."""

    def later(name: str) -> Callable[..., Any]:
        return lambda *args: getattr(import_module(f"dasp.atoms.gpu.{atom}"), name)(*args)

    for name, op in kernels.items():
        op.register_cuda(later(name))
