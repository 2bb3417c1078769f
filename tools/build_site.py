"""Build the documentation site: the pages of docs/ and those that are made from the code, in build/site. Warnings are errors."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Pages of the repository's root, by the name that they have on the site.
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
SHORT = ("Compressor", "Reverb")  # the effects that keep picture and sound in the short form


def staged(source: Path, short: bool) -> None:
    """Write what Sphinx reads: docs/ as it is, its tables, and the generated pages. Files that stay the same keep their time, so
    that a second build reads only what has changed."""
    from website import api, figures, pages

    static = source / "_static"
    wanted: dict[Path, str] = {}
    for path in sorted(DOCS.rglob("*")):
        inside = path.relative_to(DOCS)
        if path.is_dir() or inside.parts[0] in ("equations", "__pycache__"):
            continue
        if path.suffix == ".md":
            text = _site_links(path.read_text(), len(inside.parts) - 1)
            wanted[inside] = figures.filled(_listed(text, path.parent))
        else:
            (source / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, source / inside)
    for name, page in OUTSIDE.items():
        wanted[Path(page)] = (ROOT / name).read_text().replace("](docs/", "](")
    wanted[Path("effects.md")] = pages.effects_page()
    for name in pages.registry():
        wanted[Path("effects") / f"{name}.md"] = pages.effect_page(name, static, not short or name in SHORT)
    wanted[Path("api/index.md")] = api.index()
    for key in api.PAGES:
        wanted[Path("api") / f"{key}.md"] = api.page(key)
    for old in source.rglob("*.md"):
        if old.relative_to(source) not in wanted:
            old.unlink()
    for inside, text in wanted.items():
        path = source / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _listed(text: str, folder: Path) -> str:
    """A table of contents names pages that are yet to be written, as `name*`: without those that match none."""
    return re.sub(r"^([\w-]+\*)\n", lambda m: m[0] if any(folder.glob(f"{m[1]}.md")) else "", text, flags=re.MULTILINE)


def _site_links(text: str, depth: int) -> str:
    """Links out of docs/ lead to the site's own pages."""
    up = "../" * depth
    for name, page in OUTSIDE.items():
        text = text.replace(f"]({up}../{name}", f"]({up}{page}")
    return re.sub(rf"\]\({re.escape(up)}\.\./README\.md[^)]*\)", f"]({up}index.md)", text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "site", help="folder of the site")
    parser.add_argument(
        "--short", action="store_true", help=f"pictures and sounds of {' and '.join(SHORT)} only, and notebooks that are not run"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say only what is wrong")
    options = parser.parse_args(arguments)
    from sphinx.application import Sphinx

    work = options.output.with_name(options.output.name + "-work")
    source = work / "source"
    source.mkdir(parents=True, exist_ok=True)
    staged(source, options.short)
    app = Sphinx(
        srcdir=source,
        confdir=DOCS,
        outdir=options.output,
        doctreedir=work / "doctrees",
        buildername="html",
        confoverrides={
            "html_static_path": [str(source / "_static")],
            **({"nb_execution_mode": "off"} if options.short else {}),
        },
        warningiserror=True,
        exception_on_warning=False,
        status=None if options.quiet else sys.stdout,
    )
    app.build()
    if app.statuscode == 0:
        print(f"the site is in {options.output}: open {options.output / 'index.html'}")
    return app.statuscode


if __name__ == "__main__":
    sys.exit(main())
