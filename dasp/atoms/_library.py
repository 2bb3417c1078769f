"""The compiled kernels: found, loaded with ctypes, called on tensors.

A plain C library: nothing of Python or torch is needed to build it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor

_ABI = 3


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


def native(x: Tensor) -> bool:
    """Whether the kernels serve this tensor; elsewhere the references do."""
    return x.device.type == "cpu" and _LIBRARY is not None


def call(name: str, *args: Tensor | int) -> None:
    """Call a kernel: contiguous CPU tensors by address, integers as int64, the number of threads last."""
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_int64(a) for a in args]
    getattr(_LIBRARY, name)(*values, ctypes.c_int64(torch.get_num_threads()))


def suffix(x: Tensor) -> str:
    """The kernels' name ending for a dtype."""
    return "f64" if x.dtype == torch.float64 else "f32"
