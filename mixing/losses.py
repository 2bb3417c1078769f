"""The losses between mixes by their names: what a recipe of training says."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from mixing.errors import nearest
from mixing.feature_loss import AudioFeatureLoss
from mixing.fxnorm_loss import FxNormLoss
from mixing.loss import StereoLoss
from mixing.waveform_loss import ESRLoss, L1Loss, SISDRLoss

_LOSSES: dict[str, type[nn.Module]] = {
    "esr": ESRLoss,
    "features": AudioFeatureLoss,
    "fxnorm": FxNormLoss,
    "l1": L1Loss,
    "si_sdr": SISDRLoss,
    "stereo_mrstft": StereoLoss,
}


def names() -> tuple[str, ...]:
    """All losses, sorted."""
    return tuple(_LOSSES)


def build(name: str, *, sample_rate: float | None = None, **settings: Any) -> nn.Module:
    """A loss (output (B, 2, T), target (B, 2, T)) -> scalar.

    Args:
        name: one of `names()`.
        sample_rate: in Hz; given to the losses that depend on it.
        **settings: others of the class.

    Raises:
        ValueError: an unknown name or setting; the message has the nearest one.
    """
    if name not in _LOSSES:
        raise ValueError(f"losses: there is no loss {name!r}; there are {', '.join(_LOSSES)}.{nearest(name, _LOSSES)}")
    cls = _LOSSES[name]
    # What has no constructor of its own takes nothing, though torch's takes anything.
    table = inspect.signature(cls).parameters if "__init__" in vars(cls) else {}
    variadic = any(p.kind is p.VAR_KEYWORD for p in table.values())
    unknown = [s for s in settings if s not in table]
    if unknown and not variadic:
        known = [n for n in table if n != "sample_rate"]
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise ValueError(f"losses: {name} has no setting {unknown[0]!r}; {has}.{nearest(unknown[0], known)}")
    if sample_rate is not None and "sample_rate" in table:
        settings["sample_rate"] = sample_rate
    try:
        return cls(**settings)
    except TypeError as error:
        raise ValueError(f"losses: {name}: {error}.") from None
