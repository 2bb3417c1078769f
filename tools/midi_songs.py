"""Songs that people wrote as MIDI, out of Debian's packages, and what is in them: parts, instruments, levels, positions."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

DRUMS = 9  # the channel, from 0
LEVEL, PAN = 7, 10  # controllers
NEUTRAL = {LEVEL: 100, PAN: 64}
COLLECTIONS = {
    "freedoom": ("freedoom", "BSD-3-Clause"),
    "openmsx": ("openttd-openmsx", "GPL-2.0"),
    "simutrans": ("simutrans-data", "Artistic-1.0"),
}
SOUNDS = ("musescore-general-soundfont", "fluid-soundfont-gm", "timgm6mb-soundfont", "avldrums.lv2-soundfont")
FAMILIES = (
    *("piano", "chromatic", "organ", "guitar", "bass", "strings", "ensemble", "brass", "reed", "pipe", "synth_lead"),
    *("synth_pad", "synth_fx", "ethnic", "percussive", "sfx"),
)
INSTRUMENTS = {
    0: "piano", 1: "piano", 2: "electric_grand", 3: "honkytonk_piano", 4: "electric_piano", 5: "electric_piano",
    6: "harpsichord", 7: "clavinet", 9: "glockenspiel", 11: "vibraphone", 12: "marimba", 13: "xylophone", 14: "tubular_bells",
    16: "organ", 17: "organ", 18: "rock_organ", 19: "church_organ", 21: "accordion", 22: "harmonica", 24: "acoustic_guitar",
    25: "acoustic_guitar", 26: "jazz_guitar", 27: "clean_guitar", 28: "muted_guitar", 29: "overdrive_guitar",
    30: "distortion_guitar", 31: "guitar_harmonics", 32: "acoustic_bass", 33: "bass_guitar", 34: "bass_guitar",
    35: "fretless_bass", 36: "slap_bass", 37: "slap_bass", 38: "synth_bass", 39: "synth_bass", 40: "violin", 41: "viola",
    42: "cello", 43: "double_bass", 44: "tremolo_strings", 45: "pizzicato_strings", 46: "harp", 47: "timpani", 48: "strings",
    49: "strings", 50: "synth_strings", 51: "synth_strings", 52: "choir", 53: "choir", 54: "synth_voice", 55: "orchestra_hit",
    56: "trumpet", 57: "trombone", 58: "tuba", 59: "muted_trumpet", 60: "french_horn", 61: "brass_section", 62: "synth_brass",
    63: "synth_brass", 64: "soprano_sax", 65: "alto_sax", 66: "tenor_sax", 67: "baritone_sax", 68: "oboe", 69: "english_horn",
    70: "bassoon", 71: "clarinet", 72: "piccolo", 73: "flute", 74: "recorder", 75: "pan_flute", 79: "ocarina", 104: "sitar",
    105: "banjo", 106: "shamisen", 107: "koto", 108: "kalimba", 109: "bagpipe", 110: "fiddle", 114: "steel_drums",
    117: "melodic_tom", 119: "reverse_cymbal",
}  # fmt: skip
_KIT = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hihat": (42, 44, 46),
    "toms": (41, 43, 45, 47, 48, 50),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}
DRUM_OF = {note: name for name, notes in _KIT.items() for note in notes}
# Songs that no training may ever see, by the hash of their names: kept for a last evaluation.
RESERVED = {"05f70ee9cf85", "665b4f494cdb", "9a5f94bf7599", "c4da5718aa75"}

Event = tuple[float, Any]  # seconds, message


def fetch(cache: Path, packages: tuple[str, ...]) -> None:
    """Download packages with this machine's apt and unpack them; nothing is installed, and what is there stays."""
    cache.mkdir(parents=True, exist_ok=True)
    for name in packages:
        folder = cache / f"x_{name}"
        if not folder.exists():
            subprocess.run(["apt-get", "download", "-q", name], cwd=cache, check=True, stdout=subprocess.DEVNULL)
            package = sorted(cache.glob(f"{name}_*.deb"))[-1]
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)


def songs(cache: Path) -> dict[str, bytes]:
    """Every song once, by name, without the reserved ones."""
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    for name, data in _all(cache):
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if digest not in seen:
            seen.add(digest)
            found[name] = data
    return {k: v for k, v in found.items() if hashlib.sha1(k.encode(), usedforsecurity=False).hexdigest()[:12] not in RESERVED}


