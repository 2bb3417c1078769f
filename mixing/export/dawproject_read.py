"""A DAWproject that dasp wrote, read back."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from mixing.errors import UserError
from mixing.export import places
from mixing.export.dawproject import RECORD, project
from mixing.export.dawproject_map import conversions, unbalance
from mixing.export.effects import decibels
from mixing.export.media import Medium
from mixing.export.record import Read, lag, parsed
from mixing.settings import Settings, short

TOLERANCE = 1e-9
_LARGEST = 100_000_000  # bytes of project.xml or of the record, unpacked


def read(path: Path) -> Read:
    """The settings and lanes of a project, with what was changed in project.xml since dasp wrote it.

    Raises:
        UserError: no such file, not a zip, unsafe names or XML in it, or not written by dasp.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(path, archive)
            xml, record = (_part(path, archive, name) for name in ("project.xml", RECORD))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a DAWproject ({short(str(error), 100)}).") from None
    settings, lanes = parsed(str(path), record)
    root = _root(path, xml)
    full = places.complete(settings)
    widths = [_channels(root, n) for n in range(len(full["tracks"]))]
    written = project(full, lanes, [Medium(Path("stem.wav"), "stem.wav", 1, 1, w) for w in widths])
    expected, _ = _observed(str(path), written, full)
    observed, notes = _observed(str(path), root, full)
    notes += _changed_lanes(written, root)
    return Read(places.overlay(settings, observed, expected, TOLERANCE), lanes, observed, tuple(notes))


def _check_names(path: Path, archive: zipfile.ZipFile) -> None:
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        if info.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise UserError(f"{path}: holds a file that would leave its folder ({short(info.filename)}); it is not read.")


def _part(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise UserError(f"{path}: has no {name}; only projects that dasp wrote can be read back.") from None
    if info.file_size > _LARGEST:
        raise UserError(f"{path}: {name} is larger than any project ({_LARGEST // 1_000_000} MB).")
    with archive.open(info) as part:
        data = part.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UserError(f"{path}: {name} is larger than any project ({_LARGEST // 1_000_000} MB).")
    return data


def _root(path: Path, xml: bytes) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(xml, forbid_dtd=True)
    except DefusedXmlException:
        raise UserError(f"{path}: project.xml declares a document type or entities; it is not read.") from None
    except (ParseError, ValueError) as error:
        raise UserError(f"{path}: project.xml is not XML ({short(str(error), 100)}).") from None


def _number(who: str, element: Element, attribute: str) -> float:
    try:
        value = float(element.get(attribute, ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{who}: {element.tag} {short(element.get('id', ''))} has no number as its {attribute}.")
    return value


def _observed(who: str, root: Element, full: Settings) -> tuple[dict[str, float], list[str]]:
    table = conversions(full)
    elements = {e.get("id", ""): e for e in root.iter() if e.get("id") in table}
    native = {where: _number(who, element, "value") for where, element in elements.items()}
    out = {where: table[where].back(value) for where, value in native.items()}
    notes = [
        f"{where}: is not in the project any more; it keeps the value it was written with." for where in table if where not in out
    ]
    for n in range(len(full["tracks"])):
        fader, pan = f"tracks.{n}.fader_db", f"tracks.{n}.pan"
        if _channels(root, n) == 2 and fader in native and pan in native:
            volume, out[pan] = unbalance(native[fader], native[pan])
            out[fader] = decibels(volume)
        mute = root.find(f"./Structure/Track[@id='track{n}']/Channel/Mute")
        out[f"tracks.{n}.mute"] = mute is not None and mute.get("value") == "true"
        clip = root.find(f".//Lanes[@track='track{n}']/Clips/Clip")
        if clip is None:
            notes.append(f"track {full['tracks'][n]['name']}: its clip is not in the project any more.")
        else:
            late = _number(who, clip, "playStart") - _number(who, clip, "time")
            out[f"tracks.{n}.lag_samples"] = lag(who, late, full["sample_rate"])
    return out, notes


def _channels(root: Element, n: int) -> int:
    channel = root.find(f"./Structure/Track[@id='track{n}']/Channel")
    return 1 if channel is None or channel.get("audioChannels") == "1" else 2


def _changed_lanes(written: Element, root: Element) -> list[str]:
    then, now = _lanes(written), _lanes(root)
    return [
        f"{where}: its automation was changed in the project; the points that dasp wrote are kept."
        for where in {**then, **now}
        if not _close(then.get(where), now.get(where))
    ]


def _lanes(root: Element) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for element in root.iter("Points"):
        target = element.find("Target")
        where = "" if target is None else target.get("parameter", "")
        found[where] = [(_number("lane", p, "time"), _number("lane", p, "value")) for p in element.iter("RealPoint")]
    return found


def _close(a: Any, b: Any) -> bool:
    if a is None or b is None or len(a) != len(b):
        return False
    return all(
        math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for p, q in zip(a, b, strict=True)
        for x, y in zip(p, q, strict=True)
    )
