"""The tool that renders songs: what it reads off a MIDI file. Rendering itself takes libfluidsynth and Debian's packages."""

import importlib.util
import io
import struct
from pathlib import Path

import mido
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def midi():
    spec = importlib.util.spec_from_file_location("midi_songs", ROOT / "tools" / "midi_songs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def song(seconds: float = 12.0) -> bytes:
    """A bass on channel 1 at level 80 and pan 32 from the start, and from the middle on a kick and a snare."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.Message("program_change", channel=1, program=33))
    track.append(mido.Message("control_change", channel=1, control=7, value=80))
    track.append(mido.Message("control_change", channel=1, control=10, value=32))
    for second in range(int(seconds)):
        notes = [(1, 40)] + ([(9, 36), (9, 38)] if second >= seconds / 2 else [])
        for channel, note in notes:
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=90))
        for number, (channel, note) in enumerate(notes):
            track.append(
                mido.Message("note_off", channel=channel, note=note, time=0 if number else 960)
            )  # 1 s at 120 to the minute
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def test_the_parts_and_how_their_composer_set_them(midi):
    parts = midi.parts(midi.events(song()), 0.0, 12.0)
    assert [(p.channel, p.label) for p in parts] == [(1, "bass_guitar"), (9, "kick"), (9, "snare")]
    assert parts[0].set_to == {7: [80] * 12, 10: [32] * 12}
    assert set(parts[1].set_to[7]) == {100} and set(parts[1].set_to[10]) == {64}  # never set: the standard's


def test_the_window_is_where_most_parts_play(midi):
    start, end = midi.window(midi.events(song()), 5.0)
    assert 4 <= start <= 6.5 and end == start + 5
    assert midi.window(midi.events(song(4)), 20.0) is None


def test_music_is_found_in_a_games_archive(midi):
    music, other = b"MThd-music", b"MUS\x1a-other"
    entries = [(12, len(music), b"D_E1M1"), (12 + len(music), len(other), b"D_E1M2"), (12, len(music), b"TITLEPIC")]
    wad = struct.pack("<4sii", b"IWAD", len(entries), 12 + len(music) + len(other)) + music + other
    wad += b"".join(struct.pack("<ii8s", *entry) for entry in entries)
    assert list(midi.lumps(wad, "x_")) == [("x_e1m1", music)]
