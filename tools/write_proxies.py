"""The shipped proxies as tables, read from the headers of their files: short in README.md, more in docs/proxies.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import proxies

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "proxies" / "weights"
# What was aimed at: ESR and the gradient's relative error at most, the cosine's 10 % at least, Jacobian errors at most.
BAND = (2e-5, 0.02, 0.98, 0.01)
AIMS: dict[str, tuple[float, float, float, float]] = {
    "Distortion": (1e-3, 0.05, 0.99, 0.05),
    "Compressor": (2e-3, 0.08, 0.99, 0.10),
    "Limiter": (0.01, 0.15, 0.95, 0.2),
    "NoiseGate": (0.01, 0.15, 0.95, 0.2),
    "PeakFilter": BAND,
    "LowShelfFilter": BAND,
    "HighShelfFilter": BAND,
    "ParametricEQ": (1e-3, 0.1, 0.95, 0.1),
}
WHOLE = (0.5, 0.3, 0.8)  # of Reverb and ChannelStrip: MR-STFT instead of ESR; Jacobians are reported


def shipped() -> list[tuple[str, int, proxies.Network, dict[str, Any]]]:
    """Name, bytes, network and scores of each file that has been evaluated."""
    found = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        network = proxies.load(path)
        assert network.header is not None
        if "evaluation" in network.header.scores:
            found.append((path.stem, path.stat().st_size, network, network.header.scores["evaluation"]))
    return found


def missed(name: str, scores: dict[str, Any]) -> str:
    """Which aims a proxy does not reach."""
    gradient, worst = scores["gradient"]["mr_stft"], _worst(scores)[0]
    if name in AIMS:
        measured = (scores["esr"], gradient["relative_error"], -gradient["cosine_p10"], worst)
        esr, error, cosine, jacobian = AIMS[name]
        limits = {"ESR": esr, "gradient error": error, "cosine": -cosine, "Jacobian": jacobian}
    else:
        measured = (scores["mr_stft"], gradient["relative_error"], -gradient["cosine_p10"])
        limits = {"MR-STFT": WHOLE[0], "gradient error": WHOLE[1], "cosine": -WHOLE[2]}
    pairs = zip(limits.items(), measured, strict=True)
    return ", ".join(f"{what} (aim {abs(limit):g})" for (what, limit), value in pairs if value > limit) or "none"


def table() -> str:
    """All scores, one row a file."""
    head = "proxy|kind|parameters|kB|ESR|MR-STFT|gradient error, MR-STFT|MSE|cosine, 10 %|worst Jacobian|real time|aims missed"
    rows = [f"| {head.replace('|', ' | ')} |", "|" + "---|" * 12]
    for name, size, network, scores in shipped():
        gradient, (worst, control) = scores["gradient"], _worst(scores)
        parameters = sum(p.numel() for p in network.parameters())
        cells = [
            f"`{name}`",
            network.kind,
            f"{parameters:,}",
            f"{size / 1000:.0f}",
            *(f"{scores[key]:.2g}" for key in ("esr", "mr_stft")),
            *(f"{gradient[key]['relative_error']:.2g}" for key in ("mr_stft", "mse")),
            f"{gradient['mr_stft']['cosine_p10']:.3f}",
            f"{worst:.2g} (`{control}`)",
            f"{scores['real_time_factor']['cpu']:.2g}",
            missed(name, scores),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def sentence() -> str:
    """What README.md says."""
    names = [f"`{name}`" for name, *_ in shipped()]
    return (
        f"Shipped: {', '.join(names)}. [How good each is, and training one](docs/proxies.md)."
        if names
        else "None is shipped yet."
    )


def _worst(scores: dict[str, Any]) -> tuple[float, str]:
    return max((error, control) for control, error in scores["jacobian_error"].items() if error is not None)
