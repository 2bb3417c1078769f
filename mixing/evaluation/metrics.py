"""What is measured of a mix beside a target: one table of metrics, read by the comparison, the reports and their help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["distance", "settings", "loudness", "spectral", "panning", "dynamic", "levels"]


@dataclass(frozen=True)
class Metric:
    """A number of which less is better.

    Attributes:
        name: the key of tables and files; "_mape" is a mean absolute percentage error as a fraction of 1.
        title: for people.
        group: its section of the report.
        unit: "" for fractions.
        about: how it is defined, in a sentence.
    """

    name: str
    title: str
    group: Group
    unit: str
    about: str


GROUPS: dict[str, str] = {
    "distance": "Distance from the target mix",
    "settings": "Errors against known settings",
    "loudness": "Loudness features (tutorial)",
    "spectral": "Spectral features (tutorial)",
    "panning": "Panning features (tutorial)",
    "dynamic": "Dynamic features (tutorial)",
    "levels": "Textbook definitions, in their own units",
}


def _mape(name: str, title: str, group: Group, about: str) -> Metric:
    return Metric(f"{name}_mape", title, group, "", about)


METRICS: tuple[Metric, ...] = (
    Metric("stereo_mrstft", "Stereo MR-STFT", "distance", "", "sum/difference multi-resolution STFT distance, 512 to 8192 samples"),
    Metric(
        "stereo_mrstft_matched",
        "Stereo MR-STFT at one loudness",
        "distance",
        "",
        "the same after the mix has been brought to the target's integrated loudness: its master fader does not count",
    ),
    _mape("feature", "Feature MAPE", "distance", "mean of the tutorial's four group means"),
    Metric("embedding_distance", "Embedding distance", "distance", "", "1 - cosine of the embeddings of mix and target"),
    Metric(
        "gain_error_db",
        "Gain error",
        "settings",
        "dB",
        "mean over tracks of |fader - true fader|, each relative to the mean of its song's tracks",
    ),
    Metric("pan_error", "Pan error", "settings", "", "mean over tracks of |pan - true pan|, pan from 0 (left) to 1 (right)"),
    _mape("lufs", "Loudness", "loudness", "LUFS (BS.1770) of frames of 0.4 s, running mean over 40"),
    _mape("peak", "Peak", "loudness", "sample peak in dBFS of the same frames"),
    _mape("loudness", "Mean", "loudness", "mean of the two"),
    _mape("centroid", "Centroid", "spectral", "spectral centroid in Hz"),
    _mape("bandwidth", "Bandwidth", "spectral", "spectral bandwidth in Hz"),
    _mape("contrast_low", "Contrast, low", "spectral", "spectral contrast in dB below 250 Hz"),
    _mape("contrast_mid", "Contrast, mid", "spectral", "of the three octaves from 250 Hz to 2 kHz"),
    _mape("contrast_high", "Contrast, high", "spectral", "above 2 kHz"),
    _mape("contrast", "Contrast", "spectral", "mean of the three"),
    _mape("rolloff", "Roll-off", "spectral", "frequency below which 85 % of the magnitude lies"),
    _mape("flatness", "Flatness", "spectral", "1 - 20 log10 of the spectral flatness"),
    _mape("spectral", "Mean", "spectral", "mean of centroid, bandwidth, contrast, roll-off and flatness"),
    _mape("panning_all", "Panning, all", "panning", "RMS of the stereo panning spectrum over all bins"),
    _mape("panning_low", "Panning, low", "panning", "below 250 Hz"),
    _mape("panning_mid", "Panning, mid", "panning", "250 Hz to 2.5 kHz"),
    _mape("panning_high", "Panning, high", "panning", "above 2.5 kHz"),
    _mape("panning", "Mean", "panning", "mean of the four"),
    _mape("rms", "RMS level", "dynamic", "1 - RMS level in dB at a peak of -1 dBFS"),
    _mape("spread", "Dynamic spread", "dynamic", "1 - (mean level of the samples less the RMS level)"),
    _mape("crest_ratio", "Crest factor (ratio of dB values)", "dynamic", "the tutorial's: peak in dBFS divided by RMS in dBFS"),
    _mape("dynamic", "Mean", "dynamic", "mean of the three"),
    Metric("loudness_error_lu", "Loudness error", "levels", "LU", "difference of integrated loudness (BS.1770)"),
    Metric("peak_error_db", "Peak error", "levels", "dB", "difference of the sample peaks"),
    Metric("rms_error_db", "RMS error", "levels", "dB", "difference of the RMS levels"),
    Metric("rms_error_20ln", "RMS error (DeepAFx-ST)", "levels", "", "the same with 20 ln in place of 20 log10, as in its tables"),
    Metric(
        "crest_error_db",
        "Crest factor error",
        "levels",
        "dB",
        "difference of the running means of the crest factor (peak less RMS level) of frames",
    ),
    Metric("width_error", "Width error", "levels", "", "difference of the side signal's shares of the energy"),
    Metric("imbalance_error_db", "Imbalance error", "levels", "dB", "difference of the right channel's levels over the left one's"),
    Metric("panning_error", "Panning error", "levels", "", "difference of the running means of the panning RMS over all bins"),
)

BY_NAME: dict[str, Metric] = {m.name: m for m in METRICS}

HEADLINES = ("stereo_mrstft", "stereo_mrstft_matched", "feature_mape", "loudness_error_lu", "gain_error_db", "pan_error")
"""What the short tables and the plots show, where it was measured."""
