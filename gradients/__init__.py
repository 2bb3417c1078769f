"""Gradient strategies: how a function of audio and controls gets its derivative.

A file of this package is a strategy, and its name is the string that users type: `gradient="spsa"`.
"""

from gradients.autodiff import Autodiff
from gradients.fd import FiniteDifference
from gradients.hybrid import Hybrid
from gradients.online import OnlineAdaptation
from gradients.proxy import Proxy
from gradients.spsa import SPSA
from gradients.strategy import Fn, Strategy, Target, names, resolve

__all__ = [
    "SPSA",
    "Autodiff",
    "FiniteDifference",
    "Fn",
    "Hybrid",
    "OnlineAdaptation",
    "Proxy",
    "Strategy",
    "Target",
    "names",
    "resolve",
]
