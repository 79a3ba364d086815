"""A page over a server of its own, and hands for it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.browser import CHROMIUM, CONTROL, Browser

AXE = os.environ.get("RHAPSODE_AXE")
"""The file axe.min.js of axe-core, which is not shipped; None without one."""
DONE = "document.querySelector('#status').textContent.startsWith('Done')"
TEXT = "writer.surface.text"
READY = "writer.models.length && writer.models.every((model) => model.status !== 'loading')"
LOAD_SECONDS = 120.0
"""Time that models may take to load on a busy machine, whose kernels are compiled first."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def page_of(models: Sequence[Path], folder: Path) -> Iterator[str]:
    """The address, with its token, of a server that runs in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        server = ModelServer(models, ServeSettings(port=0, states=str(folder / "states")))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield f"{server.url}#token={server.state.token}"
        server.stop()
        thread.join(10)


@contextmanager
def browser_at(url: str) -> Iterator[Browser]:
    """A browser whose page is ready, and must have no problems in the end."""
    with Browser() as browser:
        browser.size(1280, 800)
        browser.media(prefers_reduced_motion="reduce")
        browser.open(url)
        browser.wait(READY, LOAD_SECONDS)
        yield browser
        assert browser.problems() == []


def write(browser: Browser, text: str = "", seconds: float = 60) -> str:
    """Type a text, let the model write, and return all of the text."""
    browser.run("document.querySelector('#status').textContent = ''")
    browser.run("document.querySelector('#typed').focus()")
    if text:
        browser.type(text)
    browser.press("Enter", CONTROL)
    browser.wait(DONE, seconds)
    return str(browser.run(TEXT))


def choose(browser: Browser, name: str, value: str) -> None:
    """Set a control."""
    browser.run(
        f"(() => {{ const s = document.querySelector('#{name}'); s.value = {json.dumps(value)};"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); })()"
    )


def point(browser: Browser, offset: int) -> tuple[float, float]:
    """The middle of a character of the text on the screen, which is brought into sight."""
    x, y = browser.run(
        f"(() => {{ const r = writer.surface.range({offset}, {offset} + 1);"
        "const paper = document.querySelector('#paper'), p = paper.getBoundingClientRect();"
        "paper.scrollBy(0, r.getBoundingClientRect().top - p.top - p.height / 2);"
        "const b = r.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    return x, y


def violations(browser: Browser, state: str) -> dict[str, list[str]]:
    """What axe finds in the page as it is, by state and rule; nothing without axe."""
    if AXE is None:
        return {}
    browser.run(f"window.axe ? 0 : {Path(AXE).read_text(encoding='utf-8')}; 0")
    # Pictures after the next two frames, and after the last animation.
    browser.run("new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))")
    browser.wait("document.getAnimations().every((each) => each.playState !== 'running')")
    answer = browser.run("axe.run(document, { resultTypes: ['violations'] })")
    return {
        f"{state}: {each['id']}": [node["html"][:120] for node in each["nodes"]][:3]
        for each in answer["violations"]
    }
