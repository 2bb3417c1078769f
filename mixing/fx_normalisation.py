"""Effect normalisation: wet stems brought to a data set's average of what effects leave, so that they can stand for dry ones.

After Martinez-Ramirez et al. (2022), arXiv:2208.11428, in the paper's order: reverb, equalisation, compression, panning,
loudness. The same is done to stems that a model is to mix, with the statistics of those it was trained on.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from dasp import Compressor, HighShelfFilter, LowShelfFilter, Reverb
from mixing import audio
from mixing.data.song import Song
from mixing.errors import UserError, nearest
from mixing.fx_statistics import (
    BANDS_HZ,
    PEAK_DB,
    SILENT_DB,
    Features,
    Statistics,
    family_of,
    measure,
    peak_levels,
    spectra,
    whole,
)

EFFECTS = ("reverb", "eq", "compression", "panning", "loudness")
DEFAULT = EFFECTS[1:]
_TAPS = 2001 / 44100  # seconds: the paper's 1001 taps, forth and back
_LIMIT_DB = 18.0  # of the equaliser; the paper has no limit, and lifts the noise of stems that are band-limited
_FLOOR_DB = 60.0  # below its loudest band a stem has nothing that could be lifted
_THRESHOLDS = (-10.0, -40.0)  # dBFS, the paper's
_RATIOS = (1.0, 2.0, 20.0)  # from the family's own ratio: times the first, times the second, and at last the third
_HALVINGS = 7
_WET_DB = -12.0  # of the reverb, against the dry sound


@dataclass(frozen=True)
class _Dynamics:
    """The paper's settings of the compressor for a family."""

    ratio: float
    attack_ms: float
    release_ms: float


_DRUMS = ("kick", "snare", "hihat", "toms", "cymbals", "percussion", "drums")
_SETTINGS = {
    "vocals": _Dynamics(4, 7.5, 400),
    "bass": _Dynamics(5, 10, 500),
    **dict.fromkeys(_DRUMS, _Dynamics(6, 10, 180)),
}
_OTHER = _Dynamics(4, 15, 666)


def check_effects(effects: Sequence[str]) -> None:
    """Refuse an unknown effect.

    Raises:
        UserError: the message has the nearest.
    """
    for name in effects:
        if name not in EFFECTS:
            raise UserError(f"effects: {name!r} is none of {', '.join(EFFECTS)}.{nearest(name, EFFECTS)}")


def normalise(
    sound: np.ndarray,
    rate: float,
    target: Features,
    family: str = "other",
    effects: Sequence[str] = DEFAULT,
    seed: int = 0,
) -> np.ndarray:
    """Bring a stem to the average of its family.

    Args:
        sound: (1 or 2, T) float32.
        rate: in Hz.
        target: the average.
        family: decides about compressor and reverb.
        effects: of `EFFECTS`; their order is the paper's whatever theirs.
        seed: of the reverb.

    Returns:
        float32 of the same shape; a silent stem as it is.
    """
    check_effects(effects)
    if float(np.abs(sound).max(initial=0.0)) < 10 ** (SILENT_DB / 20):
        return sound
    if "reverb" in effects:
        sound = reverberate(sound, rate, family, seed)
    if "eq" in effects:
        sound = equalise(sound, rate, target)
    if "compression" in effects:
        sound = compress(sound, rate, target, family)
    if "panning" in effects:
        sound = pan(sound, rate, target)
    if "loudness" in effects:
        now = measure(sound, rate)
        if now is not None:
            sound = sound * np.float32(10 ** ((target.loudness_lufs - now.loudness_lufs) / 20))
    return sound


def equalise(sound: np.ndarray, rate: float, target: Features) -> np.ndarray:
    """Filter a stem so that its average spectrum is the target's, at equal loudness: linear phase, no delay.

    Limited to 18 dB; bands 60 dB below the loudest are not lifted.
    """
    now = measure(sound, rate)
    if now is None:
        return sound
    have, want = np.array(now.spectrum_db), np.array(target.spectrum_db)
    gain = np.clip(want - have, -_LIMIT_DB, _LIMIT_DB)
    gain = np.where(have < have.max() - _FLOOR_DB, np.minimum(gain, 0), gain)
    return _filtered(sound, rate, gain)


