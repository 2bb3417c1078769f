"""What a network was not trained on: controls, levels and widths that leave what its header says."""

from __future__ import annotations

import math

from torch import Tensor

from proxies.header import Header

MARGIN_DB = 0.5  # a peak by so much outside of the levels heard in training is no cause yet


def outside(header: Header, x: Tensor, controls: Tensor) -> list[str]:
    """Causes for doubt in a network's output: what of its input its training did not hold.

    Args:
        header: of the network; it says what the training held.
        x: audio (B, C, T). Items that are silent throughout have no level.
        controls: (B, P) or (B, P, frames) in [0, 1]: what training covers is that range.

    Returns:
        sentences without values, so that the same cause is the same text at each call: controls by name, levels, channels.
        Empty if all is as in training.
    """
    causes = []
    low, high = controls.movedim(1, 0).flatten(1).aminmax(dim=1)
    for q, least, most in zip(header.controls, low.tolist(), high.tolist(), strict=True):
        if not least >= -1e-6:  # not a number, too
            causes.append(f"{q['name']} is below {q['low']:g} {q['unit']}".rstrip())
        if not most <= 1 + 1e-6:
            causes.append(f"{q['name']} is above {q['high']:g} {q['unit']}".rstrip())
    levels = x.abs().amax((1, 2)).tolist() if x.numel() else []
    peaks = [20 * math.log10(level) for level in levels if level > 0]
    quiet, loud = header.level_db
    if peaks and min(peaks) < quiet - MARGIN_DB:
        causes.append(f"the audio's peak is below {quiet:g} dBFS")
    if peaks and max(peaks) > loud + MARGIN_DB:
        causes.append(f"the audio's peak is above {loud:g} dBFS")
    if header.channels is not None and x.shape[1] != header.channels:
        causes.append(f"the audio is not of {header.channels} channel{'s' * (header.channels > 1)}")
    return causes
