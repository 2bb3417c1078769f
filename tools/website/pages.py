"""The generated pages: one for each effect, and the one that lists them."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

import write_proxies
import write_readme

from dasp.effect import Effect, table_of
from dasp.effects import registry
from website import pictures, sounds
from website.examples import FAMILIES, example

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EQUATIONS = DOCS / "equations"


@cache
def measured(name: str) -> Any:
    """A JSON of docs/."""
    return json.loads((DOCS / f"{name}.json").read_text())


_shipped = cache(write_proxies.shipped)


def effects_page() -> str:
    """Every effect by family; it stands where docs/effects.md stands in the repository."""
    parts = ["# Effects", "", "Controls have Pedalboard's names wherever it has them, and carry their units.", ""]
    known = registry()
    for family in FAMILIES:
        members = [name for name in known if example(name).family == family]
        parts += [f"## {family}", "", "| effect | | controls | black box |", "|---|---|---|---|"]
        for name in members:
            cls = known[name]
            row = f"| [{name}](effects/{name}.md) | {' '.join(_about(cls).split())} | {len(cls.controls)} "
            parts.append(f"{row}| {write_readme.black_box(cls)} |")
        parts += ["", "```{toctree}", ":hidden:", "", *(f"effects/{name}" for name in members), "```", ""]
    return "\n".join(parts)


def effect_page(name: str, static: Path, whole: bool) -> str:
    """The page of an effect; its picture and its sounds are written into `static` where it is `whole`."""
    cls = registry()[name]
    parts = [f"# {name}", "", _about(cls), "", "```python", *_call(cls), "```", ""]
    parts += ["## Controls", "", table_of(cls.controls), "", *_facts(cls)]
    parts += ["## Equations", "", (EQUATIONS / f"{name}.md").read_text(), ""]
    if whole:
        parts += [*_picture(name, static), *_sound(name, static)]
    parts += ["## Scores", "", *_parity(cls), *_gradients(name), *_proxies(name)]
    dsp = cls.dsp
    if dsp is not None:
        where = f"{dsp.__module__}.{dsp.__qualname__}"
        parts += ["## The function", "", "The white box, with its arguments as tensors:", ""]
        parts += ["```{eval-rst}", f".. autofunction:: {where}", "```", ""]
    return "\n".join(parts)


def _about(cls: type[Effect]) -> str:
    """The first paragraph of an effect's docstring."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0]


def _call(cls: type[Effect]) -> list[str]:
    channels = (cls.channels or (2,))[-1]
    first = cls.controls[:2]
    settings = "".join(f", {q.name}={q.default:g}" for q in first)
    return [
        "import torch",
        f"from dasp import {cls.__name__}",
        "",
        f"audio = 0.1 * torch.randn(1, {channels}, 44100)",
        f"y = {cls.__name__}(sample_rate=44100)(audio{settings})",
    ]


def _facts(cls: type[Effect]) -> list[str]:
    facts = [f"Black box: {write_readme.black_box(cls)}."]
    if cls.channels:
        facts.append(f"Input channels: {' or '.join(map(str, cls.channels))}.")
    if cls.options:
        options = ", ".join(f"`{k}` (default {v!r})" for k, v in cls.options.items())
        facts.append(f"Options, given when the effect is made: {options}.")
    if "sidechain" in cls._takes:
        facts.append("Takes a side-chain: `sidechain=`.")
    if cls.audio_surrogate:
        facts.append(f"The audio has no true gradient. Surrogate: {cls.audio_surrogate}.")
    if cls.static_because:
        facts.append(f"The controls cannot vary in time: {cls.static_because}")
    return [*(f"- {fact}" for fact in facts), ""]


def _picture(name: str, static: Path) -> list[str]:
    svg, what = pictures.drawn(name)
    (static / "pictures").mkdir(parents=True, exist_ok=True)
    (static / "pictures" / f"{name}.svg").write_bytes(svg)
    return ["## Response", "", f"![{what} of {name}](../_static/pictures/{name}.svg)", "", f"{what}.", ""]


def _sound(name: str, static: Path) -> list[str]:
    folder = static / "sounds"
    folder.mkdir(parents=True, exist_ok=True)
    before, after, down = sounds.write(name, folder)
    shown = example(name)
    settings = ", ".join(f"`{k}={v!r}`" for k, v in shown.sound.items()) or "the defaults"
    lower = f" Turned down by {down:.1f} dB so that it is not clipped." if down > 0.05 else ""
    players = [
        f"<figure class='sound'><figcaption>{label}</figcaption>"
        f"<audio controls preload='none' aria-label='{label}' src='../_static/sounds/{file}'></audio></figure>"
        for label, file in ((f"without {name}", before), (f"with {name}", after))
    ]
    song = "From *Francium* by Software-Entwicklungskit, CC0."
    return ["## Sound", "", "```{raw} html", *players, "```", "", f"With {settings}.{lower} {song}", ""]


def _parity(cls: type[Effect]) -> list[str]:
    row = next((r for r in measured("parity")["rows"] if r["effect"] == cls.__name__), None)
    if row is None:
        return ["Parity: Pedalboard has no such effect to compare with.", ""]
    result = "no sample differs" if row["differing"] == 0 else f"{row['worst_db']:.0f} dB at worst, relative to the output"
    return [f"[Parity](../parity.md) with Pedalboard: {row['cases']:,} outputs, {row['samples']:,} samples; {result}.", ""]


def _gradients(name: str) -> list[str]:
    record = measured("gradients")
    rows = [r for r in record["rows"] if r["effect"] == name]
    if not rows:
        return ["[Gradients](../gradients.md): not measured, since no control has a true gradient.", ""]
    table = ["| strategy | cosine | norm ratio |", "|---|---|---|"]
    table += [f"| {r['strategy']} | {r['cosine']:.4f} | {r['norm_ratio']:.3f} |" for r in rows]
    about = f"medians over {record['draws']} pairs of settings, {record['seconds']:g} s of music each"
    return [f"[Gradients](../gradients.md) of the controls against float64 autodiff, {about}:", "", *table, ""]


def _proxies(name: str) -> list[str]:
    found = [entry for entry in _shipped() if entry[0] == name]
    if not found:
        return ["[Proxy](../proxies.md): none is shipped.", ""]
    _, size, network, scores = found[0]
    gradient = scores["gradient"]["mr_stft"]
    head = "| kind | parameters | kB | ESR | MR-STFT | gradient error, MR-STFT | cosine, 10 % |"
    row = (
        f"| {network.kind} | {sum(p.numel() for p in network.parameters()):,} | {size / 1000:.0f} | {scores['esr']:.2g} "
        f"| {scores['mr_stft']:.2g} | {gradient['relative_error']:.2g} | {gradient['cosine_p10']:.3f} |"
    )
    return ["The [proxy](../proxies.md) that is shipped:", "", head, "|---" * 7 + "|", row, ""]
