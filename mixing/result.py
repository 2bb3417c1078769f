"""What a match found, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dasp import Chain, Compressor, Effect
from dasp.chain import Compound
from mixing.console import Console, Controls
from mixing.multitrack import Multitrack

INACTIVE = "the compressor never acts"
ALWAYS_ON = "the compressor is always on: its threshold and the fader cannot be told apart"
UNHEARD = "too quiet in the mix for its settings to be recovered"


@dataclass(frozen=True)
class MatchResult:
    """Settings recovered from stems and a mix.

    Attributes:
        audio: the console's mix, (2, T).
        sample_rate: in Hz.
        tracks: track name -> control name -> value in its unit.
        buses, master: control name -> value.
        lags: track name -> samples by which it was late (and was advanced).
        gain_reduction: track name -> (mean, standard deviation) in dB over its sounding part.
        flags: track name -> sentences on what cannot be determined.
        metrics: residual_db, stft_distance (over the plain sum's), linear_explains_db, seconds, steps ...
        history: (stage, step, loss).
        notes: sentences.
        console, controls: to go on from here.
    """

    audio: Tensor
    sample_rate: float
    tracks: dict[str, dict[str, float]]
    buses: dict[str, float]
    master: dict[str, float]
    lags: dict[str, int]
    gain_reduction: dict[str, tuple[float, float]]
    flags: dict[str, tuple[str, ...]]
    metrics: dict[str, float]
    history: tuple[tuple[str, int, float], ...]
    notes: tuple[str, ...]
    console: Console = field(repr=False)
    controls: Controls = field(repr=False)


def leaves(effect: Effect | None) -> list[Effect]:
    """The single effects of a chain, nested ones too, in order."""
    if effect is None:
        return []
    return [x for e in effect for x in leaves(e)] if isinstance(effect, Compound) else [effect]


def sounding(audio: Tensor, sample_rate: float, below_db: float = 40.0) -> Tensor:
    """Where a track (C, T) sounds: frames of 50 ms within `below_db` of its loudest one, as (T,) bool."""
    hop = max(1, round(0.05 * sample_rate))
    samples = audio.shape[-1]
    padded = torch.nn.functional.pad(audio, (0, -samples % hop))
    level = padded.reshape(len(audio), -1, hop).square().mean((0, 2))
    on = level > level.max().clamp_min(1e-12) * 10 ** (-below_db / 10)
    return on.repeat_interleave(hop)[:samples]


def reduction_db(console: Console, multitrack: Multitrack, controls: Controls, track: int) -> Tensor | None:
    """Gain reduction of a track's compressor over time, (C, T) in dB, at most 0; None without a compressor."""
    effects = leaves(console.track_chain)
    places = [i for i, e in enumerate(effects) if isinstance(e, Compressor)]
    if not places:
        return None
    width = int(multitrack.channels[0, track])
    x = multitrack.audio[0, track, :width][None]
    parts = controls.tracks[0, track, : len(console.inserts)].split([len(e.controls) for e in effects])
    with torch.no_grad():
        for effect, part in zip(effects[: places[0]], parts, strict=False):
            x = type(effect)(effect.sample_rate)(x, part[None])
        compressor = Compressor(effects[places[0]].sample_rate)
        # A constant through the gain alone: the audio is the key, ones are what it acts on.
        gain = compressor(torch.ones_like(x), parts[places[0]][None], sidechain=x)
    return 20 * gain[0].clamp_min(1e-9).log10()


def identifiability(
    console: Console, multitrack: Multitrack, controls: Controls, strips: Tensor, reference: Tensor
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[str, ...]]]:
    """Gain reduction of each track (mean, spread in dB where it sounds), and what its settings do not tell."""
    reductions, flags = {}, {}
    loud = reference.square().sum()
    for n, name in enumerate(multitrack.names[0]):
        said = []
        if strips[0, n].square().sum() < loud * 1e-4:
            said.append(UNHEARD)
        trace = reduction_db(console, multitrack, controls, n)
        if trace is not None:
            on = sounding(multitrack.audio[0, n], multitrack.sample_rate)
            if on.any():
                trace = trace[:, on]
            reductions[name] = (float(trace.mean()), float(trace.std()) if trace.numel() > 1 else 0.0)
            if float((trace < -0.1).double().mean()) < 0.005:
                said.append(INACTIVE)
            elif float((trace < -0.01).double().mean()) > 0.98:
                said.append(ALWAYS_ON)
        if said:
            flags[name] = tuple(said)
    return reductions, flags


def strip(effects: tuple[str, ...], sample_rate: float) -> Chain | None:
    """Inserts by name, in order.

    Raises:
        ValueError: an unknown name; the message has the nearest.
    """
    from dasp.effects import find

    return Chain(*(find(n)(sample_rate) for n in effects)) if effects else None
