"""Reverberation: the network of combs and all-passes of Schroeder and Moorer, its gains read from the controls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxies.network import Network
from proxies.reader import Reader
from proxies.scan import recurrence

# Feedback and damping (logits: 0.85 and 0.2), gain of the own side's room, of the other side's, and of the direct sound.
_START = (1.7, -1.4, 1.0, 0.0, 1.0)


class Room(Network):
    """Parallel combs with a low-pass in their loops, all-passes behind them, mixed with the direct sound.

    Mono or stereo: both channels enter one room, and each side has delays of its own. The delays are given, since echoes can be
    read off any impulse response; every gain is learnt. Feedback and damping are sigmoids, so the room always decays.

    Args:
        num_controls: P.
        combs, allpasses: delays of the first side, in samples; the defaults are Freeverb's at 44.1 kHz.
        spread: samples by which the second side's are longer.
        level: constant gain into the room, so that what is learnt is near 1.
        width: hidden layers that read the controls.

    Raises:
        ValueError: audio that is neither mono nor stereo.

    >>> tuple(Room(5)(torch.zeros(2, 2, 100), torch.rand(2, 5)).shape)
    (2, 2, 100)
    """

    def __init__(
        self,
        num_controls: int,
        *,
        combs: Sequence[int] = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617),
        allpasses: Sequence[int] = (556, 441, 341, 225),
        spread: int = 23,
        level: float = 0.03,
        width: int = 16,
    ) -> None:
        super().__init__(locals())
        self.at_least(1, "width")
        delays = [*combs, *allpasses]
        if not combs or not all(type(d) is int and 1 <= d <= 1_000_000 for d in [*delays, spread + 1]):
            raise ValueError(f"Room: delays are samples from 1 to 1000000, and one comb at least; got {delays}, spread {spread}.")
        self.combs, self.allpasses, self.spread, self.level = tuple(combs), tuple(allpasses), spread, level
        self.reader = Reader(num_controls, _START, width)
        self.diffusion = nn.Parameter(torch.zeros(len(self.allpasses)))  # logits of the all-passes' gains

    def _fold(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        if x.ndim == 3 and x.shape[1] not in (1, 2):
            raise ValueError(f"Room: expected mono (B, 1, T) or stereo audio (B, 2, T); got {tuple(x.shape)}.")
        self.in_channels = self.out_channels = x.shape[1] if x.ndim == 3 else 1
        return super()._fold(x, controls, state)

    def process(self, x: Tensor, controls: Tensor, state: dict[str, Tensor] | None) -> Tensor:
        values = self.reader(controls, x.shape[2])  # (N, 5, 1 or T)
        feedback, damping = values[:, :2].sigmoid().split(1, 1)
        own, other, direct = values[:, 2:].split(1, 1)
        memory = {} if state is None else state
        echoes = self._combs(self.level * x.sum(1), feedback, damping, x.shape[1], memory)
        sides = []
        for side, y in enumerate(echoes.unbind(1)):
            for n, delay in enumerate(self.allpasses):
                y = _allpass(y, delay + side * self.spread, self.diffusion[n].sigmoid(), memory, f"allpass{n}.{side}")
            sides.append(y)
        wet = torch.stack(sides, 1)
        return own * wet + other * (wet.flip(1) if len(sides) == 2 else 0) + direct * x

    def _combs(self, x: Tensor, feedback: Tensor, damping: Tensor, sides: int, memory: dict[str, Tensor]) -> Tensor:
        """x (N, T) -> the sum of each side's combs, (N, sides, T), in blocks that are shorter than any of their loops."""
        delays = torch.tensor([d + side * self.spread for side in range(sides) for d in self.combs], device=x.device)
        longest, block = int(delays.max()), int(delays.min())
        count, rows = len(x), len(delays)
        lines = memory.get("lines", x.new_zeros(count, rows, longest))  # what entered the delay lines, the latest last
        low = memory.get("low", x.new_zeros(count * rows, 1))
        out = []
        for start in range(0, x.shape[1], block):
            part = slice(start, min(start + block, x.shape[1]))
            length = part.stop - start
            places = longest - delays[:, None] + torch.arange(length, device=x.device)
            echo = lines.gather(2, places.expand(count, -1, -1))
            pole = damping[..., part] if damping.shape[2] > 1 else damping
            a = pole.expand(-1, rows, -1).reshape(count * rows, 1, 1, -1)
            smooth = recurrence(a, ((1 - pole) * echo).reshape(count * rows, 1, length), low)
            low = smooth[..., -1]
            smooth = smooth.reshape(count, rows, length)
            f = feedback[..., part] if feedback.shape[2] > 1 else feedback
            lines = torch.cat([lines[..., length:], x[:, None, part] + f * smooth], 2)
            out.append(echo.unflatten(1, (sides, -1)).sum(2))
        memory["lines"], memory["low"] = lines, low
        return torch.cat(out, 2)


def _allpass(x: Tensor, delay: int, gain: Tensor, memory: dict[str, Tensor], key: str) -> Tensor:
    """b[n] = x[n] + gain b[n - delay], y[n] = b[n - delay] - x[n]; x is (N, T).

    Every delay-th sample belongs to the same strand, and each strand is a recurrence of its own.
    """
    count, samples = x.shape
    past = memory.get(key, x.new_zeros(count, delay))
    turns = -(-samples // delay)
    strands = nn.functional.pad(x, (0, turns * delay - samples)).unflatten(1, (turns, delay)).transpose(1, 2)
    a = gain.expand(count * delay, 1, 1, 1)
    line = recurrence(a, strands.reshape(count * delay, 1, turns), past.reshape(-1, 1))
    line = torch.cat([past, line.reshape(count, delay, turns).transpose(1, 2).flatten(1)[:, :samples]], 1)
    memory[key] = line[:, samples:].clone()
    return line[:, :samples] - x
