"""The one door to torchaudio, which nothing here needs: imported at first use, and one clear sentence where it cannot be.

Its Linux wheels are CUDA builds: they load beside the package registry's torch and fail to load beside a CPU-only torch.
"""

from __future__ import annotations

import importlib
from types import ModuleType

REQUIREMENT = "torchaudio>=2.11,<2.12"


def torchaudio() -> ModuleType:
    """The torchaudio package.

    Raises:
        ImportError: it is not installed, or does not load beside this torch; the message has the command that mends it.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError as error:
        if error.name != "torchaudio":
            raise
        raise ImportError(f"torchaudio is not installed: pip install '{REQUIREMENT}'.") from error
    except (ImportError, OSError, RuntimeError) as error:
        import torch

        raise ImportError(
            f"torchaudio is installed but does not load beside torch {torch.__version__} ({_first_line(error)}): on Linux it "
            f"needs the package registry's CUDA build of torch, also where there is no GPU: pip install torch '{REQUIREMENT}'."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
