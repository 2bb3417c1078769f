"""DAWproject, the open exchange format: a zip with project.xml, metadata.xml and the audio."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixing.export import places
from mixing.export.automation import Lane, interpolated
from mixing.export.dawproject_map import DEVICES, SHAPES, Conversion, balance, conversions, losses, plays
from mixing.export.effects import BANDS, groups, linear
from mixing.export.media import Medium, shown
from mixing.export.record import packed
from mixing.output import write_whole
from mixing.settings import Settings

RECORD = "dasp.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the zip: the same settings give the same bytes
_ELEMENTS = {"highPass": "1", "lowPass": "1"}  # band -> order: 6 dB an octave


def write(path: Path, settings: Settings, lanes: Sequence[Lane], media: Sequence[Medium], title: str) -> list[str]:
    """Write the project, whole or not at all; returns what the format cannot say."""
    full = places.complete(settings)
    notes = losses(full, [m.channels for m in media])
    root = project(full, lanes, media)
    record = packed(settings, lanes)

    def save(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in (
                ("project.xml", _text(root)),
                ("metadata.xml", _text(_metadata(settings, notes, title))),
                (RECORD, record.encode()),
            ):
                archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text)
            for medium in media:
                with (
                    medium.source.open("rb") as source,
                    archive.open(_entry(f"audio/{medium.name}"), "w", force_zip64=True) as out,
                ):
                    while part := source.read(1 << 20):
                        out.write(part)

    write_whole(path, save)
    return notes


def _entry(name: str, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type, info.external_attr = method, 0o644 << 16
    return info


def _text(root: ET.Element) -> bytes:
    ET.indent(root)
    out = io.BytesIO()
    ET.ElementTree(root).write(out, "UTF-8", xml_declaration=True)
    return out.getvalue()


def _metadata(settings: Settings, notes: Sequence[str], title: str) -> ET.Element:
    root = ET.Element("MetaData")
    ET.SubElement(root, "Title").text = shown(title)
    lines = [*settings.get("notes", []), *(f"Not expressed: {n}" for n in notes)]
    ET.SubElement(root, "Comment").text = "\n".join(shown(line) for line in lines)
    return root


def native_lanes(full: Settings, lanes: Sequence[Lane], channels: Sequence[int]) -> dict[str, list[tuple[float, float]]]:
    """Place -> points in the project's units. A stereo track that is panned over time has a lane for its fader too, since the
    level of a balance is another than that of dasp's pan."""
    table = conversions(full)
    given = {lane.where: lane.points for lane in lanes}
    out = {where: [(t, table[where].there(v)) for t, v in points] for where, points in given.items()}
    for n, track in enumerate(full["tracks"]):
        fader, pan = f"tracks.{n}.fader_db", f"tracks.{n}.pan"
        if channels[n] != 2 or not {fader, pan} & set(given):
            continue
        faders = given.get(fader, ((0.0, track["fader_db"]),))
        pans = given.get(pan, ((0.0, track["pan"]),))
        times = sorted({t for t, _ in faders} | {t for t, _ in pans})
        both = [(t, *balance(linear(interpolated(faders, t)), interpolated(pans, t))) for t in times]
        out[fader] = [(t, volume) for t, volume, _ in both]
        if pan in given:
            out[pan] = [(t, balance(1.0, v)[1]) for t, v in pans]
    return out


def project(full: Settings, lanes: Sequence[Lane], media: Sequence[Medium]) -> ET.Element:
    """The root of project.xml.

    Args:
        full: complete settings.
        lanes: automation.
        media: the stem of each track.
    """
    return _Project(full, lanes, media).element


