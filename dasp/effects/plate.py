"""Plate: Dattorro's figure of eight."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.atoms.network import Network
from dasp.effect import Effect
from dasp.param import Param

# Lengths in samples at the published rate.
PUBLISHED_HZ = 29761
DIFFUSERS = (142, 107, 379, 277)
TANK = ((672, 4453, 1800, 3720), (908, 4217, 2656, 3163))  # a side: all-pass, delay, all-pass, delay
# Where an output listens: the other side's delay, delay, all-pass, delay, then its own delay, all-pass, delay.
LEFT_TAPS, RIGHT_TAPS = (266, 2974, 1913, 1996, 1990, 187, 1066), (353, 3627, 1228, 2673, 2111, 335, 121)
LONGEST_PRE_DELAY_MS = 200.0


def plate(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    pre_delay_ms: float | Tensor = 10.0,
    bandwidth: float | Tensor = 0.9995,
    input_diffusion: float | Tensor = 0.75,
    decay: float | Tensor = 0.5,
    damping: float | Tensor = 0.0005,
    mix: float | Tensor = 0.3,
    state: dict | None = None,
) -> Tensor:
    """Plate reverberator (Dattorro, "Effect design, part 1: reverberator and other filters", JAES 45(9), 1997), without the
    modulation of its tank: pre-delay, low-pass and four all-passes feed a tank of two sides that feed each other; each output is
    the sum of seven places in it.

    Lengths are those published for 29761 Hz, scaled to the rate; so are the low-passes' poles, whose controls are the published
    coefficients. The tank takes the sum of both channels; a mono signal gets the left output.

    Args:
        x: mono (B, 1, T) or stereo (B, 2, T).
        sample_rate: in Hz.
        pre_delay_ms, bandwidth, input_diffusion, decay, damping, mix: numbers, (B,), (B, 1, 1) or (B, 1, T). The second pair of
            input all-passes has 5/6 of the diffusion, as published; the tank's are 0.7, and decay + 0.15 within 0.25 and 0.5.
        state: a dict that carries the delay lines between blocks.
    """
    delay, band, spread, feedback, damp, wet = as_controls(x, pre_delay_ms, bandwidth, input_diffusion, decay, damping, mix)
    scale = sample_rate / PUBLISHED_HZ
    low, dark = (1 - band) ** (1 / scale), damp ** (1 / scale)
    soft = (feedback + 0.15).clamp(0.25, 0.5)
    values = (
        1 + delay * (sample_rate / 1000),  # the one is taken off where the outputs listen
        *(low, 1 - low, spread, spread * (0.625 / 0.75)),
        *(torch.full_like(feedback, -0.7), soft, -1 / (1 - soft * soft).sqrt(), dark, 1 - dark, feedback),
        *(torch.full_like(feedback, gain) for gain in (1 / x.shape[1], 0.6)),
    )
    params = torch.cat(torch.broadcast_tensors(*values), 1)
    longest = math.ceil(LONGEST_PRE_DELAY_MS * sample_rate / 1000) + 3
    memory = {} if state is None else state
    y, memory["lines"] = _network(x.shape[1], scale, longest).run(x, params, memory.get("lines"))
    return x + wet.to(x.dtype) * (y - x)


def _network(channels: int, scale: float, longest: int) -> Network:
    """Parameters as `plate` lists them; `inside` takes an all-pass's line to the published form's, and off the sum."""
    pre, low, new, first, second, diffuse, soft, inside, dark, light, decay, share, loud = range(13)
    net = Network()

    def samples(published: int) -> int:
        return max(1, round(published * scale))

    feed = 0
    for channel in range(channels):
        feed = net.scaled(feed, net.input(channel), share)
    line = net.line(longest)
    value = net.one_pole(net.slide(line, pre), low, new)
    net.write(line, feed)
    for length, param in zip(DIFFUSERS, (first, first, second, second), strict=True):
        value = net.all_pass(value, net.line(samples(length)), samples(length), param)
    sides = [[net.line(samples(length)) for length in side] for side in TANK]
    for i in (0, 1):
        entry, long, exit_, end = sides[i]
        a, b, c, _ = (samples(length) for length in TANK[i])
        fed = net.scaled(value, net.tap(sides[1 - i][3], samples(TANK[1 - i][3])), decay)
        net.write(long, net.all_pass(fed, entry, a, diffuse))
        damped = net.one_pole(net.tap(long, b), dark, light)
        net.write(end, net.all_pass(net.scaled(0, damped, decay), exit_, c, soft))
    for channel, places in enumerate((LEFT_TAPS, RIGHT_TAPS)[:channels]):
        other, own = sides[1 - channel], sides[channel]
        lines = (other[1], other[1], other[2], other[3], own[1], own[2], own[3])
        heard = 0
        for line, place, sign in zip(lines, places, "++i+-i-", strict=True):
            tap = net.tap(line, max(1, samples(place) - 1))
            heard = net.scaled(heard, tap, inside) if sign == "i" else (net.sum if sign == "+" else net.diff)(heard, tap)
        net.output(channel, net.scaled(0, heard, loud))
    return net


class Plate(Effect):
    """Add a plate: dense at once, bright, from a mono sum."""

    controls = (
        Param("pre_delay_ms", "ms", 0.0, LONGEST_PRE_DELAY_MS, 10.0, doc="before the reverberation starts", step=1e-4),
        Param("bandwidth", "", 0.01, 0.9999, 0.9995, doc="of the input: 0.01 dull, 1 open"),
        Param("input_diffusion", "", 0.0, 0.9, 0.75, doc="how much the input is smeared"),
        Param("decay", "", 0.0, 0.97, 0.5, doc="gain around the tank"),
        Param("damping", "", 1e-4, 0.95, 5e-4, doc="how much faster high frequencies decay"),
        Param("mix", "", 0.0, 1.0, 0.3, doc="0 dry, 1 reverberation only"),
    )
    dsp = staticmethod(plate)
    channels = (1, 2)
    links_channels = True
