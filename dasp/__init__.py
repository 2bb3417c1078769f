"""dasp: differentiable audio effects in three interchangeable backends, the gradient strategy one argument.

>>> import torch
>>> from dasp import Compressor
>>> y = Compressor()(torch.zeros(1, 2, 64), threshold_db=-24.0)
>>> tuple(y.shape)
(1, 2, 64)
"""

from dasp.chain import Chain, Parallel
from dasp.effect import Effect
from dasp.effects.compressor import Compressor
from dasp.effects.distortion import Distortion
from dasp.effects.gain import Gain
from dasp.effects.high_shelf_filter import HighShelfFilter
from dasp.effects.low_shelf_filter import LowShelfFilter
from dasp.effects.panner import Panner
from dasp.effects.parametric_eq import ParametricEQ
from dasp.effects.peak_filter import PeakFilter
from dasp.effects.reverb import Reverb
from dasp.external import External, external
from dasp.health import external_health
from dasp.param import Param
from gradients import SPSA, Autodiff, FiniteDifference, Hybrid, Proxy, Strategy, Target

__version__ = "0.1.0"

__all__ = [
    "SPSA",
    "Autodiff",
    "Chain",
    "Compressor",
    "Distortion",
    "Effect",
    "External",
    "FiniteDifference",
    "Gain",
    "HighShelfFilter",
    "Hybrid",
    "LowShelfFilter",
    "Panner",
    "Parallel",
    "Param",
    "ParametricEQ",
    "PeakFilter",
    "Proxy",
    "Reverb",
    "Strategy",
    "Target",
    "external",
    "external_health",
]
