"""A desk of 16 tracks and 3 minutes in Chromium: how soon it can be played, whether it drops out, what its folder takes.

    python tools/check_desk.py [FOLDER] [--seconds 60]

The stems are the demo's, repeated, shifted and with a faint noise that needs 24 bits on every other one; every track has the
equaliser, the compressor and a reverb send. FOLDER keeps what is made (by default it is thrown away).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "mixing")]

from browser import launched, opened  # noqa: E402
from desk_song import full_settings  # noqa: E402

from mixing import Multitrack, audio, settings  # noqa: E402
from mixing.commands.desk import versions_of, write  # noqa: E402
from mixing.stems import Stems  # noqa: E402

TRACKS, SECONDS = 16, 180


def make(folder: Path) -> None:
    """Stems, settings, mixes and desk."""
    stems = Stems.open(ROOT / "mixing" / "demo_data" / "francium")
    length = round(SECONDS * stems.sample_rate)
    (folder / "stems").mkdir(parents=True)
    noise = np.random.default_rng(0)
    total = torch.zeros(2, length)
    for n in range(TRACKS):
        k = n % len(stems.files)
        x = stems.track(k)[: int(stems.channels[k])].roll(n * 7919, 1)
        x = x.repeat(1, -(-length // x.shape[1]))[:, :length]
        if n % 2:
            x = (x + 1e-5 * torch.from_numpy(noise.standard_normal(tuple(x.shape)))).float()
        total += x / TRACKS
        bits = "PCM_24" if n % 2 else "PCM_16"
        soundfile.write(
            folder / "stems" / f"{n + 1:02d}_{stems.names[k]}.flac", x.T.numpy(), round(stems.sample_rate), subtype=bits
        )
    (folder / "out").mkdir()
    short = Multitrack.from_folder(folder / "stems").excerpt(0, 44100)
    values = full_settings(short, command="")
    settings.write(folder / "out" / "settings.json", values)
    for name in ("mix", "reference", "other"):
        audio.write(folder / "out" / f"{name}.wav", total, stems.sample_rate)
    out = folder / "out"
    start = time.perf_counter()
    found = versions_of(out, True, out / "reference.wav", (f"other={out / 'other.wav'}",))
    write(out, folder / "stems", settings.read(out / "settings.json"), found, title="Sixteen tracks")
    print(f"made in {time.perf_counter() - start:.0f} s")


def look(folder: Path, seconds: float) -> None:
    """Open it, play it, and say how it went."""
    desk = folder / "out" / "desk"
    files = [f for f in desk.rglob("*") if f.is_file()]
    size = sum(f.stat().st_size for f in files)
    carried = sum(int(f.read_bytes()[:80].split(b",", 3)[2]) for f in files if f.suffix == ".js")
    stems = sum(f.stat().st_size for f in (folder / "stems").iterdir())
    print(f"folder {size / 1e6:.1f} MB in {len(files)} files; sound in it {carried / 1e6:.1f} MB: {size / carried:.4f} of it")
    print(f"the stems' own files have {stems / 1e6:.1f} MB")
    with launched() as browser:
        start = time.perf_counter()
        with opened(browser, desk / "index.html", viewport={"width": 1440, "height": 1000}) as page:
            drawn = time.perf_counter() - start
            page.evaluate("dasp.ready")
            print(f"drawn after {drawn:.2f} s, ready to be played after {time.perf_counter() - start:.2f} s")
            page.keyboard.press(" ")
            page.wait_for_timeout(3000)
            first = page.evaluate("dasp.desk.player.dropouts")
            page.wait_for_timeout(1000 * seconds)
            last = page.evaluate("dasp.desk.player.dropouts")
            print(f"at the start {first}\nat the end {last}")
            played = last["seconds"] - first["seconds"]
            print(f"{played:.1f} s played, to {page.evaluate('dasp.desk.player.meters.position') / 44100:.1f} s of the song")
            start = time.perf_counter()
            page.evaluate("dasp.desk.player.seek(120)")
            while not page.evaluate("dasp.desk.player.meters.position > 120.2 * dasp.desk.song.rate"):
                page.wait_for_timeout(20)
            print(f"a jump to 2:00 sounds after {time.perf_counter() - start - 0.2:.2f} s")
            heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0")
            print(f"JavaScript heap {heap / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="to play")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "out" / "desk").exists():
            make(folder)
        look(folder, given.seconds)


if __name__ == "__main__":
    main()
