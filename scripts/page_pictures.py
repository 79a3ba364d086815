"""Pictures of the page in headless Chromium, for the documentation and for a look before a release.

`python scripts/page_pictures.py RUN [RUN...] [-o FOLDER] [--part NAME]` serves the runs and writes
PNG files. The first run should know English letters; one named after "tang", "chinese" or
"chamber" writes the Chinese picture. Runs of music, series, strokes and pairs are shown in their own
views; those of pairs should have learnt dates. Runs of strokes named "lines" write a text.
`page-write.png`, `page-train.png`, and those of lines, pairs, music and series are part of the
documentation.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.serving.browser import CONTROL, Browser
from tests.serving.browsing import READY, choose, point

from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings

BEGINNING = "ROMEO:\nBut soft, what light through yonder window breaks?\n"
ARABIC = (
    "قالت شهرزاد: بلغني أيها الملك السعيد أنه كان في قديم الزمان تاجر كثير المال.\n"
    "ثم ركب يوما وخرج إلى بعض البلاد، فاشتد عليه الحر، فجلس تحت شجرة.\n"
    "The merchant sat down (تحت شجرة) and rested.\n"
)
CHINESE = "且说宝玉"
DONE = "/^(Done|写完了)/.test(document.querySelector('#status').textContent)"


STILL = (
    "new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame("
    "done)), 250))"
)
"""A promise of a picture after the highlights were painted."""


def write(browser: Browser, text: str = "") -> None:
    """Type a text and let the model go on."""
    browser.run("document.querySelector('#status').textContent = ''")
    browser.run("document.querySelector('#typed').focus()")
    if text:
        browser.type(text)
    browser.press("Enter", CONTROL)
    browser.wait(DONE, 120)
    browser.wait("document.querySelectorAll('#bars:not([aria-busy]) .rival').length > 1", 30)


def desk(browser: Browser, shoot: Shoot) -> None:
    """Writing on a wide screen: empty, written, coloured, chosen, compared."""
    shoot("empty")
    choose(browser, "seed", "5")
    choose(browser, "length", "420")
    write(browser, BEGINNING)
    shoot("written")
    choose(browser, "colour", "surprise")
    browser.wait("CSS.highlights.size > 3")
    browser.run("document.querySelector('#paper').scrollTop = 0")
    browser.move(*point(browser, 130))
    browser.wait("document.querySelector('#tip')")
    shoot("hover")
    browser.move(5, 5)
    browser.click(*point(browser, 130))
    browser.wait("writer.chosen?.index >= 0")
    browser.run("document.querySelector('#status').textContent = ''")
    browser.run("document.querySelectorAll('.rival:not(.own)')[1].click()")
    browser.wait(DONE, 120)
    browser.click(*point(browser, 180))
    browser.wait("writer.chosen?.index >= 0")
    browser.run("document.querySelector('#paper').scrollTop = 0")
    browser.move(5, 5)
    shoot("write")
    choose(browser, "colour", "copied")
    browser.run("writer.choose(null)")
    shoot("copied")
    choose(browser, "colour", "none")
    browser.run("document.querySelector('#compare').click()")
    choose(browser, "slider-temperature", "1.2")
    write(browser)
    shoot("compare")
    browser.run(
        "document.querySelector('#compare').click(); document.querySelector('#help').click()"
    )
    shoot("help")
    browser.run("document.querySelector('#help-box').close()")


def scripts(browser: Browser, shoot: Shoot) -> None:
    """Other scripts and themes."""
    browser.media(prefers_color_scheme="dark", **CALM)
    if browser.run("writer.tree.nodes.size === 0"):
        write(browser, BEGINNING)
    for colour in ("rank", "surprise"):
        choose(browser, "colour", colour)
        shoot(f"dark-{colour}")
    choose(browser, "colour", "none")
    browser.media(prefers_color_scheme="light", **CALM)
    browser.run("writer.fresh()")
    browser.run("document.querySelector('#typed').focus()")
    browser.type(ARABIC)
    browser.run("writer.take(); writer.show()")
    shoot("arabic")
    browser.run("document.querySelector('#language').click()")
    browser.wait("document.documentElement.lang.startsWith('zh')")
    names = browser.run("writer.models.map(({ id }) => id)")
    chinese = next((name for name in names if re.search("tang|chinese|chamber", name)), None)
    browser.run("writer.fresh()")
    if chinese is not None:
        choose(browser, "model", chinese)
        write(browser, CHINESE)
    else:
        browser.type(CHINESE)
    shoot("chinese")
    browser.run("location.hash = '#train'")
    browser.wait("document.querySelector('.corpora button')")
    shoot("chinese-train")
    browser.run("document.querySelector('#language').click()")
    browser.wait("document.documentElement.lang === 'en'")
    browser.run("location.hash = '#write'")
    browser.run(f"writer.use({names[0]!r})")


def phone(browser: Browser, shoot: Shoot) -> None:
    """A narrow screen."""
    browser.size(360, 720, phone=True, scale=2)
    browser.run("location.hash = '#train'")
    browser.wait("document.querySelector('.corpora button')")
    shoot("phone-train")
    browser.run("location.hash = '#write'")
    if browser.run("writer.tree.nodes.size === 0"):
        write(browser, BEGINNING)
    browser.run("writer.go(writer.tree.tip(writer.tree.roots[0]))")
    shoot("phone")
    for side in ("branches", "settings"):
        browser.run(f"document.querySelector('#show-{side}').click()")
        shoot(f"phone-{side}")
        browser.run(f"document.querySelector('#show-{side}').click()")
    browser.size(1280, 800)


def kinds(browser: Browser, shoot: Shoot) -> None:
    """A forecast, drawings, answers, and a piece of music."""
    views = {
        "series": "document.querySelector('.fan .inner-band')",
        "strokes": "document.querySelector('.drawing, #strokes-text')",
        "pairs": "document.querySelector('#pairs-inputs')",
        "music": "!document.querySelector('#write').hidden",
    }
    listing = "writer.models.map(({ id, kind }) => [id, kind])"
    for name, kind in browser.run(listing):
        if kind not in views:
            continue
        browser.run(
            "(() => { const s = document.querySelector('#kind:not([hidden]) #kind-model')"
            f" ?? document.querySelector('#model'); s.value = {name!r};"
            "s.dispatchEvent(new Event('change')); })()"
        )
        browser.wait(views[kind], 120)
        if kind == "strokes":
            draw(browser)
        if kind == "pairs":
            browser.run("document.querySelector('#pairs-inputs').focus()")
            browser.type("Friday, 19 June 2015\n7. März 1998\n3 de mayo de 2021")
            browser.wait("document.querySelectorAll('.answer').length > 2", 120)
        if kind == "music":
            browser.run("writer.fresh()")
            choose(browser, "length", "300")
            write(browser)
            browser.wait("document.querySelector('.note')", 120)
        shown = "lines" if browser.run("document.querySelector('#strokes-text') !== null") else kind
        shoot(f"kind-{shown}")
        browser.media(prefers_color_scheme="dark", **CALM)
        shoot(f"kind-{shown}-dark")
        browser.media(prefers_color_scheme="light", **CALM)
        browser.size(360, 720, phone=True, scale=2)
        shoot(f"kind-{shown}-phone")
        browser.size(1280, 800)


def draw(browser: Browser) -> None:
    """Let a model write a text, or draw on from an arc."""
    if browser.run("document.querySelector('#strokes-text') !== null"):
        choose(browser, "strokes-text", "stitched by hand")
        choose(browser, "strokes-count", "4")
        choose(browser, "strokes-pen_bias", "3")
        choose(browser, "strokes-seed", "42")
        browser.run("document.querySelector('form.order').requestSubmit()")
    else:
        choose(browser, "strokes-seed", "4")
        x, y = browser.middle(".pad")
        arc = [(x + 70 * math.cos(k / 8), y - 70 * math.sin(k / 8)) for k in range(22)]
        for kind, (px, py) in zip(
            ["mousePressed", *["mouseMoved"] * 20, "mouseReleased"], arc, strict=True
        ):
            browser.send(
                "Input.dispatchMouseEvent", type=kind, x=px, y=py, button="left", clickCount=1
            )
        browser.wait("document.querySelector('.drawing .given')", 60)
    browser.wait(
        "document.querySelector('.drawing') && !document.querySelector('#kind [aria-busy]')", 60
    )


def training(browser: Browser, shoot: Shoot) -> None:
    """A run from its source to its end."""
    browser.run("location.hash = '#train'")
    browser.wait("document.querySelector('.corpora button')")
    shoot("train-empty")
    browser.run(
        "[...document.querySelectorAll('.corpora button')]"
        ".find((b) => b.textContent.startsWith('python-docs')).click()"
    )
    browser.wait("document.querySelector('#train-go')", 90)
    shoot("train-plan")
    choose(browser, "minutes", "1")
    browser.run("document.querySelector('#train-go').click()")
    browser.wait("document.querySelectorAll('.chart .dot').length > 3", 400)
    shoot("train")
    browser.media(prefers_color_scheme="dark", **CALM)
    shoot("train-dark")
    browser.media(prefers_color_scheme="light", **CALM)
    browser.wait("document.querySelector('.pill.done')", 240)
    shoot("trained")


CALM = {"prefers_reduced_motion": "reduce"}
PARTS: dict[str, Callable[[Browser, Shoot], None]] = {
    "desk": desk, "scripts": scripts, "phone": phone, "kinds": kinds, "training": training,
}  # fmt: skip


class Shoot:
    """Takes pictures into a folder.

    Arguments:
        browser: what it shows.
        folder: of the pictures.
    """

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder

    def __call__(self, name: str) -> None:
        """Save a picture."""
        self._browser.run(STILL)
        self._browser.picture(self._folder / f"page-{name}.png")


def main() -> None:
    """Serve the runs, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("pictures"))
    parser.add_argument("--part", choices=list(PARTS), action="append")
    options = parser.parse_args()
    runs, folder = [run.resolve() for run in options.runs], options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        server = ModelServer(runs, ServeSettings(port=0))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        with Browser() as browser:
            browser.size(1280, 800)
            browser.media(prefers_color_scheme="light", **CALM)
            browser.open(f"{server.url}#token={server.state.token}")
            browser.wait(READY, 240)
            shoot = Shoot(browser, folder)
            for name in options.part or PARTS:
                PARTS[name](browser, shoot)
            for problem in browser.problems():
                print(problem)
        server.stop()
        thread.join(10)


if __name__ == "__main__":
    main()
