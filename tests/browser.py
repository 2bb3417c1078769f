"""A real browser for the tests of pages: Debian's Chromium without a window, driven by Playwright.

`opened` loads a page from disk as a double-click does, and refuses at the end what no page of dasp may do: send a request
anywhere but to its own folder, or report an error on the console.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# A browser that is started by tests asks nobody anything.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)


def binary() -> str | None:
    """Of Chromium: DASP_CHROMIUM, or the one on the path."""
    return os.environ.get("DASP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def launched() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary(), headless=True, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, **context: Any) -> Iterator[Any]:
    """A page of a folder; `context` as Playwright's `new_context` takes it (viewport, color_scheme, ...).

    Raises:
        AssertionError: at the end, if a request left the page's folder, or the console has an error.
    """
    inside = browser.new_context(accept_downloads=True, **context)
    page = inside.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.goto(file.resolve().as_uri())
    yield page
    inside.close()
    home = file.resolve().parent.as_uri() + "/"
    left = [url for url in asked if not url.startswith((home, "data:", "blob:"))]
    assert not left, f"requests left the page: {left[:5]}"
    assert not wrong, f"errors on the console: {wrong[:5]}"


def serious_faults(page: Any) -> list[str]:
    """What axe-core calls a serious or critical fault of accessibility."""
    from axe_playwright_python.sync_playwright import Axe

    # Without `preload` axe does not fetch style sheets, which a page opened from disk may not do.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes'][:3]]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