class _Project:
    """project.xml. A value's id is its place in the settings."""

    def __init__(self, full: Settings, lanes: Sequence[Lane], media: Sequence[Medium]) -> None:
        import dasp

        self.full, self.media, self.table = full, media, conversions(full)
        self.lanes = native_lanes(full, lanes, [m.channels for m in media])
        self.element = ET.Element("Project", version="1.0")
        ET.SubElement(self.element, "Application", name="dasp", version=dasp.__version__)
        transport = ET.SubElement(self.element, "Transport")
        ET.SubElement(transport, "Tempo", unit="bpm", value="120", id="tempo")
        ET.SubElement(transport, "TimeSignature", numerator="4", denominator="4", id="time_signature")
        structure = ET.SubElement(self.element, "Structure")
        for n, track in enumerate(full["tracks"]):
            self._track(structure, n, track)
        for n, bus in enumerate(full["buses"]):
            channel = self._channel(structure, f"bus{n}", bus["name"], "effect", 2)
            self._devices(channel, f"buses.{n}.effects", bus["effects"])
            if not plays(bus["effects"]):
                ET.SubElement(channel, "Mute", value="true", id=f"bus{n}.mute", name="Mute")
            self._fixed(channel, "Volume", "linear", 1.0, f"bus{n}.volume")
        master = self._channel(structure, "master", "Master", "master", 2)
        self._devices(master, "master", full["master"])
        self._real(master, "Volume", "output_gain_db", full["output_gain_db"])
        self._arrangement()

    def _channel(self, structure: ET.Element, key: str, name: str, role: str, channels: int) -> ET.Element:
        track = ET.SubElement(structure, "Track", contentType="audio", loaded="true", id=key, name=shown(name))
        attributes = {"audioChannels": str(channels), "role": role, "id": f"{key}.channel"}
        if role != "master":
            attributes["destination"] = "master.channel"
        return ET.SubElement(track, "Channel", attributes)

    def _track(self, structure: ET.Element, n: int, track: dict[str, Any]) -> None:
        width = self.media[n].channels
        channel = self._channel(structure, f"track{n}", track["name"], "regular", width)
        self._devices(channel, f"tracks.{n}.inserts", track["inserts"])
        volume, pan = linear(track["fader_db"]), track["pan"]
        if width == 2:
            volume, pan = balance(volume, pan)
        muted = str(bool(track["mute"])).lower()
        ET.SubElement(channel, "Mute", value=muted, id=f"tracks.{n}.mute", name="Mute")
        self._fixed(channel, "Pan", "normalized", pan, f"tracks.{n}.pan")
        numbers = {bus["name"]: k for k, bus in enumerate(self.full["buses"])}
        if track["sends_db"]:
            sends = ET.SubElement(channel, "Sends")
            for bus, level in track["sends_db"].items():
                send = ET.SubElement(
                    sends, "Send", destination=f"bus{numbers[bus]}.channel", type="post", id=f"track{n}.send.{bus}", name=bus
                )
                self._real(send, "Volume", f"tracks.{n}.sends_db.{bus}", level)
        self._fixed(channel, "Volume", "linear", volume, f"tracks.{n}.fader_db")

    def _fixed(self, parent: ET.Element, element: str, unit: str, native: float, key: str) -> None:
        ET.SubElement(parent, element, unit=unit, value=repr(float(native)), id=key, name=element)

    def _real(self, parent: ET.Element, element: str, where: str, value: float, name: str | None = None) -> None:
        conversion: Conversion = self.table[where]
        native = repr(float(conversion.there(value)))
        ET.SubElement(parent, element, unit=conversion.unit, value=native, id=where, name=name or element)

    def _devices(self, channel: ET.Element, place: str, effects: list[dict[str, Any]]) -> None:
        if not effects:
            return
        devices = ET.SubElement(channel, "Devices")
        for group in groups(effects):
            first = group.numbers[0]
            if group.kind == "equalizer":
                self._equalizer(devices, place, effects, group.numbers)
                continue
            entry, device = effects[first], DEVICES.get(group.kind)
            slots = {} if device is None else {s.element: s for s in device.slots}
            made = self._device(devices, "BuiltinDevice" if device is None else device.element, group.kind, f"{place}.{first}")
            taken = {s.control for s in slots.values()}
            rest = {k: c for k, c in entry["controls"].items() if k not in taken}
            if rest:
                parameters = ET.SubElement(made, "Parameters")
                for name, control in rest.items():
                    self._real(parameters, "RealParameter", f"{place}.{first}.controls.{name}", control["value"], name)
            ET.SubElement(made, "Enabled", value="true", id=f"{place}.{first}.enabled", name="Enabled")
            # The schema wants the format's own parameters in alphabetical order.
            for element in sorted({*slots, *_constants(made.tag)}):
                if element in slots:
                    control = slots[element].control
                    self._real(made, element, f"{place}.{first}.controls.{control}", entry["controls"][control]["value"])
                else:
                    ET.SubElement(made, element, {**_constants(made.tag)[element], "id": f"{place}.{first}.{element}"})

    def _device(self, devices: ET.Element, element: str, name: str, key: str) -> ET.Element:
        attributes = {"deviceName": name, "deviceRole": "audioFX", "deviceVendor": "dasp", "deviceID": f"dasp.{name}"}
        return ET.SubElement(devices, element, {**attributes, "name": name, "loaded": "true", "id": key})

    def _equalizer(self, devices: ET.Element, place: str, effects: list[dict[str, Any]], numbers: Sequence[int]) -> None:
        made = self._device(devices, "Equalizer", "Equalizer", f"{place}.{numbers[0]}")
        ET.SubElement(made, "Enabled", value="true", id=f"{place}.{numbers[0]}.enabled", name="Enabled")
        gain = None
        for k in numbers:
            controls, start = effects[k]["controls"], f"{place}.{k}.controls"
            if effects[k]["effect"] == "Gain":
                gain = (f"{start}.gain_db", controls["gain_db"]["value"])
            for band in BANDS[effects[k]["effect"]]:
                shape = SHAPES[band.shape]
                order = {"order": _ELEMENTS[shape]} if shape in _ELEMENTS else {}
                element = ET.SubElement(made, "Band", {"type": shape, **order})
                for name, control in (("Freq", band.frequency), ("Gain", band.gain), ("Q", band.q)):
                    if control is not None:
                        self._real(element, name, f"{start}.{control}", controls[control]["value"])
                ET.SubElement(element, "Enabled", value="true", id=f"{start}.{band.prefix}enabled", name="Enabled")
        if gain is not None:
            self._real(made, "OutputGain", *gain)

    def _arrangement(self) -> None:
        arrangement = ET.SubElement(self.element, "Arrangement", id="arrangement")
        lanes = ET.SubElement(arrangement, "Lanes", timeUnit="seconds", id="lanes")
        for n, (track, medium) in enumerate(zip(self.full["tracks"], self.media, strict=True)):
            own = ET.SubElement(lanes, "Lanes", track=f"track{n}", id=f"track{n}.lanes")
            clips = ET.SubElement(own, "Clips", id=f"track{n}.clips")
            lag = track["lag_samples"] / self.full["sample_rate"]
            start, late = max(0.0, lag), max(0.0, -lag)
            clip = ET.SubElement(
                clips, "Clip", time=repr(late), duration=repr(max(0.0, medium.seconds - start)), playStart=repr(start),
                contentTimeUnit="seconds", name=shown(track["name"]),
            )  # fmt: skip
            audio = ET.SubElement(
                clip, "Audio", channels=str(medium.channels), sampleRate=str(medium.rate), duration=repr(medium.seconds),
                id=f"track{n}.audio",
            )  # fmt: skip
            ET.SubElement(audio, "File", path=f"audio/{medium.name}")
            self._points(own, lambda where, n=n: where.startswith(f"tracks.{n}."))
        for n in range(len(self.full["buses"])):
            self._owned(lanes, f"bus{n}", lambda where, n=n: where.startswith(f"buses.{n}."))
        self._owned(lanes, "master", lambda where: where.startswith(("master.", "output_gain_db")))

    def _owned(self, lanes: ET.Element, key: str, mine: Any) -> None:
        if any(map(mine, self.lanes)):
            self._points(ET.SubElement(lanes, "Lanes", track=key, id=f"{key}.lanes"), mine)

    def _points(self, parent: ET.Element, mine: Any) -> None:
        for where, points in self.lanes.items():
            if mine(where):
                made = ET.SubElement(parent, "Points", unit=self.table[where].unit, id=f"lane.{where}")
                ET.SubElement(made, "Target", parameter=where)
                for time, native in points:
                    ET.SubElement(made, "RealPoint", time=repr(float(time)), value=repr(float(native)), interpolation="linear")


def _constants(element: str) -> dict[str, dict[str, str]]:
    """What every device of a kind has, whatever the effect's settings."""
    return {
        "Compressor": {"AutoMakeup": {"value": "false", "name": "AutoMakeup"}},
        "Limiter": {"Threshold": {"unit": "decibel", "value": "0.0", "name": "Threshold"}},
    }.get(element, {})
