"""Random settings of a console such as an engineer might choose."""

from __future__ import annotations

import torch
from torch import Tensor

from dasp import Param, Reverb
from mixing.console import Console, Controls
from mixing.instruments import CENTRED, family
from mixing.multitrack import Multitrack
from mixing.result import strip

INSERTS = ("LowShelfFilter", "PeakFilter", "HighShelfFilter", "Compressor")

# Narrower than the controls' own ranges. A control that does not stand here takes its whole range.
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
    Param("low_shelf_cutoff_frequency_hz", "Hz", 60, 300, 100, "log"),
    Param("low_shelf_gain_db", "dB", -9, 9, 0),
    Param("low_shelf_q", "", 0.5, 1, 0.7, "log"),
    Param("peak1_cutoff_frequency_hz", "Hz", 100, 500, 200, "log"),
    Param("peak1_gain_db", "dB", -6, 6, 0),
    Param("peak1_q", "", 0.5, 3, 1, "log"),
    Param("peak2_cutoff_frequency_hz", "Hz", 300, 1500, 700, "log"),
    Param("peak2_gain_db", "dB", -6, 6, 0),
    Param("peak2_q", "", 0.5, 3, 1, "log"),
    Param("peak3_cutoff_frequency_hz", "Hz", 1000, 4000, 2000, "log"),
    Param("peak3_gain_db", "dB", -6, 6, 0),
    Param("peak3_q", "", 0.5, 3, 1, "log"),
    Param("peak4_cutoff_frequency_hz", "Hz", 3000, 8000, 5000, "log"),
    Param("peak4_gain_db", "dB", -6, 6, 0),
    Param("peak4_q", "", 0.5, 3, 1, "log"),
    Param("high_shelf_cutoff_frequency_hz", "Hz", 5000, 12000, 8000, "log"),
    Param("high_shelf_gain_db", "dB", -9, 9, 0),
    Param("high_shelf_q", "", 0.5, 1, 0.7, "log"),
)
# Of a bus, only what stands here is drawn: its levels are the sends' business.
_BUS = (Param("room_size", "", 0.3, 0.8, 0.5), Param("damping", "", 0.2, 0.7, 0.5), Param("width", "", 0.5, 1.0, 0.8))
_NEAR = 0.1  # share of the drawn distance from the centre that low instruments keep


def console(sample_rate: float, inserts: tuple[str, ...] = INSERTS, *, plugins: bool = True) -> Console:
    """A console with these inserts and one reverb.

    Args:
        sample_rate: in Hz.
        inserts: names of effects.
        plugins: whether Pedalboard's plugins play (the black box of a strategy that has one), or dasp's own effects.
    """
    return Console(strip(inserts, sample_rate), {"reverb": Reverb(sample_rate)}, gradient="fd" if plugins else "autodiff")


def draw(console: Console, multitrack: Multitrack, generator: torch.Generator, *, centred: bool = True) -> Controls:
    """Settings for every track and bus; the master chain keeps its defaults.

    A threshold means something only against the level it meets: it is drawn 4 to 22 dB below the track's peak.

    Args:
        console: whose controls are set.
        multitrack: one song.
        generator: of the draws.
        centred: keep kick, snare and bass, told by the tracks' names, near the centre.

    Returns:
        Controls in [0, 1] of a batch of one.
    """
    count = multitrack.audio.shape[1]
    controls = console.defaults(1, count)
    narrow = {q.name: q for q in _TRACK}
    draws = torch.rand(count, len(console.track_controls), generator=generator, dtype=torch.float64)
    for i, full in enumerate(console.track_controls):
        value = narrow.get(full.name, full).to_physical(draws[:, i])
        if full.name == "threshold_db":
            peaks = 20 * torch.log10(multitrack.audio[0].abs().amax((1, 2)).double().clamp_min(1e-4))
            value = (peaks - 4 - 18 * draws[:, i]).clamp(full.low, full.high)
        if full.name == "pan" and centred:
            low = torch.tensor([family(n) in CENTRED for n in multitrack.names[0]])
            value = torch.where(low, 0.5 + _NEAR * (value - 0.5), value)
        controls.tracks[0, :, i] = _unit(full, value)
    for i, full in enumerate(console.bus_controls):
        # Several buses have their names in front of their controls'.
        own = next((q for q in _BUS if full.name in (q.name, *(f"{b}_{q.name}" for b in console.buses))), None)
        if own is not None:
            controls.buses[:, i] = _unit(full, own.to_physical(torch.rand(1, generator=generator, dtype=torch.float64)))
    return controls


def _unit(full: Param, value: Tensor) -> Tensor:
    unit = full.to_unit(value)
    assert isinstance(unit, Tensor)
    return unit
