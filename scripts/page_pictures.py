"""Pictures of the page in headless Chromium, for the documentation and for a look before a release.

`python scripts/page_pictures.py RUN [RUN...] [-o FOLDER]` serves the runs and writes PNG files. The
first run should know English letters; one whose name contains "tang" or "chinese" writes the
Chinese picture. Only `page-write.png` and `page-train.png` are part of the documentation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.serving.browser import CONTROL, Browser

from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings

BEGINNING = "ROMEO:\nBut soft, what light through yonder window breaks?\n"
ARABIC = (
    "قالت شهرزاد: بلغني أيها الملك السعيد أنه كان في قديم الزمان تاجر كثير المال.\n"
    "ثم ركب يوما وخرج إلى بعض البلاد، فاشتد عليه الحر، فجلس تحت شجرة.\n"
    "The merchant sat down (تحت شجرة) and rested.\n"
)
DONE = "/^(Done|写完了)/.test(document.querySelector('#status').textContent)"


def choose(browser: Browser, name: str, value: str) -> None:
    """Set a control of the page."""
    browser.run(
        f"(() => {{ const s = document.querySelector('#{name}'); s.value = '{value}';"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); })()"
    )


def write(browser: Browser, text: str = "") -> None:
    """Type a text and let the model go on."""
    browser.run("document.querySelector('#status').textContent = ''")
    browser.run("document.querySelector('#typed').focus()")
    if text:
        browser.type(text)
    browser.press("Enter", CONTROL)
    browser.wait(DONE, 60)
    time.sleep(1.2)


def point(browser: Browser, offset: int) -> tuple[float, float]:
    """The middle of a character of the text."""
    x, y = browser.run(
        f"(() => {{ const b = writer.surface.range({offset}, {offset} + 1).getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    return x, y


def desk(browser: Browser, shoot: Shoot) -> None:
    """Writing on a wide screen: empty, written, coloured, chosen, compared."""
    shoot("empty")
    choose(browser, "seed", "5")
    choose(browser, "length", "420")
    write(browser, BEGINNING)
    shoot("written")
    choose(browser, "colour", "surprise")
    time.sleep(1.5)
    browser.run("document.querySelector('#paper').scrollTop = 0")
    browser.move(*point(browser, 130))
    time.sleep(0.6)
    shoot("hover")
    browser.move(5, 5)
    browser.click(*point(browser, 130))
    time.sleep(0.8)
    browser.run("document.querySelectorAll('.rival:not(.own)')[1].click()")
    browser.wait("writer.running.length === 0 && writer.tree.branches(writer.tree.roots[0]).length")
    browser.wait(DONE, 60)
    time.sleep(1)
    browser.run("document.querySelector('#paper').scrollTop = 0")
    time.sleep(0.3)
    browser.click(*point(browser, 180))
    time.sleep(0.8)
    shoot("write")
    choose(browser, "colour", "copied")
    browser.run("writer.choose(null)")
    time.sleep(1.2)
    shoot("copied")
    choose(browser, "colour", "none")
    browser.run("document.querySelector('#compare').click()")
    choose(browser, "slider-temperature", "1.2")
    write(browser)
    shoot("compare")
    browser.run(
        "document.querySelector('#compare').click(); document.querySelector('#help').click()"
    )
    time.sleep(0.3)
    shoot("help")
    browser.run("document.querySelector('#help-box').close()")


def scripts(browser: Browser, shoot: Shoot) -> None:
    """Other scripts, themes and sizes."""
    browser.media(prefers_color_scheme="dark")
    choose(browser, "colour", "rank")
    time.sleep(0.8)
    shoot("dark")
    choose(browser, "colour", "none")
    browser.media(prefers_color_scheme="light")
    browser.run("writer.fresh()")
    browser.run("document.querySelector('#typed').focus()")
    browser.type(ARABIC)
    browser.run("writer.take(); writer.show()")
    time.sleep(1)
    shoot("arabic")
    browser.run("document.querySelector('#language').click()")
    time.sleep(0.6)
    names = browser.run("writer.models.map(({ id }) => id)")
    chinese = next((name for name in names if "tang" in name or "chinese" in name), None)
    browser.run("writer.fresh()")
    if chinese is not None:
        choose(browser, "model", chinese)
        write(browser, "月落烏啼霜滿天")
    else:
        browser.type("月落乌啼霜满天，江枫渔火对愁眠。")
    shoot("chinese")
    browser.run("location.hash = '#train'")
    time.sleep(1)
    shoot("chinese-train")
    browser.run("document.querySelector('#language').click()")
    time.sleep(0.6)


def phone(browser: Browser, shoot: Shoot) -> None:
    """A narrow screen."""
    browser.size(360, 720, phone=True, scale=2)
    shoot("phone-train")
    browser.run("location.hash = '#write'")
    browser.run("writer.go(writer.tree.tip(writer.tree.roots[0]))")
    time.sleep(0.8)
    shoot("phone")
    for side in ("branches", "settings"):
        browser.run(f"document.querySelector('#show-{side}').click()")
        time.sleep(0.5)
        shoot(f"phone-{side}")
        browser.run(f"document.querySelector('#show-{side}').click()")
    browser.size(1280, 800)


def training(browser: Browser, shoot: Shoot) -> None:
    """A run from its source to its end."""
    browser.run("location.hash = '#train'")
    time.sleep(1)
    shoot("train-empty")
    browser.run(
        "[...document.querySelectorAll('.corpora button')]"
        ".find((b) => b.textContent.startsWith('python-docs')).click()"
    )
    browser.wait("document.querySelector('#train-go')", 90)
    time.sleep(0.3)
    shoot("train-plan")
    choose(browser, "minutes", "0.7")
    browser.run("document.querySelector('#train-go').click()")
    browser.wait("document.querySelectorAll('.chart .dot').length > 5", 120)
    time.sleep(1)
    shoot("train")
    browser.media(prefers_color_scheme="dark")
    shoot("train-dark")
    browser.media(prefers_color_scheme="light")
    browser.wait("document.querySelector('.pill.done')", 120)
    time.sleep(0.4)
    shoot("trained")


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
        time.sleep(0.15)
        self._browser.picture(self._folder / f"page-{name}.png")


def main() -> None:
    """Serve the runs, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("pictures"))
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
            browser.media(prefers_color_scheme="light")
            browser.open(f"{server.url}#token={server.state.token}")
            ready = "writer.models.every((model) => model.status !== 'loading')"
            browser.wait(f"writer.models.length && {ready}", 120)
            shoot = Shoot(browser, folder)
            for part in (desk, scripts, phone, training):
                part(browser, shoot)
            for problem in browser.problems():
                print(problem)
        server.stop()
        thread.join(10)


if __name__ == "__main__":
    main()
