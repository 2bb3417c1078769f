"""A hidden mix to be recovered: settings drawn from a seed, rendered by the real plugins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mixing import engineer
from mixing.console import Console, Controls
from mixing.multitrack import Multitrack


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
    console = engineer.console(multitrack.sample_rate)
    controls = engineer.draw(console, multitrack, torch.Generator().manual_seed(seed), centred=False)
    with torch.no_grad():
        strips = console.strips(multitrack, controls.tracks)
        audio = console.sum(strips, controls)[0]
    physical = console.physical(controls)
    names = multitrack.names[0]
    tracks = {name: {k: float(v[0, n]) for k, v in physical["tracks"].items()} for n, name in enumerate(names)}
    buses = {k: float(v[0]) for k, v in physical["buses"].items()}
    return HiddenMix(audio, console, controls, tracks, buses, strips[0])