def compress(sound: np.ndarray, rate: float, target: Features, family: str = "other") -> np.ndarray:
    """Compress a stem whose peaks stand higher than the target's mean and deviation, at equal highest peak, until they do not.

    The mildest that does it: the family's ratio at the highest threshold from -10 to -40 dBFS, then higher ratios. Stems whose
    peaks are lower stay as they are (the paper's expander is off too). The detector hears the louder side, so that the stereo
    image stays; the paper compresses channel by channel. The highest peak is then what it was.
    """
    top = float(np.abs(sound).max())
    if target.peak_db is None or top == 0:
        return sound
    limit = target.peak_db + (target.spread_db or 0.0)
    scaled = sound * np.float32(10 ** (PEAK_DB / 20) / top)
    settings = _SETTINGS.get(family, _OTHER)

    def high(candidate: np.ndarray) -> bool:
        peaks = peak_levels(candidate, rate)
        return peaks is not None and peaks[0] > limit

    if not high(scaled):
        return sound
    effect = Compressor(rate)
    x = torch.from_numpy(scaled)[None]
    key = x.abs().amax(1, keepdim=True).expand(-1, x.shape[1], -1).contiguous()

    def at(threshold: float, ratio: float) -> np.ndarray:
        with torch.no_grad():
            y = effect(
                x,
                sidechain=key,
                threshold_db=threshold,
                ratio=ratio,
                attack_ms=settings.attack_ms,
                release_ms=settings.release_ms,
            )
        return y[0].numpy()

    first, second, last = _RATIOS
    for ratio in (settings.ratio * first, settings.ratio * second, last):
        loud, quiet = _THRESHOLDS
        if high(at(quiet, ratio)):
            continue
        for _ in range(_HALVINGS):
            middle = (loud + quiet) / 2
            loud, quiet = (middle, quiet) if high(at(middle, ratio)) else (loud, middle)
        break
    out = at(quiet, ratio)
    return out * np.float32(top / max(float(np.abs(out).max()), 1e-9))


def pan(sound: np.ndarray, rate: float, target: Features) -> np.ndarray:
    """Give a stereo stem the target's similarity of left and right in every band, on the side on which it stands; energy stays.

    Gains l and r of the two sides with r / l the root of q^2 |R|^2 s - 2 q |L||R| + |L|^2 s = 0 on the stem's side, for the
    similarity s. A band whose sides have too little in common to reach it is balanced. Mono stems, and stems whose sides are
    equally loud, stand on no side and stay as they are. Filters of constant gain do it; the paper changes the gain with every
    frame.
    """
    if sound.shape[0] == 1 or target.similarity is None:
        return sound
    power = (sound.astype(np.float64) ** 2).sum(1)
    if power.min() <= 0 or abs(10 * math.log10(power[0] / power[1])) < 0.1:
        return sound
    _, _, (left, right, both) = spectra(sound, rate)
    left, right = np.maximum(left, 1e-20), np.maximum(right, 1e-20)
    wanted = np.clip(np.array(target.similarity), 0.05, 1.0)
    root = np.sqrt(np.maximum(both**2 - wanted**2 * left * right, 0))
    quotient = (both + np.where(power[0] > power[1], -root, root)) / (wanted * right)
    reached = both >= wanted * np.sqrt(left * right)
    quotient = np.where(reached, quotient, np.sqrt(left / right))
    scale = np.sqrt((left + right) / (left + quotient**2 * right))
    # A band without sound on a side cannot be given any.
    alive = np.minimum(left, right) > 1e-14
    gains = np.where(alive, np.stack([scale, scale * quotient]), 1.0)
    decibels = np.clip(20 * np.log10(np.maximum(gains, 1e-6)), -2 * _LIMIT_DB, 2 * _LIMIT_DB)
    return np.concatenate([_filtered(sound[i : i + 1], rate, decibels[i]) for i in (0, 1)])


