"""Write the tables of the effects, read from the effects themselves: short in README.md, whole in docs/effects.md."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import torch
from write_proxies import sentence, table

from dasp.blackbox import recipe
from dasp.effect import Effect, table_of
from dasp.effects import registry
from dasp.parity import Parity, markdown
from mixing.markers import replace_between

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "effects.md"
PROXIES_PAGE = ROOT / "docs" / "proxies.md"
PARITY_PAGE = ROOT / "docs" / "parity.md"
MEASURED = ROOT / "docs" / "parity.json"


def about(cls: type[Effect]) -> str:
    """The first paragraph of an effect's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")


def summary(cls: type[Effect]) -> str:
    """Its first sentence."""
    return re.split(r"(?<=[.!?]) ", about(cls), maxsplit=1)[0]


def black_box(cls: type[Effect]) -> str:
    """What the black box runs."""
    if cls.plugin is None:
        return "its own DSP, unseen by autograd"
    effect = cls()
    response = effect.extra(torch.zeros(1, 1, 1)).get("impulse_response")
    response = None if response is None else response[0].detach().numpy()
    plugins = recipe(cls, {q.name: q.default for q in cls.controls}, effect.sample_rate, effect.settings, response)
    names = dict.fromkeys(f"`pedalboard.{name}`" for name, _ in plugins)
    return next(iter(names)) if len(names) == 1 else f"a chain of {', '.join(names)}"


def short_table() -> str:
    """One row an effect."""
    rows = [f"| `{name}` | {summary(cls)} | {len(cls.controls)} | {black_box(cls)} |" for name, cls in registry().items()]
    return "\n".join(["| effect | | controls | black box |", "|---|---|---|---|", *rows])


def page() -> str:
    """Every effect with the table of its controls."""
    parts = ["# Effects", "", "Written by `make docs` from the effects themselves. Pedalboard's names wherever it has them.", ""]
    for name, cls in registry().items():
        parts += [f"## {name}", "", about(cls), "", f"Black box: {black_box(cls)}.", ""]
        if cls.channels:
            parts += [f"Input channels: {' or '.join(map(str, cls.channels))}.", ""]
        if cls.options:
            parts += [f"Options: {', '.join(f'`{k}` (default {v!r})' for k, v in cls.options.items())}.", ""]
        if cls.audio_surrogate:
            parts += [f"The audio has no true gradient. Surrogate: {cls.audio_surrogate}.", ""]
        if cls.static_because:
            parts += [f"The controls cannot vary in time: {cls.static_because}", ""]
        parts += [table_of(cls.controls), ""]
    return "\n".join(parts)


def parity_tables() -> tuple[str, str] | None:
    """The sentence of README.md and the page docs/parity.md, from what `make parity` measured; None if it was never run."""
    if not MEASURED.exists():
        return None
    record = json.loads(MEASURED.read_text())
    rows = [Parity(**row) for row in record["rows"]]
    exact = [r for r in rows if r.worst_db is None]
    others = [f"{r.effect} ({r.worst_db:.0f} dB at worst)" for r in rows if r.worst_db is not None]
    outputs, samples = (sum(getattr(r, k) for r in rows) for k in ("cases", "samples"))
    rates = ", ".join(f"{rate / 1000:g}" for rate in record["rates"])
    sentence = (
        f"Measured on {outputs:,} outputs, {samples:,} samples ({record['draws']} draws of all controls x {rates} kHz x mono and "
        f"stereo x {', '.join(record['signals'])}): of {len(rows)} effects that Pedalboard has, {len(exact)} differ in no sample"
        f"{'; not so ' + ', '.join(others) if others else ''}. [All figures](docs/parity.md)."
    )
    page = f"""# Parity

Written by `make parity`. {sentence.partition(" [All")[0]}

White box against Pedalboard called by hand with the same typed values, in float32 on x86-64; the black box against the same; and
the white box under moving controls against the black box, which feeds the plugin block by block. Two quirks of the plugins are
avoided by how they are driven: a used Reverb glides from its old values (each item gets a fresh one), and a Phaser places its
centre by the rate that it knew when the centre was set (it is shown the rate first).

{markdown(rows)}
"""
    return sentence, page


def proxies_page() -> str:
    """docs/proxies.md with the table of the shipped weights up to date."""
    return replace_between(PROXIES_PAGE.read_text(), "shipped", table())


def readme() -> str:
    """README.md with every generated part up to date."""
    text = replace_between(README.read_text(), "effects", short_table())
    text = replace_between(text, "proxies", sentence())
    tables = parity_tables()
    return text if tables is None else replace_between(text, "parity", tables[0])


def main() -> None:
    README.write_text(readme())
    PAGE.write_text(page())
    PROXIES_PAGE.write_text(proxies_page())
    tables = parity_tables()
    if tables is not None:
        PARITY_PAGE.write_text(tables[1])
    print("wrote README.md and the pages of docs/")


if __name__ == "__main__":
    main()
