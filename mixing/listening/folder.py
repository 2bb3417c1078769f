"""Writes a test: page/ for the listeners, key.json for whoever asks them."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from mixing.errors import UserError
from mixing.listening import sound
from mixing.listening.design import Design, Page
from mixing.templates import templates

PAGE, KEY, WEBMUSHRA = "page", "key.json", "webmushra"
AUDIO = "audio"
SCRIPTS = (
    "dom",
    "sha256",
    "order",
    "sound",
    "engine",
    "store",
    "record",
    "player",
    "ape",
    "mushra",
    "rating",
    "welcome",
    "volume",
    "questions",
    "finish",
    "main",
)
_TRAINING_S = 15.0
_SOURCE = Path(__file__).with_name("page")
_WHEN = 1_577_836_800  # 2020-01-01: one time for all files, so that none tells when it was made


def excerpts(
    song: str, files: Mapping[str, Path], made: Design, rate: int, *, seconds: float, loudness: float, start: float | None
) -> tuple[dict[str, np.ndarray], float, list[str]]:
    """A song's excerpt under every condition and anchor, (2, T) each; where it begins in s; what was done, in sentences."""
    signals, notes = sound.load(song, files, rate)
    first, stop = sound.stretch(signals, rate, seconds, start)
    if (stop - first) / rate < min(seconds, 1.0):
        raise UserError(f"{song}: the excerpt has only {(stop - first) / rate:.2f} s; give longer files or an earlier --start.")
    if (stop - first) / rate < seconds - 0.01:
        notes.append(f"{song}: the excerpt has only {(stop - first) / rate:.1f} s.")
    cut = {n: x[:, first:stop] for n, x in signals.items()}
    if made.reference is not None:
        used = [c for c in made.conditions if c not in cut]
        cut |= {c: sound.anchor(cut[made.reference], rate, sound.ANCHORS_HZ[c]) for c in used}
    level = {n: sound.at_loudness(sound.faded(x, rate), rate, loudness, f"{song}, {n}") for n, x in cut.items()}
    return level, first / rate, notes


def shorter(level: Mapping[str, np.ndarray], rate: int, loudness: float) -> dict[str, np.ndarray]:
    """A part of excerpts for the training page, levelled anew."""
    first, stop = sound.stretch(level, rate, _TRAINING_S)
    cut = {n: sound.faded(x[:, first:stop], rate) for n, x in level.items()}
    return {n: sound.at_loudness(x, rate, loudness, f"training, {n}") for n, x in cut.items()}


def sounds(page: Page, level: Mapping[str, np.ndarray], made: Design, bits: int) -> dict[str, bytes]:
    """Opaque name -> samples, for all sounds of a page; each with a dither of its own, so that no two files are the same."""

    def samples(name: str, condition: str) -> bytes:
        return sound.pcm(level[condition], bits, hmac.digest(made.secret, f"dither {name}".encode(), "sha256"))

    out = {s.name: samples(s.name, s.condition) for s in page.stimuli}
    if page.reference is not None and made.reference is not None:
        out[page.reference] = samples(page.reference, made.reference)
    return dict(sorted(out.items()))


def measured(data: bytes, bits: int, rate: int) -> dict[str, Any]:
    """What the key says of a sound."""
    x = sound.of_pcm(data, bits)
    return {"loudness_lufs": round(sound.loudness(x, rate), 3), "true_peak_dbtp": round(sound.true_peak_db(x), 2)}


def write_sounds(folder: Path, sounds: Mapping[str, bytes]) -> None:
    """Each as a script that hands its samples over: a page opened from disk may load scripts, and nothing else."""
    (folder / AUDIO).mkdir(parents=True, exist_ok=True)
    for name, data in sounds.items():
        text = f'dasp.received("{name}","{base64.b64encode(data).decode()}");\n'
        (folder / AUDIO / f"{name}.js").write_text(text, encoding="ascii")


def write_page(folder: Path, test: dict[str, Any]) -> None:
    """index.html, its style and its scripts, and what they are to show."""
    environment = templates(_SOURCE)
    folder.mkdir(parents=True, exist_ok=True)
    connect = origin(test["post_url"]) if test["post_url"] else "'none'"
    style = (_SOURCE / "style.css").read_text(encoding="utf-8")
    text = environment.get_template("index.html.j2").render(title=test["title"], style=style, scripts=SCRIPTS, connect=connect)
    (folder / "index.html").write_text(text, encoding="utf-8")
    for script in SCRIPTS:
        (folder / f"{script}.js").write_bytes((_SOURCE / f"{script}.js").read_bytes())
    data = json.dumps(test, ensure_ascii=True, allow_nan=False)
    (folder / "test.js").write_text(f"dasp.test = {data};\n", encoding="ascii")


def origin(url: str) -> str:
    """Scheme, host and port of an http(s) address.

    Raises:
        UserError: it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, parts, port = None, None, None
    plain = url.isascii() and not any(c in url for c in " ;,'\"<>\\")
    if parts is None or parts.scheme not in ("http", "https") or not host or not plain or parts.username:
        raise UserError(f"--post-url {url}: expected an address such as https://example.org/ratings.")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def write_new(target: Path, save: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all. One that has something in it is refused: ratings may refer to its key.

    Raises:
        UserError: it is there and not empty, or cannot be written.
    """
    check_new(target)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".dasp-"))
        save(temporary)
        temporary.chmod(0o755)
        for file in (*temporary.rglob("*"), temporary):
            os.utime(file, (_WHEN, _WHEN))
        os.replace(temporary, target)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"{target}: cannot be written ({why}); choose another folder.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_new(target: Path) -> None:
    """Refuse a folder that has something in it, before any work is done.

    Raises:
        UserError: the message says so.
    """
    from mixing.output import check_folder

    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"{target}: is not empty; choose a new folder, since ratings of an older test need its key.")
    check_folder(target)
