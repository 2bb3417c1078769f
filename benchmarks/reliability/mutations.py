"""Files that are nearly right: whole ones, and ways to damage them, as hypothesis strategies."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

RATE = 8000
FORMATS = (
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "PCM_32"),
    ("wav", "WAV", "PCM_U8"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "DOUBLE"),
    ("wav", "WAVEX", "PCM_24"),
    ("wav", "RF64", "FLOAT"),
    ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("ogg", "OGG", "VORBIS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "FLOAT"),
)
_FORMATS_FOR_MANY = tuple(f for f in FORMATS if f[0] in ("wav", "aiff"))
_SPECIAL = (np.nan, np.inf, -np.inf, 1e-40, 1e30, 0.0)
_WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def sound(ending: str, kind: str, subtype: str, channels: int, samples: int, special: float | None) -> bytes:
    """Noise as a file; `special` is its middle sample."""
    import soundfile

    audio = 0.3 * np.random.default_rng(samples + channels).standard_normal((samples, channels))
    if special is not None and samples:
        audio[samples // 2, 0] = special
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", RATE, channels, subtype, format=kind) as file:
        file.write(audio)
    return out.getvalue()


@st.composite
def whole(draw: Any) -> tuple[str, bytes]:
    """(ending, bytes) of an audio file: 0 to 2,000 samples, 1 to 64 channels where the format has them, numbers and others."""
    channels = draw(st.sampled_from((1, 1, 1, 2, 2, 3, 8, 64)))
    ending, kind, subtype = draw(st.sampled_from(FORMATS if channels <= 2 else _FORMATS_FOR_MANY))
    samples = draw(st.sampled_from((0, 1, 2, 17, 256, 1999)))
    special = draw(st.sampled_from(_SPECIAL)) if subtype in ("FLOAT", "DOUBLE") and draw(st.booleans()) else None
    return ending, sound(ending, kind, subtype, channels, samples, special)


@st.composite
def damaged(draw: Any, original: bytes) -> bytes:
    """The bytes cut, flipped, overwritten by absurd numbers, with parts doubled, moved or left out; at most eight times."""
    data = bytearray(original)
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2, 2, 4, 8)))):
        if not data:
            break
        # Headers are where damage is most interesting: half of it falls into the first hundred bytes.
        place = draw(st.integers(0, len(data) - 1) if draw(st.booleans()) else st.integers(0, min(100, len(data) - 1)))
        what = draw(st.sampled_from(("flip", "flip", "cut", "word", "word", "double", "leave out", "noise", "zero")))
        if what == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif what == "cut":
            del data[place:]
        elif what == "word":
            word, size = draw(st.sampled_from(_WORDS)), draw(st.sampled_from((1, 2, 4, 8)))
            order = "little" if draw(st.booleans()) else "big"
            data[place : place + size] = (word % (1 << 8 * size)).to_bytes(size, order)
        elif what == "noise":
            data[place : place + 16] = draw(st.binary(min_size=16, max_size=16))
        else:
            length = draw(st.integers(1, 64))
            part = data[place : place + length]
            data[place : place + length] = {"double": part + part, "leave out": b"", "zero": bytes(len(part))}[what]
    return bytes(data)


def values(depth: int = 2) -> SearchStrategy[Any]:
    """What JSON and YAML can hold, odd ones first."""
    numbers = (None, True, False, 0, -1, 1, 2, 1e308, -1e308, float("nan"), float("inf"), 10**30)
    plain = st.sampled_from((*numbers, "", "x", "../../x", "\x00", "<script>"))
    more = plain | st.floats() | st.integers() | st.text(max_size=8)
    return st.recursive(
        more, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3), max_leaves=2 * depth
    )


@st.composite
def changed(draw: Any, document: Any) -> Any:
    """A document with up to four entries replaced, left out, added or renamed, at any depth."""
    import copy

    root = [copy.deepcopy(document)]
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 4)))):
        holder: Any = root
        key: Any = 0
        while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.sampled_from((True,) * 6 + (False,))):
            holder = holder[key]
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        what = draw(st.sampled_from(("replace", "replace", "nudge", "nudge", "leave out", "add", "many")))
        if what == "leave out" and holder is not root:
            del holder[key]
        elif what == "add" and isinstance(holder[key], dict):
            holder[key][draw(st.text(max_size=6))] = draw(values())
        elif what == "many" and isinstance(holder[key], list):
            holder[key] = holder[key] * draw(st.sampled_from((2, 20)))
        else:
            holder[key] = draw(_like(holder[key]) if what == "nudge" else values())
    return root[0]


def _like(value: Any) -> SearchStrategy[Any]:
    """Another value of the same kind, where it has one that is easily drawn."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.sampled_from((value - 1, value + 1, 2 * value, -value))
    if isinstance(value, float):
        return st.sampled_from((value / 2, value + 0.1, 2 * value, -value))
    return st.text(min_size=1, max_size=8) if isinstance(value, str) else values()