def _all(cache: Path) -> Iterator[tuple[str, bytes]]:
    for number in (1, 2):
        wad = cache / f"x_freedoom/usr/share/games/doom/freedoom{number}.wad"
        yield from lumps(wad.read_bytes(), f"freedoom_{number}_")
    for name, folder in (
        ("openmsx", "x_openttd-openmsx/usr/share/games/openttd/baseset/openmsx"),
        ("simutrans", "x_simutrans-data/usr/share/games/simutrans/music"),
    ):
        for path in sorted((cache / folder).iterdir()):
            if path.suffix.lower() == ".mid":
                yield f"{name}_{re.sub(r'[^a-z0-9]+', '_', path.stem.lower()).strip('_')}", path.read_bytes()


def lumps(wad: bytes, prefix: str) -> Iterator[tuple[str, bytes]]:
    """The MIDI files in a game's archive (a WAD): a directory of (place, size, name), names of music beginning with D_."""
    count, directory = struct.unpack_from("<ii", wad, 4)
    for entry in range(count):
        place, size, name = struct.unpack_from("<ii8s", wad, directory + 16 * entry)
        text = name.rstrip(b"\0").decode("latin1")
        if text.startswith("D_") and wad[place : place + 4] == b"MThd":
            yield f"{prefix}{text[2:].lower()}", wad[place : place + size]


def events(data: bytes) -> list[Event]:
    """(time, message) in order of time, without what is not sent to an instrument.

    Raises:
        Exception: whatever mido raises for a file that it cannot read.
    """
    import mido

    time, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(data), clip=True):
        time += message.time
        if not message.is_meta and message.type != "sysex":
            found.append((time, message))
    return found


def sounds(message: Any) -> bool:
    """Whether it starts a note."""
    return message.type == "note_on" and message.velocity > 0


def window(song: list[Event], seconds: float) -> tuple[float, float] | None:
    """Start and end of the stretch in which most parts play, from just before a note; None for a song that is too short."""
    notes = [(t, m) for t, m in song if sounds(m)]
    if not notes or notes[-1][0] < 0.6 * seconds:
        return None
    end = notes[-1][0]
    parts: dict[Any, np.ndarray] = {}
    for t, m in notes:
        part = (m.channel, DRUM_OF.get(m.note) if m.channel == DRUMS else 0)
        parts.setdefault(part, np.zeros(int(end) + 2))[int(t)] = 1
    playing = np.stack([np.convolve(v, np.ones(4), "same") > 0 for v in parts.values()]).sum(0)
    best = int(np.argmax(np.convolve(playing, np.ones(int(min(seconds, end))), "valid")))
    first = next((t for t, _ in notes if t >= best), best)
    start = max(0.0, first - 0.05)
    return start, min(start + seconds, end + 2.0)


class Part:
    """What one stem is: a channel, or a group of drums, and how its composer set it.

    Attributes:
        channel: from 0.
        drum: name of the group, "" for other channels.
        programs: for each note of the window the instrument's number.
        set_to: for each note of the window the values of level and pan.
    """

    def __init__(self, channel: int, drum: str) -> None:
        self.channel, self.drum = channel, drum
        self.programs: list[int] = []
        self.set_to: dict[int, list[int]] = {LEVEL: [], PAN: []}

    @property
    def label(self) -> str:
        """Name of the instrument that plays most of its notes."""
        if self.channel == DRUMS:
            return self.drum
        most = max(set(self.programs), key=self.programs.count)
        return INSTRUMENTS.get(most, FAMILIES[most // 8])


def parts(song: list[Event], start: float, end: float) -> list[Part]:
    """The parts with at least four notes within the window, channel by channel. Level and pan are a channel's: all its drums have
    what was set at any of its notes."""
    program = dict.fromkeys(range(16), 0)
    now = {c: dict(NEUTRAL) for c in range(16)}
    found: dict[tuple[int, str], Part] = {}
    channels: dict[int, dict[int, list[int]]] = {c: {LEVEL: [], PAN: []} for c in range(16)}
    for t, m in song:
        if t >= end:
            break
        if m.type == "program_change":
            program[m.channel] = m.program
        elif m.type == "control_change" and m.control in NEUTRAL:
            now[m.channel][m.control] = m.value
        elif sounds(m) and t >= start:
            key = (m.channel, DRUM_OF.get(m.note, "percussion") if m.channel == DRUMS else "")
            found.setdefault(key, Part(*key)).programs.append(program[m.channel])
            for control, values in channels[m.channel].items():
                values.append(now[m.channel][control])
    kept = [found[key] for key in sorted(found) if len(found[key].programs) >= 4]
    for part in kept:
        part.set_to = channels[part.channel]
    return kept
