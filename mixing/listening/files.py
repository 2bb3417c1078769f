"""JSON files that come from elsewhere: read whole, checked against a schema, refused in a sentence."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from mixing import strict_json
from mixing.errors import UserError


@cache
def schema(name: str) -> dict[str, Any]:
    """A schema of this folder: "ratings", "key", "questionnaire"."""
    return json.loads(Path(__file__).with_name(f"{name}.schema.json").read_text(encoding="utf-8"))


def canonical(value: Any) -> str:
    """One text for one value: sorted keys, no spaces. The page's `dasp.canonical` writes the same."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, hexadecimal."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def read_text(path: Path, largest: int) -> str:
    """A text file of at most so many bytes.

    Raises:
        UserError: missing, unreadable, too large, or not UTF-8.
    """
    try:
        if path.stat().st_size > largest:
            raise UserError(f"{path}: is larger than {largest // 1_000_000} MB; give the right file.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({(error.strerror or str(error)).lower()}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file.") from None


def read_json(path: Path, largest: int, kind: str) -> Any:
    """A JSON file that fits a schema.

    Args:
        path: the file.
        largest: in bytes.
        kind: of the schema.

    Raises:
        UserError: it cannot be read, is not JSON, or does not fit; the message says where.
    """
    text = read_text(path, largest)
    value = strict_json.parse(str(path), text)
    check(str(path), value, kind)
    return value


def check(who: str, value: Any, kind: str) -> None:
    """Refuse a value that does not fit a schema.

    Raises:
        UserError: the message says where and why.
    """
    strict_json.check(who, value, schema(kind))
