"""Data sets in miniature, laid out as they are published."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from synthetic import save, stem

RATE = 8000
SECONDS = 1.0


def tone(kind: int, channels: int = 1, seconds: float = SECONDS, rate: int = RATE) -> torch.Tensor:
    return stem(kind, seconds, rate, channels)


def write(path: Path, kind: int = 0, channels: int = 1, seconds: float = SECONDS, rate: int = RATE, **more) -> Path:
    return save(path, tone(kind, channels, seconds, rate), rate, **more)


def corrupt(path: Path) -> Path:
    """A WAV file whose header promises more than it holds."""
    write(path)
    path.write_bytes(path.read_bytes()[:3000])
    return path


def with_nan(path: Path, place: int, kind: int = 0, **more) -> Path:
    audio = tone(kind, **more)
    audio[:, place] = float("nan")
    return save(path, audio, RATE, subtype="FLOAT")


def plain(root: Path, count: int = 3) -> Path:
    """`folder`: mono and stereo stems whose sum is the mix."""
    for n in range(count):
        parts = [tone(n), tone(n + 1, 2), tone(n + 2)]
        for k, part in enumerate(parts):
            save(root / f"song{n}" / "stems" / f"{k}_{'abc'[k]}.wav", part, RATE, subtype="FLOAT")
        mix = sum(p.expand(2, -1) for p in parts)
        save(root / f"song{n}" / "mix.wav", mix, RATE, subtype="FLOAT")
    return root


def medleydb(root: Path, name: str, metadata: Path | None = None, raw: int = 3) -> Path:
    song = root / name
    rows = []
    for s in range(1, 3):
        write(song / f"{name}_STEMS" / f"{name}_STEM_{s:02d}.wav", s, 2)
        inner = []
        for r in range(1, raw if s == 1 else 2):
            file = f"{name}_RAW_{s:02d}_{r:02d}.wav"
            write(song / f"{name}_RAW" / file, s + r)
            instrument = "[male singer, guitar]" if r == 2 else "drum set"
            inner.append(f"      R{r:02d}: {{filename: {file}, instrument: {instrument}}}")
        rows.append(
            f"  S{s:02d}:\n    filename: {name}_STEM_{s:02d}.wav\n    instrument: electric bass\n    raw:\n" + "\n".join(inner)
        )
    write(song / f"{name}_MIX.wav", 5, 2)
    # What macOS leaves in archives.
    (song / f"{name}_RAW" / f"._{name}_RAW_01_01.wav").write_bytes(b"\x00\x05\x16\x07")
    where = song if metadata is None else metadata
    where.mkdir(parents=True, exist_ok=True)
    text = f"artist: x\nhas_bleed: '{'yes' if 'Bleed' in name else 'no'}'\nmix_filename: {name}_MIX.wav\nraw_dir: {name}_RAW\n"
    (where / f"{name}_METADATA.yaml").write_text(f"{text}stem_dir: {name}_STEMS\nstems:\n" + "\n".join(rows) + "\n")
    return song


def enst(root: Path) -> Path:
    audio = {n: root / f"drummer_{n}" / "audio" for n in (1, 2)}
    takes = {
        1: ("001_hits_snare-drum_sticks_x6", "036_phrase_disco_simple_slow_sticks", "037_phrase_disco_complex_fast_sticks"),
        2: ("116_minus-one_rock-60s_sticks", "162_MIDI-minus-one_fusion-125_sticks"),
    }
    toms = {1: 2, 2: 3}
    for n, folder in audio.items():
        for take in takes[n]:
            microphones = ["hi-hat", "kick", "overhead_L", "overhead_R", "snare", *(f"tom_{t + 1}" for t in range(toms[n]))]
            for k, microphone in enumerate(microphones):
                write(folder / microphone / f"{take}.wav", k)
            for mix in ("dry_mix", "wet_mix"):
                write(folder / mix / f"{take}.wav", 7, 2)
            if "minus-one" in take:
                write(folder / "accompaniment" / f"{take}.wav", 8, 2)
    return root


def four(where: Path) -> torch.Tensor:
    """The four stems of MUSDB18 and DSD100; returns their sum."""
    total = torch.zeros(2, round(SECONDS * RATE))
    for k, name in enumerate(("bass", "drums", "other", "vocals")):
        total += tone(k, 2)
        save(where / f"{name}.wav", tone(k, 2), RATE, subtype="FLOAT")
    return total


def musdb(root: Path, name: str, part: str = "train") -> Path:
    where = root / part / name
    save(where / "mixture.wav", four(where), RATE, subtype="FLOAT")
    return where


def dsd(root: Path, name: str, part: str = "Dev") -> Path:
    where = root / "Sources" / part / name
    total = four(where)
    (root / "Mixtures" / part / name).mkdir(parents=True, exist_ok=True)
    soundfile.write(root / "Mixtures" / part / name / "mixture.wav", np.asarray(total.T), RATE, subtype="FLOAT")
    return where