def reverberate(sound: np.ndarray, rate: float, family: str, seed: int = 0) -> np.ndarray:
    """Add a reverb to what may have one, since none can be taken away: to all but drums and bass.

    What is sent is cut by 30 dB below some 600 Hz and above some 8.5 kHz (the paper's; a trick of Abbey Road's). The paper
    convolves with recorded rooms; here it is a Reverb of random size and damping, 12 dB below the dry sound. What rings on behind
    the end is cut.
    """
    if family in (*_DRUMS, "bass"):
        return sound
    generator = np.random.default_rng((seed, 7))
    low, high, size, damping = (float(generator.uniform(*r)) for r in ((500, 700), (7000, 10000), (0.3, 0.8), (0.2, 0.7)))
    dry = torch.from_numpy(np.ascontiguousarray(sound))[None]
    with torch.no_grad():
        sent = LowShelfFilter(rate)(dry, cutoff_frequency_hz=low, gain_db=-24.0)
        sent = LowShelfFilter(rate)(sent, cutoff_frequency_hz=low, gain_db=-6.0)
        if high < 0.45 * rate:
            sent = HighShelfFilter(rate)(sent, cutoff_frequency_hz=high, gain_db=-24.0)
            sent = HighShelfFilter(rate)(sent, cutoff_frequency_hz=high, gain_db=-6.0)
        wet = Reverb(rate)(sent, room_size=size, damping=damping, wet_level=1 / 3, dry_level=0.0, width=1.0)
    level = _rms(sound) * 10 ** (_WET_DB / 20) / max(_rms(wet.numpy()), 1e-9)
    return (dry + wet[:, : sound.shape[0]] * level)[0].numpy()


def write_song(
    song: Song,
    out: Path,
    statistics: Statistics,
    effects: Sequence[str] = DEFAULT,
    seed: int = 0,
) -> bool:
    """Write a song's normalised stems, its mix as it is, and a `meta.json`, in the layout `pack`: all or nothing.

    Returns:
        False where the song lay there already and was left alone.

    Raises:
        UserError: a file cannot be read or written.
    """
    folder, part = out / song.name, out / f".{song.name}.part"
    if folder.exists():
        return False
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / "stems").mkdir(parents=True)
        rows = []
        for index, stem in enumerate(song.stems):
            kind = family_of(stem)
            own = crc32(f"{seed} {song.name} {stem.name}".encode())
            sound = normalise(whole(song, index), song.sample_rate, statistics.of(kind), kind, effects, own)
            file = f"stems/{stem.name}.wav"
            audio.write(part / file, torch.from_numpy(np.ascontiguousarray(sound)), song.sample_rate)
            rows.append({"file": file, "label": stem.instrument or stem.name, "channels": stem.channels, "family": kind})
        if song.mix is not None:
            shutil.copyfile(song.mix, part / f"mix{song.mix.suffix.lower()}")
        meta = {
            "song": song.group,
            "licence": song.licence,
            "mix": "of the stems as they were before effect normalisation",
            "normalised": [e for e in EFFECTS if e in effects],
            "stems": rows,
        }
        (part / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        os.replace(part, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({(error.strerror or str(error)).lower()}).") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def write(
    songs: Iterable[Song],
    out: Path,
    statistics: Statistics,
    effects: Sequence[str] = DEFAULT,
    seed: int = 0,
    progress: Callable[[Song], None] = lambda _: None,
) -> tuple[int, list[tuple[str, str]]]:
    """Write every song with `write_song`; what was written before is kept, so that a run can be taken up again.

    Returns:
        how many were written, and (what, why) for those that could not be read.
    """
    check_effects(effects)
    count, skipped = 0, []
    for song in songs:
        progress(song)
        try:
            count += write_song(song, out, statistics, effects, seed)
        except UserError as error:
            skipped.append((song.name, str(error)))
    return count, skipped


def _filtered(sound: np.ndarray, rate: float, gain_db: np.ndarray) -> np.ndarray:
    """Gains in `BANDS_HZ` as a filter of linear phase, without its delay; the outermost hold outside."""
    from scipy.signal import firwin2, oaconvolve

    inside = np.array(BANDS_HZ) < 0.499 * rate
    hertz = np.concatenate([[0.0], np.array(BANDS_HZ)[inside], [rate / 2]])
    gains = 10 ** (gain_db[inside] / 20)
    taps = np.asarray(firwin2(2 * round(_TAPS * rate / 2) + 1, hertz, np.concatenate([gains[:1], gains, gains[-1:]]), fs=rate))
    return oaconvolve(sound, taps[None].astype(np.float32), mode="full", axes=1)[:, len(taps) // 2 :][:, : sound.shape[1]]


def _rms(sound: np.ndarray) -> float:
    return math.sqrt(float((sound.astype(np.float64) ** 2).mean()))
