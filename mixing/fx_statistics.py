"""What effects leave in a stem, measured, and its average over a data set for each family of instruments.

After Martinez-Ramirez, Liao, Fabbro, Uhlich, Nagashima and Mitsufuji (2022), "Automatic music mixing with deep learning and
out-of-domain data", ISMIR, arXiv:2208.11428: loudness, average spectrum, panning, and the level of the peaks. Where we differ is
said at each function.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixing import strict_json
from mixing.data.song import Song, Stem
from mixing.errors import UserError
from mixing.instruments import FAMILIES, family
from mixing.loudness import integrated_loudness
from mixing.output import write_text
from mixing.strict_json import short

FORMAT, VERSION = "dasp fx statistics", 1
BANDS_HZ = tuple(20 * 2 ** (i / 6) for i in range(60))  # centres of sixths of an octave, to 18.3 kHz
SILENT_DB = -50.0  # dBFS: a stem that peaks below tells nothing (the paper's)
SPECTRUM_LUFS = -30.0  # loudness at which spectra are compared (the paper's)
PEAK_DB = -10.0  # dBFS, the peak at which dynamics are compared (the paper's)
_QUARTILE = 75
_WINDOW_S = 65536 / 44100  # of the spectra (the paper's)
_BLOCK_S = 1024 / 44100  # of the peaks (the paper's)
_PROMINENCE_DB, _APART = 6.0, 2  # what counts as a peak; the paper asks an onset detector
_PARTS = {"loudness_lufs": None, "spectrum_db": len(BANDS_HZ), "similarity": len(BANDS_HZ), "peak_db": None, "spread_db": None}


@dataclass(frozen=True)
class Features:
    """A stem's, or the average of a family's.

    Attributes:
        loudness_lufs: integrated loudness (ITU-R BS.1770), as heard from two sides.
        spectrum_db: mean magnitude in `BANDS_HZ` at -30 LUFS; -200 where a band lies above half the sample rate.
        similarity: stereo similarity in `BANDS_HZ`, 1 for a centred sound and 0 for one at a side; None for mono.
        peak_db: mean level of the loudest quarter of its peaks, in dBFS, when the highest is at -10; None where it has no peaks.
        spread_db: their standard deviation.
    """

    loudness_lufs: float
    spectrum_db: tuple[float, ...]
    similarity: tuple[float, ...] | None = None
    peak_db: float | None = None
    spread_db: float | None = None


@dataclass(frozen=True)
class Statistics:
    """Averages over a data set.

    Attributes:
        families: family -> average; every family that has a stem, and "all".
        stems: family -> how many it is the average of.
        songs: names of the songs.
    """

    families: Mapping[str, Features]
    stems: Mapping[str, int]
    songs: tuple[str, ...]

    def of(self, name: str) -> Features:
        """Of a family, or of all stems where it has none."""
        return self.families[name] if name in self.families else self.families["all"]

    def write(self, path: str | Path) -> None:
        """As JSON."""
        table = {k: {"stems": self.stems[k], **asdict(f)} for k, f in sorted(self.families.items())}
        head = {"format": FORMAT, "version": VERSION, "bands_hz": BANDS_HZ, "songs": self.songs, "families": table}
        write_text(path, json.dumps(head, indent=1) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Statistics:
        """From JSON.

        Raises:
            UserError: no such file, or not such statistics.
        """
        try:
            head = strict_json.parse("JSON", Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: there is no such file.") from None
        except (OSError, ValueError, UserError) as error:
            raise UserError(f"{path}: is no file of statistics ({short(str(error).removesuffix('.'), 80)}).") from None
        if not isinstance(head, dict) or (head.get("format"), head.get("version")) != (FORMAT, VERSION):
            raise UserError(f"{path}: is no file of statistics as `dasp fx-normalise` writes them (version {VERSION}).")
        try:
            table = {str(k): Features(**{part: _value(row, part) for part in _PARTS}) for k, row in head["families"].items()}
            stems = {str(k): int(row["stems"]) for k, row in head["families"].items()}
            found = cls(table, stems, tuple(map(str, head["songs"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: is damaged ({error!r}); compute the statistics again.") from None
        unknown = set(table) - {*FAMILIES, "all"}
        if "all" not in table or unknown:
            raise UserError(f"{path}: has {'no average of all stems' if not unknown else f'an unknown family {min(unknown)}'}.")
        return found


def _value(row: Mapping[str, Any], part: str) -> Any:
    """A part of `Features` from JSON: a finite number, or as many as there are bands, or null where it may be."""
    value, count = row[part], _PARTS[part]
    if value is None:
        if part in ("loudness_lufs", "spectrum_db"):
            raise ValueError(f"{part} is null")
        return None
    values = [float(v) for v in (value if count else [value])]
    if not all(map(math.isfinite, values)) or (count and len(values) != count):
        raise ValueError(f"{part} is not {count or 1} finite numbers")
    return tuple(values) if count else values[0]


def compute(songs: Iterable[Song], progress: Callable[[Song], None] = lambda _: None) -> Statistics:
    """Averages over every stem of some songs; a stem is held at a time, never a song.

    As the paper has it, spectra are averaged in magnitude and the rest as they are. Families are told from instruments or names
    (`mixing.instruments`); the paper has vocals, drums, bass and other.

    Raises:
        UserError: a file cannot be read, or every stem is silent.
    """
    found: dict[str, list[Features]] = {"all": []}
    names = []
    for song in songs:
        progress(song)
        names.append(song.name)
        for index, stem in enumerate(song.stems):
            features = measure(whole(song, index), song.sample_rate)
            if features is not None:
                found.setdefault(family_of(stem), []).append(features)
                found["all"].append(features)
    if not found["all"]:
        raise UserError(f"fx statistics: none of {len(names)} songs has a stem that sounds.")
    return Statistics({k: average(v) for k, v in found.items()}, {k: len(v) for k, v in found.items()}, tuple(names))


def family_of(stem: Stem) -> str:
    """A stem's family, by its instrument or else its name."""
    own = family(stem.instrument or stem.name)
    return own if own != "other" else family(stem.name)


