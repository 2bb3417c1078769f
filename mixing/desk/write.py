"""The folder of a desk: the page and the sound that it carries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dasp.atoms.level import db_to_gain
from dasp.effects.panner import pan_gains
from mixing.audio import read, resample
from mixing.blocks import Source
from mixing.desk.carry import carry, piece_length
from mixing.desk.page import page
from mixing.desk.parts import completed, is_live, said, split, tables
from mixing.errors import UserError
from mixing.loudness import integrated_loudness
from mixing.output import replace_folder, write_text
from mixing.playback import check_stems, play
from mixing.settings import Settings

INDEX, AUDIO = "index.html", "audio"
_RATES = (8000, 192_000)  # that every browser's Web Audio runs at


@dataclass(frozen=True)
class Version:
    """A finished mix to compare with.

    Attributes:
        name: what the page calls it.
        file: where it is.
        about: a few words.
        exact: whether it is the exact render of the settings that the desk begins with.
    """

    name: str
    file: Path
    about: str = ""
    exact: bool = False


@dataclass(frozen=True)
class Written:
    """What a desk takes on disk, in bytes.

    Attributes:
        folder: all of it.
        audio: the FLAC files that it carries.
    """

    folder: int
    audio: int


def write(
    folder: Path,
    title: str,
    settings: Settings,
    source: Source,
    versions: Sequence[Version] = (),
    *,
    has_settings: bool = True,
    notes: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Written:
    """Make the folder of a desk: whole or not at all; one that is there is replaced.

    Args:
        folder: where; `index.html` in it is what is opened.
        title: of the page.
        settings: what the strips begin with, and what "reset" returns to.
        source: the stems at the settings' rate; those that the settings do not name are left out.
        versions: mixes to compare with; the loudness of the exact render, if it is among them, is what they are matched to.
        has_settings: False where a model has none, and the strips stand at the plain sum.
        notes: sentences for the page.
        progress: called with sounds written, of how many.

    Returns:
        what was written, and how large it is.

    Raises:
        UserError: a stem is missing or too short, a mix cannot be read, or the folder holds something else.
    """
    check_stems(settings, source.names, source.samples)
    check_folder(folder)
    rate = round(source.sample_rate)
    if not _RATES[0] <= rate <= _RATES[1]:
        raise UserError(f"the desk: browsers play {_RATES[0]} to {_RATES[1]} Hz; the settings are for {rate} Hz.")
    full = completed(settings)
    total = len(full["tracks"]) + len(versions)

    def save(temporary: Path) -> None:
        (temporary / AUDIO).mkdir()
        song = _Song(temporary / AUDIO, source, rate, full)
        for n in range(len(full["tracks"])):
            song.add_track(n)
            progress(n + 1, total)
        song.add_buses()
        heard = [{"name": "Mix", "about": "the stems by the settings on this desk"}, song.plain_sum()]
        for n, version in enumerate(versions):
            heard.append(song.add_version(version))
            progress(len(full["tracks"]) + n + 1, total)
        about = {
            "title": title,
            "rate": rate,
            "samples": source.samples,
            "piece": piece_length(rate),
            "sounds": song.sounds,
            "tracks": song.tracks,
            "buses": song.buses,
            "versions": heard,
            "has_settings": has_settings,
            "tables": tables(full),
            "measured": _measured(heard, versions, has_settings),
            **said(full),
            "notes": list(notes),
            "settings": full,
        }
        write_text(temporary / INDEX, page(about))

    replace_folder(folder, save)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return Written(size, _carried(folder))


def _measured(heard: list[dict[str, Any]], versions: Sequence[Version], has_settings: bool) -> dict[str, Any]:
    """Loudness and peak of the mix by the settings, as far as they are known: its exact render's; without settings it is the
    plain sum."""
    known = [h for h, v in zip(heard[2:], versions, strict=True) if v.exact] if has_settings else [heard[1]]
    return {k: known[0][k] if known else None for k in ("loudness", "peak_db")}


def check_folder(folder: Path) -> None:
    """Refuse to replace what is no desk.

    Raises:
        UserError: it is a file, or a folder with other things in it.
    """
    if folder.is_dir() and any(f.name not in (INDEX, AUDIO) for f in folder.iterdir()):
        raise UserError(f"{folder}: holds files that are no mixing desk; move them, or choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file where the desk's folder is to be; move it.")


def _carried(folder: Path) -> int:
    """Bytes of FLAC in the scripts: each says its own."""
    sizes = 0
    for file in (folder / AUDIO).iterdir():
        with open(file, "rb") as raw:
            sizes += int(raw.read(80).split(b",", 3)[2])
    return sizes


class _Song:
    """The sounds of a desk, written one after the other: memory for a few of them."""

    def __init__(self, folder: Path, source: Source, rate: int, settings: Settings) -> None:
        self.folder, self.source, self.rate, self.settings = folder, source, rate, settings
        self.sounds: list[dict[str, Any]] = []
        self.tracks: list[dict[str, Any]] = []
        self.buses: list[dict[str, Any]] = []
        self._sum = torch.zeros(2, source.samples)
        ready = [b["name"] for b in settings["buses"] if not all(map(is_live, b["effects"]))]
        self._returns = {name: torch.zeros(2, source.samples) for name in ready}

    def carry(self, audio: Tensor, exact: bool = True) -> int:
        self.sounds.append(carry(self.folder, len(self.sounds), audio, self.rate, exact))
        return len(self.sounds) - 1

    def add_track(self, number: int) -> None:
        """A stem as it is; and with the effects that the page does not play, where there are any."""
        track = self.settings["tracks"][number]
        place = list(self.source.names).index(track["name"])
        channels = int(self.source.channels[place])
        whole = self.source.track(place)
        self._sum += whole
        dry = _moved(whole[:channels], track["lag_samples"])
        printed = split(track["inserts"])
        wet = play(track["inserts"][:printed], dry, self.rate)
        sound = self.carry(wet)
        other = self.carry(dry) if printed else sound
        self.tracks.append({"sound": sound, "dry": other, "channels": channels, "printed": printed})
        if self._returns and not track["mute"]:
            strip = _strip(track, play(track["inserts"][printed:], wet, self.rate))
            for name, bus in self._returns.items():
                bus += strip * float(db_to_gain(torch.tensor(track["sends_db"].get(name, -200.0)), torch.float64))

    def add_buses(self) -> None:
        """What comes back from buses whose effects the page does not play."""
        for bus in self.settings["buses"]:
            name = bus["name"]
            ready = self.carry(play(bus["effects"], self._returns[name], self.rate)) if name in self._returns else None
            self.buses.append({"name": name, "sound": ready})

    def plain_sum(self) -> dict[str, Any]:
        return {"name": "Plain sum", "about": "the stems as they are, every fader at unity", **self._level(self._sum)}

    def add_version(self, version: Version) -> dict[str, Any]:
        """A finished mix: cut to the song's length or filled up with silence."""
        audio, rate = read(version.file)
        audio = resample(audio, rate, self.rate)[:, : self.source.samples]
        audio = torch.nn.functional.pad(audio, (0, self.source.samples - audio.shape[1]))
        return {
            "name": version.name,
            "about": version.about,
            "sound": self.carry(audio, False),
            **self._level(audio.expand(2, -1)),
        }

    def _level(self, audio: Tensor) -> dict[str, float | None]:
        loudness, peak = integrated_loudness(audio, self.rate), float(audio.abs().max())
        return {
            "loudness": loudness if math.isfinite(loudness) else None,
            "peak_db": 20 * math.log10(peak) if peak else None,
        }


def _moved(audio: Tensor, lag: int) -> Tensor:
    """(C, T) advanced by a lag; silence fills the gap."""
    if lag == 0:
        return audio
    samples = audio.shape[1]
    kept = audio[:, lag:] if lag > 0 else audio[:, : samples + lag]
    return torch.nn.functional.pad(kept, (0, lag) if lag > 0 else (-lag, 0))


def _strip(track: dict[str, Any], audio: Tensor) -> Tensor:
    """(1 or 2, T) -> (2, T) behind fader and pan, as a `Console` does."""
    level = db_to_gain(torch.tensor(float(track["fader_db"]), dtype=torch.float64), torch.float64)
    left, right = pan_gains(torch.tensor(float(track["pan"]), dtype=torch.float64), "constant_power")
    return audio.expand(2, -1) * torch.stack([level * left, level * right])[:, None].to(audio.dtype)
