"""The one door to librosa, whose spectral features these are: imported at first use, since that takes seconds."""

from __future__ import annotations

import importlib
from types import ModuleType

from mixing.errors import UserError


def librosa() -> ModuleType:
    """The librosa package.

    Raises:
        UserError: it is not installed; the message has the command that mends it.
    """
    try:
        return importlib.import_module("librosa")
    except ModuleNotFoundError as error:
        if error.name != "librosa":
            raise
        raise UserError("the spectral features need librosa, which is not installed: pip install 'dasp-toolkit[evaluate]'.") from None
