"""The page of a desk: one file of HTML with its style and its scripts inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dasp
from dasp import Param
from mixing.console import FADER, PAN
from mixing.mixers import UNITY_DB
from mixing.templates import templates

_HERE = Path(__file__).parent
_SOUND = ("effects.js", "filters.js", "engine.js")
"""Scripts that run in the page and in its audio thread."""
_PAGE = (
    "carrier.js",
    "loudness.js",
    "settings.js",
    "player.js",
    "draw.js",
    "fields.js",
    "strip.js",
    "details.js",
    "panel.js",
    "desk.js",
)
_SEND = Param("send_db", "dB", -60.0, 12.0, -60.0, doc="post-fader send")


def page(song: dict[str, Any]) -> str:
    """The page.

    Args:
        song: what `mixing.desk.write` says of the song, its sounds and its settings.
    """
    environment = templates(_HERE)
    strip = {q.name: {"low": q.low, "high": q.high, "unit": q.unit, "scale": q.scale} for q in (FADER, PAN, _SEND)}
    about = {**song, "strip": strip, "unity_db": UNITY_DB, "weighting": _weighting(song["rate"]), "dasp": dasp.__version__}
    return environment.get_template("page.html.j2").render(
        song=song,
        about=_inert(json.dumps(about, ensure_ascii=False, allow_nan=False)),
        style=_text("desk.css"),
        sound=_scripts(_SOUND),
        worklet=_text("worklet.js"),
        page=_scripts(_PAGE),
        dasp=dasp.__version__,
    )


def _inert(text: str) -> str:
    """JSON that ends no script element, whatever names it holds."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _scripts(names: tuple[str, ...]) -> str:
    return "\n".join(_text(n) for n in names)


def _weighting(rate: int) -> list[list[float]]:
    """The filters of the loudness meter that `mixing` measures with: rows b0, b1, b2, a1, a2."""
    import pyloudnorm

    meter: Any = pyloudnorm.Meter(rate, filter_class="DeMan")
    return [[*f.b.tolist(), *f.a.tolist()[1:]] for f in meter._filters.values()]
