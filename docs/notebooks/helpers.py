"""What the notebooks share: small songs cut from the demo song, and a player."""

import json
import tempfile
import warnings
from pathlib import Path

import soundfile
import torch
from IPython.display import Audio

from mixing import Multitrack
from mixing.demo_data import FRANCIUM

RATE = 22050
# Progress bars of libraries ask for Jupyter's widgets, which nothing here shows.
warnings.filterwarnings("ignore", module="tqdm")
# How an engineer might set the stems: gain in dB and position, -1 left to 1 right.
SETTINGS = {
    "01_backing_vox_build": (3.0, -0.5),
    "02_claps": (-6.0, 0.4),
    "03_fx_granular": (-12.0, 0.0),
    "04_garage_beat": (-3.0, 0.0),
    "05_kick": (0.0, 0.0),
    "06_lead_vox": (2.0, 0.0),
    "07_perc_build": (-8.0, -0.6),
    "08_synth_minilogue": (-7.0, 0.6),
    "09_texture": (-10.0, -0.3),
}


def write_songs(folder: Path, seconds: float = 3.0, starts: tuple[float, ...] = (1.0, 8.0, 12.0, 17.0, 22.5, 26.0)) -> Path:
    """Songs of a few seconds, as a data set with known settings: stems, mix and meta.json of each in a folder of its own."""
    whole = Multitrack.from_folder(FRANCIUM, sample_rate=RATE)
    for number, start in enumerate(starts):
        part = whole.excerpt(round(start * RATE), round(seconds * RATE))
        where = folder / f"song{number}"
        (where / "stems").mkdir(parents=True)
        rows, mix = [], torch.zeros(2, part.samples)
        for name, audio, channels in zip(part.names[0], part.audio[0], part.channels[0], strict=True):
            if audio.square().mean() < 1e-6:
                continue
            gain_db, pan = SETTINGS[name]
            soundfile.write(where / "stems" / f"{name}.wav", audio[: int(channels)].T.numpy(), RATE, subtype="FLOAT")
            rows.append({"file": f"stems/{name}.wav", "composer_gain_db": gain_db, "composer_pan": pan})
            angle = torch.tensor((pan + 1) * torch.pi / 4)
            mix += 10 ** (gain_db / 20) * 2**0.5 * torch.stack([angle.cos(), angle.sin()])[:, None] * audio
        soundfile.write(where / "mix.wav", mix.T.numpy(), RATE, subtype="FLOAT")
        meta = {"song": f"part {number}", "licence": "CC0-1.0", "mix": "gains and pans", "stems": rows}
        (where / "meta.json").write_text(json.dumps(meta))
    return folder


def listen(audio: torch.Tensor, sample_rate: float = RATE, peak: float = 0.7) -> Audio:
    """A player for audio (2, T), brought to one peak so that loudness does not decide."""
    sound = audio.detach().float() / audio.abs().max().clamp_min(1e-6) * peak
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        soundfile.write(file.name, sound.T.numpy(), round(sample_rate), format="MP3")
        return Audio(filename=file.name, embed=True)
