"""Spring: a chirping echo, as of a helical spring."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.biquad import biquad
from dasp.atoms.level import as_controls
from dasp.atoms.network import Network
from dasp.effect import Effect
from dasp.param import Param

TRANSITION_HZ = 4400.0
LONGEST_MS = 120.0
_ORDER = 8


def spring(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    delay_ms: float | Tensor = 40.0,
    feedback: float | Tensor = 0.6,
    dispersion: float | Tensor = 0.62,
    mix: float | Tensor = 0.3,
    stages: int = 80,
    state: dict | None = None,
) -> Tensor:
    """Dispersive delay loop (Valimaki, Parker and Abel, "Parametric spring reverberation effect", JAES 58(7/8), 2010), its
    low-frequency part: a delay and a row of all-passes (a + z^-K) / (1 + a z^-K), fed back with the sign turned over.

    An all-pass delays by K (1 - a) / (1 + a) samples at 0 Hz and by K (1 + a) / (1 - a) at the transition frequency fs / (2 K),
    so that each echo is a chirp that rises to there. K is fs / 8800 rounded, which puts it near 4.4 kHz; a low-pass takes away
    what lies above.

    Args:
        x: audio (B, C, T); each channel has a spring of its own.
        sample_rate: in Hz.
        delay_ms, feedback, dispersion, mix: numbers, (B,), (B, 1, 1) or (B, 1, T). The dispersion is the coefficient a.
        stages: number of all-passes.
        state: a dict that carries filters and delay lines between blocks.
    """
    delay, gain, coefficient, wet = as_controls(x, delay_ms, feedback, dispersion, mix)
    stretch = stretch_of(sample_rate)
    memory = state or {}
    sos = _low_pass(0.95 / (2 * stretch)).to(x.device).expand(len(x), -1, -1, 1)
    low, filters = biquad(x, sos, memory.get("biquad"))
    params = torch.cat(torch.broadcast_tensors(delay * (sample_rate / 1000), -gain, coefficient), 1)
    # Each channel is an item of the batch: one short program for all of them.
    channels = x.shape[1]
    network = _network(stages, stretch, math.ceil(LONGEST_MS * sample_rate / 1000) + 2)
    lines = memory["lines"].flatten(0, 1) if "lines" in memory else None
    y, lines = network.run(low.flatten(0, 1)[:, None], params.repeat_interleave(channels, 0), lines)
    if state is not None:
        state |= {"biquad": filters, "lines": lines.unflatten(0, (len(x), channels))}
    y = y.reshape(x.shape)
    return x + wet.to(x.dtype) * (y - x)


def stretch_of(sample_rate: float) -> int:
    return max(1, round(sample_rate / (2 * TRANSITION_HZ)))


def _low_pass(cutoff: float) -> Tensor:
    """Butterworth sections (1, S, 5, 1) with the cutoff in cycles a sample."""
    k = math.tan(math.pi * cutoff)
    rows = []
    for i in range(_ORDER // 2):
        damping = 2 * math.sin((2 * i + 1) * math.pi / (2 * _ORDER))
        scale = 1 / (1 + damping * k + k * k)
        b = scale * k * k
        rows.append([b, 2 * b, b, 2 * scale * (k * k - 1), scale * (1 - damping * k + k * k)])
    return torch.tensor(rows, dtype=torch.float64)[None, ..., None]


def _network(stages: int, stretch: int, longest: int) -> Network:
    """Parameters: delay, feedback with its sign, all-pass coefficient."""
    net = Network()
    line = net.line(longest)
    echo = net.slide(line, 0)
    value = net.scaled(net.input(0), echo, 1)
    for _ in range(stages):
        value = net.all_pass(value, net.line(stretch), stretch, 2)
    net.write(line, value)
    net.output(0, echo)
    return net


class Spring(Effect):
    """Add a spring: echoes that chirp. Option `stages`: the number of all-passes, more of them for longer chirps."""

    controls = (
        Param("delay_ms", "ms", 10.0, LONGEST_MS, 40.0, "log", "between echoes at low frequencies, besides the chirp", step=1e-4),
        Param("feedback", "", 0.0, 0.95, 0.6, doc="what is left of an echo in the next"),
        Param("dispersion", "", 0.1, 0.8, 0.62, doc="how far the chirp is drawn out"),
        Param("mix", "", 0.0, 1.0, 0.3, doc="0 dry, 1 spring only"),
    )
    dsp = staticmethod(spring)
    options = {"stages": 80}
