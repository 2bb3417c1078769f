"""What a DAW plays of a project by its own laws is what dasp renders: faders, pans, lags, sends, buses and the output gain."""

import io
import math
import zipfile
from xml.etree import ElementTree as ET

import exports
import numpy as np
import pytest
import soundfile
from synthetic import RATE

from mixing import Multitrack
from mixing.export import cockos, export
from mixing.export.rpp import Chunk, parse
from mixing.playback import render
from mixing.settings import SCHEMA

SETTINGS = {
    "schema": SCHEMA,
    "sample_rate": RATE,
    "tracks": [
        {"name": "track1", "fader_db": -4.0, "pan": 0.2, "lag_samples": 150, "sends_db": {"one": -6.0, "two": -20.0}},
        {"name": "track2", "fader_db": 3.0, "pan": 0.9, "lag_samples": -75, "sends_db": {"one": 2.0}},
        {"name": "track3", "fader_db": 1.5},
        {"name": "track4", "fader_db": -9.0, "pan": 0.35},
    ],
    "buses": [
        {"name": "one", "effects": [{"effect": "Gain", "controls": {"gain_db": {"value": -3.0}}}]},
        {"name": "two", "effects": [{"effect": "Gain", "controls": {"gain_db": {"value": 5.0}}}]},
    ],
    "master": [{"effect": "Gain", "controls": {"gain_db": {"value": 2.0}}}],
    "output_gain_db": -1.25,
}


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return exports.stems(tmp_path_factory.mktemp("song") / "stems", [f"track{n}" for n in range(1, 5)])


def placed(file, length, position, offset):
    """A clip on the timeline: (channels, length)."""
    audio = soundfile.read(file, always_2d=True)[0].T
    out = np.zeros((len(audio), length))
    start, skip = round(position * RATE), round(offset * RATE)
    part = audio[:, skip : skip + length - start]
    out[:, start : start + part.shape[1]] = part
    return out


def reaper(path, length):
    """By what was measured of REAPER: sine taper at a law of -3 dB, for mono and stereo; 0 dB where the track's law is 1."""
    root = parse("x", path.read_text())
    tracks = list(root.chunks("TRACK"))

    def strip(track, x):
        volume, pan, law = (float(w) for w in next(track.lines("VOLPAN"))[1:4])
        assert law in (pytest.approx(0.5**0.5), 1.0)
        assert law < 1 or pan == 0
        sides = [1.0, 1.0] if law == 1 else [math.cos((1 + pan) * math.pi / 4), math.sin((1 + pan) * math.pi / 4)]
        return volume * np.array(sides)[:, None] * gain(track, "FXCHAIN") * x

    def gain(parent, name):
        plugins = [c for chain in parent.chunks(name) for c in chain.body if isinstance(c, Chunk)]
        return math.prod(cockos.eq_bands(cockos.state_of("x", p))[1] for p in plugins)

    outputs = []
    for track in tracks:
        x = np.zeros((2, length))
        for item in track.chunks("ITEM"):
            file = path.parent / next(next(item.chunks("SOURCE")).lines("FILE"))[1]
            place = [float(next(item.lines(word))[1]) for word in ("POSITION", "SOFFS")]
            x = x + placed(file, length, *place)
        for send in track.lines("AUXRECV"):
            assert send[2] == "0"
            x = x + float(send[3]) * outputs[int(send[1])]
        outputs.append(strip(track, x))
    return float(next(root.lines("MASTER_VOLUME"))[1]) * gain(root, "MASTERFXLIST") * sum(outputs)


def other(path, length):
    """Mono tracks by constant power, stereo ones by a balance; sends behind both."""
    archive = zipfile.ZipFile(path)
    root = ET.fromstring(archive.read("project.xml"))

    def gain(channel):
        return math.prod(10 ** (float(e.get("value")) / 20) for e in channel.iter("OutputGain"))

    channels = {t.get("id"): t.find("Channel") for t in root.iter("Track")}
    mix, buses = np.zeros((2, length)), {k: np.zeros((2, length)) for k in channels if k.startswith("bus")}
    for key, channel in channels.items():
        volume = float(channel.find("Volume").get("value"))
        if key.startswith("track"):
            clip = root.find(f".//Lanes[@track='{key}']/Clips/Clip")
            file = io.BytesIO(archive.read(clip.find("Audio/File").get("path")))
            x = placed(file, length, float(clip.get("time")), float(clip.get("playStart")))
            pan = float(channel.find("Pan").get("value"))
            if channel.get("audioChannels") == "1":
                sides = [math.cos(pan * math.pi / 2), math.sin(pan * math.pi / 2)]
            else:
                sides = [min(1, 2 - 2 * pan), min(1, 2 * pan)]
            x = volume * np.array(sides)[:, None] * x
            for send in channel.iter("Send"):
                buses[send.get("destination").removesuffix(".channel")] += float(send.find("Volume").get("value")) * x
        elif key.startswith("bus"):
            assert channel.find("Mute") is None
            x = volume * gain(channel) * buses[key]
        else:
            return volume * gain(channel) * mix
        mix = mix + x
    raise AssertionError("no master")


@pytest.mark.parametrize(("ending", "play"), [(".rpp", reaper), (".dawproject", other)])
def test_a_project_sounds_as_dasp_renders_it(stems, tmp_path, ending, play):
    path = tmp_path / f"song{ending}"
    assert export(SETTINGS, stems, path) == ()
    tracks = Multitrack.from_folder(stems)
    rendered = render(SETTINGS, tracks).numpy()
    assert np.abs(rendered).max() > 0.1
    np.testing.assert_allclose(play(path, tracks.samples), rendered, atol=2e-6)
