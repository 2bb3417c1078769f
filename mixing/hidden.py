"""A hidden mix to be recovered: settings drawn from a seed, rendered by the real plugins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp import Param, Reverb
from mixing.console import Console, Controls
from mixing.multitrack import Multitrack
from mixing.result import strip

INSERTS = ("LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor")

# What an engineer might set, narrower than the controls' own ranges.
_TRACK = (
    Param("low_shelf_filter_cutoff_frequency_hz", "Hz", 60, 300, 100, "log"),
    Param("low_shelf_filter_gain_db", "dB", -9, 9, 0),
    Param("low_shelf_filter_q", "", 0.5, 1, 0.7, "log"),
    Param("peak_filter_cutoff_frequency_hz", "Hz", 300, 4000, 1000, "log"),
    Param("peak_filter_gain_db", "dB", -9, 9, 0),
    Param("peak_filter_q", "", 0.5, 3, 1, "log"),
    Param("high_shelf_filter_cutoff_frequency_hz", "Hz", 3000, 10000, 5000, "log"),
    Param("high_shelf_filter_gain_db", "dB", -9, 9, 0),
    Param("high_shelf_filter_q", "", 0.5, 1, 0.7, "log"),
    Param("threshold_db", "dB", -40, -12, -20),
    Param("ratio", "dB/dB", 1.5, 8, 3, "log"),
    Param("attack_ms", "ms", 1, 60, 10, "log"),
    Param("release_ms", "ms", 40, 500, 100, "log"),
    Param("fader_db", "dB", -9, 9, 0),
    Param("pan", "", 0.1, 0.9, 0.5),
    Param("send_reverb_db", "dB", -16, -2, -9),
)
_BUS = (Param("room_size", "", 0.3, 0.8, 0.5), Param("damping", "", 0.2, 0.7, 0.5), Param("width", "", 0.5, 1.0, 0.8))


@dataclass(frozen=True)
class HiddenMix:
    """A reference whose settings are known.

    Attributes:
        audio: (2, T), rendered by the real plugins.
        console, controls: what rendered it; `physical` values in `tracks`.
        tracks: track name -> control -> value.
        buses: control -> value.
        strips: (N, 2, T), each track after fader and pan.
    """

    audio: Tensor
    console: Console
    controls: Controls
    tracks: dict[str, dict[str, float]]
    buses: dict[str, float]
    strips: Tensor


def hide(multitrack: Multitrack, seed: int = 0) -> HiddenMix:
    """Draw settings for every track (low shelf, peak, high shelf, compressor, fader, pan, reverb send) and render the mix.

    The inserts and the reverb are Pedalboard's (the black box of a strategy that has one); fader, pan, sends are the console's.
    """
    rate = multitrack.sample_rate
    console = Console(strip(INSERTS, rate), {"reverb": Reverb(rate)}, gradient="fd")
    generator = torch.Generator().manual_seed(seed)
    controls = console.defaults(1, multitrack.audio.shape[1])
    order = [q.name for q in console.track_controls]
    assert order == [q.name for q in _TRACK]
    draws = torch.rand(multitrack.audio.shape[1], len(_TRACK), generator=generator, dtype=torch.float64)
    for i, (narrow, full) in enumerate(zip(_TRACK, console.track_controls, strict=True)):
        controls.tracks[0, :, i] = full.to_unit(narrow.to_physical(draws[:, i]))
    # A threshold means something only against the level it meets: it is drawn around the track's own.
    place = order.index("threshold_db")
    for n in range(multitrack.audio.shape[1]):
        peak = 20 * math.log10(max(float(multitrack.audio[0, n].abs().max()), 1e-4))
        full = console.track_controls[place]
        threshold = min(max(peak - 4 - 18 * float(draws[n, place]), full.low), full.high)
        controls.tracks[0, n, place] = full.to_unit(threshold)
    bus_order = [q.name for q in console.bus_controls]
    for narrow in _BUS:
        i = bus_order.index(narrow.name)
        value = narrow.to_physical(torch.rand(1, generator=generator, dtype=torch.float64))
        controls.buses[:, i] = console.bus_controls[i].to_unit(value)
    with torch.no_grad():
        strips = console.strips(multitrack, controls.tracks)
        audio = console.sum(strips, controls)[0]
    physical = console.physical(controls)
    names = multitrack.names[0]
    tracks = {name: {k: float(v[0, n]) for k, v in physical["tracks"].items()} for n, name in enumerate(names)}
    buses = {k: float(v[0]) for k, v in physical["buses"].items()}
    return HiddenMix(audio, console, controls, tracks, buses, strips[0])
