"""dasp: differentiable audio effects in three interchangeable backends, the gradient strategy one argument.

>>> import torch
>>> from dasp import Compressor
>>> y = Compressor()(torch.zeros(1, 2, 64), threshold_db=-24.0)
>>> tuple(y.shape)
(1, 2, 64)
"""

from dasp.chain import Chain, Parallel
from dasp.channel_strip import ChannelStrip
from dasp.effect import Effect
from dasp.effects.allpass import Allpass
from dasp.effects.allpass_filter import AllpassFilter
from dasp.effects.bandpass_filter import BandpassFilter
from dasp.effects.bitcrush import Bitcrush
from dasp.effects.chorus import Chorus
from dasp.effects.clipping import Clipping
from dasp.effects.comb import Comb
from dasp.effects.compressor import Compressor
from dasp.effects.convolution import Convolution
from dasp.effects.de_esser import DeEsser
from dasp.effects.delay import Delay
from dasp.effects.distortion import Distortion
from dasp.effects.expander import Expander
from dasp.effects.feedback_delay_network import FeedbackDelayNetwork
from dasp.effects.fir_filter import FIRFilter
from dasp.effects.flanger import Flanger
from dasp.effects.fuzz import Fuzz
from dasp.effects.gain import Gain
from dasp.effects.graphic_eq import GraphicEQ
from dasp.effects.high_shelf_filter import HighShelfFilter
from dasp.effects.highpass_filter import HighpassFilter
from dasp.effects.invert import Invert
from dasp.effects.ladder_filter import LadderFilter
from dasp.effects.limiter import Limiter
from dasp.effects.low_shelf_filter import LowShelfFilter
from dasp.effects.lowpass_filter import LowpassFilter
from dasp.effects.mid_side_decoder import MidSideDecoder
from dasp.effects.mid_side_encoder import MidSideEncoder
from dasp.effects.multiband_compressor import MultibandCompressor
from dasp.effects.noise_gate import NoiseGate
from dasp.effects.noise_shaped_reverb import NoiseShapedReverb
from dasp.effects.notch_filter import NotchFilter
from dasp.effects.overdrive import Overdrive
from dasp.effects.panner import Panner
from dasp.effects.parametric_eq import ParametricEQ
from dasp.effects.peak_filter import PeakFilter
from dasp.effects.phaser import Phaser
from dasp.effects.ping_pong_delay import PingPongDelay
from dasp.effects.plate import Plate
from dasp.effects.reverb import Reverb
from dasp.effects.spring import Spring
from dasp.effects.stereo_widener import StereoWidener
from dasp.effects.studio_compressor import StudioCompressor
from dasp.effects.tremolo import Tremolo
from dasp.external import External, external
from dasp.feedback import Feedback
from dasp.health import external_health
from dasp.param import Param
from gradients import SPSA, Autodiff, FiniteDifference, Hybrid, OnlineAdaptation, Proxy, Strategy, Target

__version__ = "0.1.0"

__all__ = [
    "SPSA",
    "Allpass",
    "AllpassFilter",
    "Autodiff",
    "BandpassFilter",
    "Bitcrush",
    "Chain",
    "ChannelStrip",
    "Chorus",
    "Clipping",
    "Comb",
    "Compressor",
    "Convolution",
    "DeEsser",
    "Delay",
    "Distortion",
    "Effect",
    "Expander",
    "External",
    "FIRFilter",
    "Feedback",
    "FeedbackDelayNetwork",
    "FiniteDifference",
    "Flanger",
    "Fuzz",
    "Gain",
    "GraphicEQ",
    "HighShelfFilter",
    "HighpassFilter",
    "Hybrid",
    "Invert",
    "LadderFilter",
    "Limiter",
    "LowShelfFilter",
    "LowpassFilter",
    "MidSideDecoder",
    "MidSideEncoder",
    "MultibandCompressor",
    "NoiseGate",
    "NoiseShapedReverb",
    "NotchFilter",
    "OnlineAdaptation",
    "Overdrive",
    "Panner",
    "Parallel",
    "Param",
    "ParametricEQ",
    "PeakFilter",
    "Phaser",
    "PingPongDelay",
    "Plate",
    "Proxy",
    "Reverb",
    "Spring",
    "StereoWidener",
    "Strategy",
    "StudioCompressor",
    "Target",
    "Tremolo",
    "external",
    "external_health",
]
