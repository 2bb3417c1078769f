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
PAGE = ROOT / "docs" / "desk.md"
COUNTED = {"underruns": "drop-outs", "stalls": "waits for a piece of sound"}
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"


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


def look(folder: Path, seconds: float) -> dict[str, str]:
    """Open it, play it, and say how it went: what was measured -> a figure with its unit."""
    desk = folder / "out" / "desk"
    files = [f for f in desk.rglob("*") if f.is_file()]
    size = sum(f.stat().st_size for f in files)
    carried = sum(int(f.read_bytes()[:80].split(b",", 3)[2]) for f in files if f.suffix == ".js")
    found = {
        "folder over the sound that it carries": f"{size / carried:.3f}",
        "folder": f"{size / 1e6:.0f} MB",
        "the stems' own files": f"{sum(f.stat().st_size for f in (folder / 'stems').iterdir()) / 1e6:.0f} MB",
    }
    with launched() as browser:
        start = time.perf_counter()
        with opened(browser, desk / "index.html", viewport={"width": 1440, "height": 1000}) as page:
            found["drawn after"] = f"{time.perf_counter() - start:.2f} s"
            page.evaluate("dasp.ready")
            found["ready to be played after"] = f"{time.perf_counter() - start:.2f} s"
            page.keyboard.press(" ")
            page.wait_for_timeout(3000)
            first = page.evaluate("dasp.desk.player.dropouts")
            page.wait_for_timeout(1000 * seconds)
            last = page.evaluate("dasp.desk.player.dropouts")
            found["played"] = f"{last['seconds'] - first['seconds']:.1f} s"
            for name, title in COUNTED.items():
                found[title] = "not told" if last[name] is None else f"{last[name] - first[name]:g}"
            start = time.perf_counter()
            page.evaluate("dasp.desk.player.seek(120)")
            while not page.evaluate("dasp.desk.player.meters.position > 120.2 * dasp.desk.song.rate"):
                page.wait_for_timeout(20)
            found["a jump to 2:00 sounds after"] = f"{time.perf_counter() - start - 0.2:.2f} s"
    return found


def put(found: dict[str, str]) -> None:
    """Write the figures into the desk's page of the documentation."""
    lines = ["| measured | |", "|---|---|", *(f"| {name} | {value} |" for name, value in found.items())]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="to play")
    parser.add_argument("--write", action="store_true", help=f"the figures into {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "out" / "desk").exists():
            make(folder)
        found = look(folder, given.seconds)
    for name, value in found.items():
        print(f"{name}: {value}")
    if given.write:
        put(found)


if __name__ == "__main__":
    main()
