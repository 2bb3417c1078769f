"""DeEsser: a compressor of the sibilant band."""

from __future__ import annotations

from torch import Tensor

from dasp.atoms.biquad import biquad
from dasp.atoms.design import section
from dasp.atoms.level import as_controls
from dasp.effects import _dynamics as dynamics
from dasp.param import Param

MODES = ("band", "wide")


def de_esser(
    x: Tensor,
    *,
    sample_rate: float = 44100,
    frequency_hz: float | Tensor = 6500.0,
    threshold_db: float | Tensor = -30.0,
    ratio: float | Tensor = 4.0,
    attack_ms: float | Tensor = 1.0,
    release_ms: float | Tensor = 50.0,
    mode: str = "band",
    q: float = 1.0,
    detector: str = "peak",
    stereo_link: str = "max",
    state: dict | None = None,
) -> Tensor:
    """y = x + (g - 1) h with a band-pass h of x, whose level sets the gain g as in StudioCompressor, with a hard knee.

    x - h + g h is a peaking filter with gain g at its centre (P. A. Regalia, S. K. Mitra, IEEE Trans. ASSP 35(1), 1987): a cut
    without ripple, and x itself, sample for sample, where g = 1.

    Args:
        x: audio (B, C, T).
        sample_rate: in Hz.
        frequency_hz, threshold_db, ratio, attack_ms, release_ms: numbers, (B,), (B, 1, 1) or (B, 1, T). The threshold is a level
            of the band; the centre frequency acts up to fs/2 - 100 Hz; times are real time constants.
        mode: "band" turns the band down, "wide" all of x: y = g x.
        q: quality factor of the band.
        detector, stereo_link: as in StudioCompressor.
        state: a dict that carries filter and followers between blocks.
    """
    frequency, threshold, slope, attack, release, hard = as_controls(
        x, frequency_hz, threshold_db, ratio, attack_ms, release_ms, 0.0
    )
    dynamics.check_option("DeEsser", "mode", mode, MODES)
    memory = {} if state is None else state
    band, memory["band"] = biquad(x.double(), section("band_pass", frequency, q, sample_rate=sample_rate), memory.get("band"))
    level = dynamics.level_db(band, sample_rate, "DeEsser", detector, stereo_link, state)
    reduction = dynamics.reduction_db(level, threshold, slope, hard, attack, release, sample_rate, state)
    gain = dynamics.db_to_linear(-reduction)
    return x * gain.to(x.dtype) if mode == "wide" else x + ((gain - 1) * band).to(x.dtype)


class DeEsser(dynamics.Linked):
    """Turn sibilants down. Options: `mode` band or wide; `q` of the band; `detector` peak or rms; `stereo_link` max, mean or
    none."""

    controls = (
        Param("frequency_hz", "Hz", 2000.0, 12000.0, 6500.0, "log", "centre of the sibilant band"),
        Param("threshold_db", "dB", -60.0, 0.0, -30.0, doc="level of the band above which it is turned down"),
        Param("ratio", "dB/dB", 1.0, 20.0, 4.0, "log", "input rise for 1 dB of output rise of the band above the threshold"),
        *dynamics.time_params(1.0, 50.0, "how fast the band falls", "how fast it recovers"),
    )
    dsp = staticmethod(de_esser)
    options = {"mode": "band", "q": 1.0, "detector": "peak", "stereo_link": "max"}
    links_channels = True
