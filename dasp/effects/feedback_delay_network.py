"""FeedbackDelayNetwork: delay lines that feed each other through an orthogonal matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.network import Network
from dasp.effect import Effect
from dasp.param import Param

# Delays in ms at size 1: primes in tenths, so that echoes of different lines do not fall together. Eight lines take every other.
DELAYS_MS = (19.3, 21.1, 22.7, 25.1, 26.3, 28.1, 30.7, 33.1, 35.3, 38.3, 40.9, 44.3, 47.9, 52.1, 55.7, 59.3)
LARGEST = 2.0
_WET_GAIN = 1.0  # about the input's loudness at the default decay


def feedback_delay_network(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    decay_low_s: float | Tensor = 1.5,
    decay_high_s: float | Tensor = 0.7,
    crossover_frequency_hz: float | Tensor = 3000.0,
    size: float | Tensor = 1.0,
    mix: float | Tensor = 0.3,
    lines: int = 8,
    state: dict | None = None,
) -> Tensor:
    """Feedback delay network with absorbent filters (Jot and Chaigne, "Digital delay networks for designing artificial
    reverberators", AES 90, 1991).

    Delay lines feed each other through a Hadamard matrix, which is orthogonal: without absorption nothing would decay. Behind a
    line of m samples stands a first-order shelf of gain 10^(-3 m / (fs T)), so that 60 dB are gone after T seconds whichever way
    an echo took: T = decay_low_s at low and decay_high_s at high frequencies, in the middle (in dB) at the crossover.
    Each channel enters and leaves the lines with signs of its own, orthogonal to the others'.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        decay_low_s, decay_high_s, crossover_frequency_hz, size, mix: numbers, (B,), (B, 1, 1) or (B, 1, T). The crossover acts up
            to 0.45 of the rate. Delays are whole samples: size's gradient is that of linear interpolation.
        lines: 8, or 16 for a denser room.
        state: a dict that carries the delay lines between blocks.

    Raises:
        ValueError: another number of lines.
    """
    if lines not in (8, 16):
        raise ValueError(f"FeedbackDelayNetwork: lines is 8 or 16; got {lines}.")
    low, high, crossover, scale, wet = as_controls(x, decay_low_s, decay_high_s, crossover_frequency_hz, size, mix)
    at_one = [ms * sample_rate / 1000 for ms in DELAYS_MS[:: 16 // lines]]
    delays = scale * torch.tensor(at_one, dtype=torch.float64, device=x.device)[:, None]
    whole = delays + (delays.round() - delays).detach()  # what the lines really do decides how much they absorb
    low_gain, high_gain = (torch.exp(-3 * math.log(10) * whole / (sample_rate * t)) for t in (low, high))
    b0, b1, a1 = _absorption(low_gain, high_gain, crossover, sample_rate)
    spread, level = (torch.full_like(whole[:, :1], gain / math.sqrt(lines)) for gain in (1.0, _WET_GAIN))
    longest = [math.ceil(d * LARGEST) + 2 for d in at_one]
    params = torch.cat([t.expand(-1, -1, b0.shape[2]) for t in (delays, b0, b1, -a1, spread, level)], 1)
    memory = {} if state is None else state
    y, memory["lines"] = _network(x.shape[1], longest).run(x, params, memory.get("lines"))
    return x + wet.to(x.dtype) * (y - x)


def _absorption(low: Tensor, high: Tensor, crossover: Tensor, sample_rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """b0, b1, a1 of a first-order shelf with these gains at 0 Hz and at the Nyquist frequency, their geometric mean between."""
    k = torch.tan(math.pi * crossover.clamp_max(0.45 * sample_rate) / sample_rate)
    zero = k * (low / high).sqrt()
    pole = k * (high / low).sqrt()
    return high * (1 + zero) / (1 + pole), high * (zero - 1) / (1 + pole), (pole - 1) / (1 + pole)


def _network(channels: int, longest: list[int]) -> Network:
    """Parameters: delays, b0, b1, -a1 of each line, then the matrix's and the output's gain."""
    net, count = Network(), len(longest)
    inputs = [net.input(c) for c in range(channels)]
    rows = [net.line(size) for size in longest]
    echoes = []
    for i, row in enumerate(rows):
        delayed, memory = net.step(row, i), net.line(1)
        out = net.scaled(net.tap(memory, 1), delayed, count + i)
        net.write(memory, net.scaled(net.scaled(0, delayed, 2 * count + i), out, 3 * count + i))
        echoes.append(out)
    mixed = list(echoes)
    stride = 1
    while stride < count:  # the Hadamard matrix as butterflies
        for i in (i for i in range(count) if not i & stride):
            a, b = mixed[i], mixed[i + stride]
            mixed[i], mixed[i + stride] = net.sum(a, b), net.diff(a, b)
        stride *= 2
    for i, row in enumerate(rows):
        fed = 0
        for c, value in enumerate(inputs):
            fed = (net.diff if _negative(i, c) else net.sum)(fed, value)
        net.write(row, net.scaled(fed, mixed[i], 4 * count))
    for c in range(channels):
        heard = 0
        for i, value in enumerate(echoes):
            heard = (net.diff if _negative(count - 1 - i, c) else net.sum)(heard, value)
        net.output(c, net.scaled(0, heard, 4 * count + 1))
    return net


def _negative(line: int, channel: int) -> bool:
    """Signs: the rows of a Hadamard matrix, made flat under that matrix (Rudin-Shapiro), or one line would get all."""
    return bool((((line & (line >> 1)).bit_count()) + (line & channel).bit_count()) % 2)


class FeedbackDelayNetwork(Effect):
    """Add a room whose decay is set in seconds, for low and high frequencies. Option `lines`: 8 or 16."""

    controls = (
        Param("decay_low_s", "s", 0.1, 10.0, 1.5, "log", "time to fall by 60 dB at low frequencies"),
        Param("decay_high_s", "s", 0.1, 10.0, 0.7, "log", "time to fall by 60 dB at high frequencies"),
        Param("crossover_frequency_hz", "Hz", 200.0, 12000.0, 3000.0, "log", "between low and high"),
        Param(
            "size",
            "",
            0.5,
            LARGEST,
            1.0,
            "log",
            "length of the delays, 19 to 59 ms at 1",
            "delays are whole samples; slope of linear interpolation",
        ),
        Param("mix", "", 0.0, 1.0, 0.3, doc="0 dry, 1 reverberation only"),
    )
    dsp = staticmethod(feedback_delay_network)
    options = {"lines": 8}
    links_channels = True
