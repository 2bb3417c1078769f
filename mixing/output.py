"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from mixing.errors import UserError


def write_whole(path: str | Path, save: Callable[[Path], None]) -> None:
    """Call `save` with a temporary file beside `path` and move it there.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dasp-", suffix=path.suffix)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); choose another folder.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}).") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """

    def save(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_whole(path, save)


def check_file(path: str | Path) -> None:
    """Refuse a file that could not be written, before any work is done for it.

    Raises:
        UserError: its folder is missing or read-only, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file.")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dasp-")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); choose another folder.") from None
    os.close(handle)
    os.unlink(name)


def check_folder(path: str | Path, files: Iterable[str] = ()) -> None:
    """Refuse an output folder that could not be made or written into, before any work is done for it; leaves no trace.

    Args:
        path: the folder.
        files: names of the files that will be written into it.

    Raises:
        UserError: it is a file, it (or the nearest folder above it that exists) is read-only, or a folder has a file's name.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; choose another folder for the results.")
    for name in files:
        if (path / name).is_dir():
            raise UserError(f"{path / name}: is a folder where a file is to be written; choose another folder.")
    try:
        os.rmdir(_temporary_beside(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); choose another folder.") from None


def write_folder(path: str | Path, save: Callable[[Path], None]) -> None:
    """Call `save` with a temporary folder and move every file that it made into `path`: all of them or none.

    The folder is made where it is missing; other files in it stay, files of the same names are replaced.

    Raises:
        UserError: it cannot be written to.
    """
    path = Path(path)
    temporary = None
    try:
        temporary = _temporary_beside(path)
        save(temporary)
        path.mkdir(parents=True, exist_ok=True)
        for file in sorted(temporary.iterdir()):
            file.chmod(0o666 & ~_umask())
            os.replace(file, path / file.name)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); choose another folder.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(path: str | Path, save: Callable[[Path], None]) -> None:
    """Call `save` with a temporary folder and put it in the place of `path`, folders within it too: whole or not at all.

    What stood there is removed: the caller has made sure that it may be.

    Raises:
        UserError: it cannot be written to.
    """
    path = Path(path)
    temporary = None
    try:
        temporary = _temporary_beside(path.parent)
        made, before = temporary / "made", temporary / "before"
        made.mkdir()
        save(made)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.replace(path, before)
        try:
            os.replace(made, path)
        except OSError:
            if before.exists():
                os.replace(before, path)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); choose another folder.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _temporary_beside(path: Path) -> Path:
    """A new folder on the file system of `path`: in it, or in the nearest folder above it that exists."""
    where = path.absolute()
    while not where.exists():
        where = where.parent
    return Path(tempfile.mkdtemp(dir=where, prefix=".dasp-"))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