def whole(song: Song, index: int) -> np.ndarray:
    """A stem of a song, (1 or 2, T) float32 at the song's rate."""
    part = song.read(stems=[index], mix=False)
    return part.audio[0, 0, : int(part.channels[0, 0])].numpy()


def average(features: Sequence[Features]) -> Features:
    """Of one stem at least; each part over the stems that have it."""

    def mean(part: str) -> float | None:
        values = [v for f in features if (v := getattr(f, part)) is not None]
        return float(np.mean(values)) if values else None

    spectra = np.array([f.spectrum_db for f in features])
    similarities = [f.similarity for f in features if f.similarity is not None]
    loudness = mean("loudness_lufs")
    assert loudness is not None
    return Features(
        loudness,
        tuple((20 * np.log10((10 ** (spectra / 20)).mean(0))).tolist()),
        tuple(np.mean(similarities, 0).tolist()) if similarities else None,
        mean("peak_db"),
        mean("spread_db"),
    )


def measure(sound: np.ndarray, rate: float) -> Features | None:
    """Of a stem (1 or 2, T); None where it peaks below -50 dBFS or is too short or quiet to have a loudness."""
    top = float(np.abs(sound).max(initial=0.0))
    if top < 10 ** (SILENT_DB / 20):
        return None
    loudness = integrated_loudness(torch.from_numpy(sound.repeat(2, 0) if sound.shape[0] == 1 else sound), rate)
    if not math.isfinite(loudness):
        return None
    spectrum, similarity, _ = spectra(sound, rate)
    peaks = peak_levels(sound * (10 ** (PEAK_DB / 20) / top), rate)
    spectrum_db = spectrum + SPECTRUM_LUFS - loudness
    return Features(
        loudness,
        tuple(np.maximum(spectrum_db, -200.0).tolist()),
        None if similarity is None else tuple(similarity.tolist()),
        *(peaks or (None, None)),
    )


def spectra(sound: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """(spectrum in dB, similarity or None for mono, energies) in `BANDS_HZ`.

    Magnitudes are averaged over frames, bins and channels, as the paper's. Similarity is that of Avendano (2003),
    2 |L||R| / (|L|^2 + |R|^2), with sums over the frames and bins of a band above and below, so that what is loud counts and
    silence does not; the paper averages it over frames. Energies are (|L|^2, |R|^2, |L||R|), (3, bands).
    """
    size = round(_WINDOW_S * rate)
    size += size % 2
    window = np.hanning(size + 1)[:-1].astype(np.float32) ** 0.5
    padded = np.pad(sound, ((0, 0), (size // 2, size)))
    sums = np.zeros((4, size // 2 + 1))
    frames = range(0, padded.shape[1] - size + 1, size // 4)
    for start in frames:
        parts = np.abs(np.fft.rfft(padded[:, start : start + size] * window, axis=1)) * (2 / size)
        left, right = parts[0], parts[-1]
        sums += (left**2, right**2, left * right, (left + right) / 2)
    sums /= len(frames)
    hertz = np.arange(size // 2 + 1) * rate / size
    edges = np.array(BANDS_HZ)[:, None] * 2 ** (np.array([-1, 1]) / 12)
    first, last = (np.searchsorted(hertz, edge) for edge in edges.T)
    last = np.maximum(last, first + 1)
    banded = np.stack([sums[:, a:b].mean(1) if b <= sums.shape[1] else np.zeros(4) for a, b in zip(first, last, strict=True)], 1)
    energies = banded[:3]
    similarity = None
    if sound.shape[0] == 2:
        power = energies[0] + energies[1]
        similarity = np.where(power > 0, 2 * energies[2] / np.maximum(power, 1e-30), 1.0)
    return 20 * np.log10(np.maximum(banded[3], 1e-12)), similarity, energies


def peak_levels(sound: np.ndarray, rate: float) -> tuple[float, float] | None:
    """(mean, standard deviation) in dBFS of the peaks above the third quartile, averaged over channels; None without peaks.

    Peaks are those of the level in blocks of 23 ms that stand out by 6 dB; the paper takes the highest sample after each onset
    that aubio finds.
    """
    from scipy.signal import find_peaks

    block = max(1, round(_BLOCK_S * rate))
    found = []
    for channel in sound:
        blocks = channel[: len(channel) // block * block].reshape(-1, block)
        if not len(blocks):
            return None
        level = 20 * np.log10(np.maximum(np.abs(blocks).max(1), 1e-5))
        # Silence before and after lets the first and the last block be peaks.
        padded = np.concatenate([[-100.0], level, [-100.0]])
        peaks = padded[find_peaks(padded, prominence=_PROMINENCE_DB, distance=_APART)[0]]
        if not len(peaks):
            return None
        high = peaks[peaks > np.percentile(peaks, _QUARTILE)]
        high = high if len(high) else peaks
        found.append((high.mean(), high.std()))
    return float(np.mean([m for m, _ in found])), float(np.mean([s for _, s in found]))
