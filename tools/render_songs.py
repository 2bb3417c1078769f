"""Render songs that people wrote as MIDI into multitracks whose every gain and pan is known, from Debian's packages alone.

python tools/render_songs.py OUT                         # all songs: some 140, half an hour
python tools/render_songs.py OUT --only '^freedoom'      # those whose licence asks least (BSD-3-Clause): 65

It takes apt and dpkg (240 MB are downloaded, nothing is installed), libfluidsynth3, and `pip install mido pyfluidsynth`. Each
song becomes OUT/NAME/ with stems/NN_instrument.ogg (mono, dry, levels and pans of the MIDI file left out; drums as kick, snare,
hihat, toms, cymbals, percussion), mix_composer.ogg (the balance that the composer wrote: controllers 7 and 10) and meta.json, as
`mixing.data` reads them. Sound font, drum kit and window follow from the song's name, so the same packages give the same samples.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import midi_songs as midi
import numpy as np
import soundfile as sf

RATE = 44100
# Note -> note of the sampled kits, which have fewer toms and cymbals.
KIT_NOTE = {
    **{n: n for n in (36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 49, 51, 53, 57, 59)},
    **{35: 36, 45: 41, 47: 45, 48: 47, 50: 45, 52: 60, 55: 55},
}
ELECTRONIC_OR_ORCHESTRAL = (24, 25, 48, 49, 56)  # programs of the drum channel for which no sampled kit stands in
SILENT_DB, MOST_STEMS, LEAST_STEMS = -75.0, 16, 4
ORDER = ("kick", "snare", "hihat", "toms", "cymbals", "percussion")
FONTS = {
    "MuseScore_General": "musescore-general-soundfont/usr/share/sounds/sf3/MuseScore_General_Full.sf3",
    "FluidR3_GM": "fluid-soundfont-gm/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "TimGM6mb": "timgm6mb-soundfont/usr/share/sounds/sf2/TimGM6mb.sf2",
}
KITS = {k: f"avldrums.lv2-soundfont/usr/share/sounds/sf2/{k}_4_LV2.sf2" for k in ("Black_Pearl", "Red_Zeppelin")}


def decibels(x: float) -> float:
    return float(20 * np.log10(max(float(x), 1e-9)))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


class Synthesizer:
    """libfluidsynth with one sound font, without reverb and chorus; a kit is preset 0 of bank 0 on the drum channel."""

    def __init__(self, path: Path, kit: bool = False) -> None:
        import fluidsynth

        self.api, self.kit = fluidsynth, kit
        for level in (1, 2, 3, 4):  # error to debug: quiet
            fluidsynth._fl.fluid_set_log_function(level, None, None)
        settings = fluidsynth.new_fluid_settings()
        if kit:
            fluidsynth.fluid_settings_setstr(settings, b"synth.midi-bank-select", b"mma")
        fluidsynth.fluid_settings_setnum(settings, b"synth.sample-rate", float(RATE))
        fluidsynth.fluid_settings_setnum(settings, b"synth.gain", 0.4)
        for name, value in ((b"synth.reverb.active", 0), (b"synth.chorus.active", 0), (b"synth.polyphony", 256)):
            fluidsynth.fluid_settings_setint(settings, name, value)
        self.synth = fluidsynth.new_fluid_synth(settings)
        self.font = fluidsynth.fluid_synth_sfload(self.synth, str(path).encode(), 1)
        if self.font < 0:
            raise SystemExit(f"{path}: is no sound font that libfluidsynth can load.")
        pointer = ctypes.c_void_p
        self.write = fluidsynth._fl.fluid_synth_write_float
        self.write.argtypes = [pointer, ctypes.c_int, pointer, ctypes.c_int, ctypes.c_int, pointer, ctypes.c_int, ctypes.c_int]

    def render(
        self,
        events: list[midi.Event],
        start: float,
        end: float,
        keep: Callable[[Any], bool],
        neutral: bool,
        notes: Mapping[int, int] | None = None,
    ) -> np.ndarray:
        """A stretch of events as audio, float32 (T, 2).

        Args:
            events: in order of time; those before the stretch set instruments and controllers.
            start, end: of the stretch, in seconds.
            keep: which notes sound.
            neutral: level and pan stay at the middle, whatever the events say.
            notes: note of the file -> note of a kit; what is not in it is silent.
        """
        api, synth = self.api, self.synth
        api.fluid_synth_system_reset(synth)
        if self.kit:
            api.fluid_synth_program_select(synth, midi.DRUMS, self.font, 0, 0)
        samples = round((end - start) * RATE)
        out, done = np.zeros((samples, 2), np.float32), 0
        block = np.zeros(2 * 8192, np.float32)
        pointer = block.ctypes.data_as(ctypes.c_void_p)

        def go_on(to: int) -> None:
            nonlocal done
            while done < to:
                size = min(8192, to - done)
                self.write(synth, size, pointer, 0, 2, pointer, 1, 2)
                out[done : done + size] = block[: 2 * size].reshape(-1, 2)
                done += size

        for t, m in events:
            if t >= end:
                break
            if t >= start:
                go_on(min(samples, int((t - start) * RATE)))
            drums = m.channel == midi.DRUMS
            if m.type in ("note_on", "note_off"):
                note = m.note if notes is None else notes.get(m.note)
                if t < start or note is None or not keep(m):
                    continue
                if midi.sounds(m):
                    api.fluid_synth_noteon(synth, m.channel, note, m.velocity)
                elif not (drums and notes):  # a drum of a kit rings out
                    api.fluid_synth_noteoff(synth, m.channel, note)
            elif m.type == "program_change":
                if not (drums and notes is not None):
                    api.fluid_synth_program_change(synth, m.channel, m.program)
            elif m.type == "pitchwheel":
                api.fluid_synth_pitch_bend(synth, m.channel, m.pitch + 8192)
            elif m.type == "control_change":
                effect, bank = m.control in (91, 93, 94, 95), m.control in (0, 32) and drums
                if not (effect or bank or (neutral and m.control in (midi.LEVEL, midi.PAN, 8))):
                    api.fluid_synth_cc(synth, m.channel, m.control, m.value)
        go_on(samples)
        if samples % 64:  # it works in blocks of 64: every render starts on one, and two of the same notes are equal
            self.write(synth, 64 - samples % 64, pointer, 0, 2, pointer, 1, 2)
        return out


def make(name: str, data: bytes, fonts: Mapping[str, Any], kits: Mapping[str, Any], chosen: argparse.Namespace) -> str:
    """Render one song as the command line asks for; what was done, or why not, in words."""
    out, seconds, quality = chosen.out, chosen.seconds, chosen.quality
    number = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16)
    try:
        song = midi.events(data)
    except Exception as error:  # mido raises many kinds
        return f"unreadable: {error}"
    span = midi.window(song, seconds)
    if span is None:
        return "too short"
    parts = midi.parts(song, *span)
    if len(parts) < LEAST_STEMS:
        return f"only {len(parts)} parts"
    gains = np.array([_about(part, "")["composer_gain_db"] for part in parts])
    if np.abs(gains - gains.mean()).mean() < chosen.least_spread:
        return "its score hardly sets levels"
    font, kit = sorted(fonts)[number % len(fonts)], sorted(kits)[(number // 7) % len(kits)]
    acoustic = not any(p in ELECTRONIC_OR_ORCHESTRAL for part in parts if part.drum for p in part.programs)
    sampled = acoustic and (number // 31) % 5 != 0  # four of five songs get a sampled kit
    gain = _kit_gain(song, span, fonts[font], kits[kit]) if sampled and any(part.drum for part in parts) else 1.0

    stems, mix = [], None
    for part in parts:
        own = [e for e in song if e[1].channel == part.channel]
        real = sampled and part.drum not in ("", "percussion")
        source, level, notes = (kits[kit], gain, KIT_NOTE) if real else (fonts[font], 1.0, None)
        keep = _of_drum(part.drum) if part.drum else lambda m: True
        dry, wet = (source.render(own, *span, keep, neutral, notes) * level for neutral in (True, False))
        audio = dry.mean(1)
        if decibels(rms(audio)) < SILENT_DB:
            continue
        mix = wet if mix is None else mix + wet
        stems.append((audio, _about(part, kit if real else font)))
    if len(stems) < LEAST_STEMS or mix is None:
        return f"only {len(stems)} sounding parts"
    if len(stems) > MOST_STEMS:
        stems = sorted(stems, key=lambda s: -float(np.sum(s[0] ** 2)))[:MOST_STEMS]
    stems.sort(key=lambda s: (_place(s[1]["label"]), s[1]["midi_channel"]))
    fade = np.ones(len(mix), np.float32)
    fade[-int(0.02 * RATE) :] = np.linspace(1, 0, int(0.02 * RATE))
    stem_gain = 0.7 / max(np.abs(audio).max() for audio, _ in stems)
    mix_gain = 0.89 / max(np.abs(mix).max(), 1e-6)
    collection = name.partition("_")[0]
    meta = {
        "song": name,
        "licence": midi.COLLECTIONS[collection][1],
        "start_s": round(span[0], 3),
        "duration_s": round(len(mix) / RATE, 3),
        "soundfont": font,
        "drum_kit": kit if sampled else font,
        "stem_gain_db": round(decibels(stem_gain), 2),
        "mix_gain_db": round(decibels(mix_gain), 2),
        "mix": "composer's MIDI volume and pan (CC7, CC10); dry, no EQ, no compression, no reverb",
        "stems": [],
    }
    (out / name / "stems").mkdir(parents=True, exist_ok=True)
    count: Counter[str] = Counter()
    for place, (audio, about) in enumerate(stems, 1):
        count[about["label"]] += 1
        again = f"_{count[about['label']]}" if count[about["label"]] > 1 else ""
        file = f"stems/{place:02d}_{about['label']}{again}.ogg"
        sound = audio * stem_gain * fade
        _write(out / name / file, sound, quality)
        levels = {"rms_db": round(decibels(rms(sound)), 1), "peak_db": round(decibels(np.abs(sound).max()), 1)}
        meta["stems"].append({**about, "file": file, **levels})
    _write(out / name / "mix_composer.ogg", mix * mix_gain * fade[:, None], quality)
    (out / name / "meta.json").write_text(json.dumps(meta, indent=1))
    return f"{len(stems)} stems, {len(mix) / RATE:.1f} s, {font}, {meta['drum_kit']}"


def _kit_gain(song: list[midi.Event], span: tuple[float, float], font: Any, kit: Any) -> float:
    """What brings a sampled kit to the level of the sound font's own, so that the composer's balance still holds."""
    own = font.render(song, *span, lambda m: m.channel == midi.DRUMS and m.note in KIT_NOTE, True)
    drums = [e for e in song if e[1].channel == midi.DRUMS]
    sampled = rms(kit.render(drums, *span, lambda m: m.channel == midi.DRUMS, True, KIT_NOTE))
    return float(np.clip(rms(own) / sampled, 0.1, 8)) if sampled > 1e-5 else 1.0


def _of_drum(group: str) -> Callable[[Any], bool]:
    return lambda m: midi.DRUM_OF.get(m.note, "percussion") == group


def _about(part: midi.Part, source: str) -> dict[str, Any]:
    level, pan = (float(np.mean(part.set_to[c])) for c in (midi.LEVEL, midi.PAN))
    return {
        "label": part.label,
        "source": source,
        "midi_channel": part.channel + 1,
        "composer_cc7": round(level, 1),
        "composer_cc10": round(pan, 1),
        "composer_gain_db": round(float(40 * np.log10(max(level, 1) / midi.NEUTRAL[midi.LEVEL])), 2),
        "composer_pan": round((pan - midi.NEUTRAL[midi.PAN]) / 64, 2),
    }


def _place(label: str) -> int:
    return ORDER.index(label) if label in ORDER else 9 + ("bass" not in label)


def _write(path: Path, audio: np.ndarray, quality: float) -> None:
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    with sf.SoundFile(path, "w", RATE, channels, format="OGG", subtype="VORBIS", compression_level=1 - quality) as file:
        for start in range(0, len(audio), 32768):  # libsndfile's Vorbis encoder overflows its stack on long writes
            file.write(audio[start : start + 32768])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the songs")
    parser.add_argument("--cache", type=Path, default=Path("build/songs"), help="folder of the packages")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each song")
    parser.add_argument("--quality", type=float, default=0.4, help="of Ogg Vorbis, 0 to 1")
    spread = "leave out songs whose levels are nearer to their mean, in the mean; most scores set none"
    parser.add_argument("--least-spread", type=float, default=0.0, metavar="DB", help=spread)
    parser.add_argument("--only", default="", metavar="REGEX", help="of the songs' names")
    chosen = parser.parse_args()
    packages = [package for package, _ in midi.COLLECTIONS.values()]
    midi.fetch(chosen.cache, (*packages, *midi.SOUNDS))
    fonts = {k: Synthesizer(chosen.cache / f"x_{v}") for k, v in FONTS.items()}
    kits = {k: Synthesizer(chosen.cache / f"x_{v}", kit=True) for k, v in KITS.items()}
    for name, data in sorted(midi.songs(chosen.cache).items()):
        if re.search(chosen.only, name):
            print(f"{name}: {make(name, data, fonts, kits, chosen)}", flush=True)


if __name__ == "__main__":
    main()
