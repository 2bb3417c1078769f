"""StudioCompressor: feed-forward, soft knee, smoothed in decibels."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.level import as_controls
from dasp.effects import _dynamics as dynamics
from dasp.param import Param

SMOOTHINGS = ("decoupled", "branching")


def studio_compressor(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    threshold_db: float | Tensor = -20.0,
    ratio: float | Tensor = 4.0,
    knee_db: float | Tensor = 6.0,
    attack_ms: float | Tensor = 10.0,
    release_ms: float | Tensor = 100.0,
    makeup_gain_db: float | Tensor = 0.0,
    mix: float | Tensor = 1.0,
    detector: str = "peak",
    stereo_link: str = "max",
    smoothing: str = "decoupled",
    lookahead_ms: float = 0.0,
    sidechain: Tensor | None = None,
    state: dict | None = None,
) -> Tensor:
    """Giannoulis, Massberg, Reiss (J. Audio Eng. Soc. 60(6), 2012): level -> dB -> gain computer -> attack and release -> gain.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        threshold_db, ratio, knee_db, attack_ms, release_ms, makeup_gain_db, mix: numbers, (B,), (B, 1, 1) or (B, 1, T). Times are
            real time constants, tau in 1 - exp(-t / tau): Pedalboard's Compressor is 2 pi times as fast at the same number.
            mix in [0, 1] is 0 for the unprocessed signal.
        detector: "peak" (|x|) or "rms" (mean square over a time constant of 10 ms).
        stereo_link: one gain for all channels, after the loudest ("max") or their mean ("mean"); "none": each its own.
        smoothing: "decoupled" (peak hold with the release, then the attack) or "branching" (attack while the reduction rises,
            release while it falls), decided at every sample.
        lookahead_ms: the audio is late by this, the detector is not; rounded to samples.
        sidechain: (B, C, T), what the detector listens to instead of x.
        state: a dict that carries followers and look-ahead between blocks.
    """
    controls = as_controls(x, threshold_db, ratio, knee_db, attack_ms, release_ms, makeup_gain_db, mix)
    threshold, slope, knee, attack, release, makeup, wet = controls
    dynamics.check_option("StudioCompressor", "smoothing", smoothing, SMOOTHINGS)
    key = x if sidechain is None else sidechain
    level = dynamics.level_db(key, sample_rate, "StudioCompressor", detector, stereo_link, state)
    reduction = dynamics.reduction_db(level, threshold, slope, knee, attack, release, sample_rate, state, smoothing)
    gain = (1 - wet) + wet * dynamics.db_to_linear(makeup - reduction)
    return dynamics.delayed(x, dynamics.lookahead_samples(lookahead_ms, sample_rate), state) * gain.to(x.dtype)


class StudioCompressor(dynamics.Linked):
    """Turn down what rises above a threshold, with a soft knee. Options: `detector` peak or rms; `stereo_link` max, mean or none;
    `smoothing` decoupled or branching; `lookahead_ms`, by which the output is late (`latency` in samples)."""

    controls = (
        Param("threshold_db", "dB", -60.0, 0.0, -20.0, doc="level above which the gain falls"),
        Param("ratio", "dB/dB", 1.0, 20.0, 4.0, "log", "input rise for 1 dB of output rise above the threshold"),
        Param("knee_db", "dB", 0.0, 24.0, 6.0, doc="width of the passage around the threshold; 0 is a hard knee"),
        *dynamics.time_params(10.0, 100.0, "how fast the gain falls", "how fast it recovers"),
        Param("makeup_gain_db", "dB", -12.0, 24.0, 0.0, doc="gain behind the compressor"),
        Param("mix", "", 0.0, 1.0, 1.0, doc="share of the compressed signal"),
    )
    dsp = staticmethod(studio_compressor)
    options = {"detector": "peak", "stereo_link": "max", "smoothing": "decoupled", "lookahead_ms": 0.0}
    links_channels = True
