"""From a file to a text with the real server: by mouse, and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.browser import ALT, CONTROL, Browser
from tests.serving.browsing import (
    DONE,
    READY,
    TEXT,
    choose,
    needs_browser,
    page_of,
    point,
    violations,
    write,
)
from tests.serving.served import MODELS

pytestmark = [pytest.mark.slow, needs_browser]
ALL_TEXTS = "[...writer.tree.nodes.values()].map((n) => writer.tree.text(writer.tree.tip(n)))"
STAGE = "document.querySelector('.pill')?.className ?? ''"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with page_of([MODELS / "mixed"], tmp_path_factory.mktemp("journey")) as address:
        yield address


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """A text file whose name needs care."""
    who, where = ("cat", "dog", "cow", "hen"), ("mat", "log")
    path = tmp_path / "my animals.txt"
    path.write_text("".join(f"The {who[k % 4]} sat on the {where[k % 2]}.\n" for k in range(4000)))
    return path


def figures(browser: Browser) -> Any:
    """Numbers of steps, evaluations and samples of the run that is shown."""
    return browser.run(
        "(async () => { const name = JSON.parse(localStorage.getItem('rhapsode.run'));"
        "const c = await (await fetch(`api/jobs/${name}?since=0`)).json();"
        "return [c.steps.length, c.evaluations.length, c.samples.length]; })()"
    )


def test_by_mouse(browser: Browser, animals: Path) -> None:
    """Drop, look, train, reload, stop, write, branch, compare two models."""
    begun = write(browser, "the cat ")
    browser.click_on("#to-train")
    browser.wait("document.querySelector('.drop')")
    browser.drop(animals, ".drop")
    browser.wait("document.querySelector('#train-go')", 90)
    facts = browser.run("document.querySelector('.facts').textContent")
    assert "Taken fortext" in facts
    assert f"characters{len(animals.read_text()):,}" in facts
    found = violations(browser, "surveyed")
    browser.click_on(".choices button:nth-child(2)")
    assert "--budget 3m" in browser.run("document.querySelector('.command code').textContent")
    browser.click_on("#train-go")
    browser.wait("document.querySelector('.chart .valid, .chart .dot')", 180)
    browser.wait("document.querySelector('.chart .base')")
    browser.wait("document.querySelector('.sample p').textContent.length > 20")
    steps, evaluations, samples = figures(browser)
    assert evaluations > 0
    assert samples > 0
    browser.wait("Number(document.querySelector('.facts dd')?.textContent) > 0")
    # It goes on live, also after the page was closed and opened again.
    line = browser.run("document.querySelector('.chart .line').getAttribute('d')")
    browser.wait(f"document.querySelector('.chart .line').getAttribute('d') !== '{line}'", 60)
    browser.reload()
    browser.wait("document.querySelector('.chart .dot')", 30)
    assert browser.run(STAGE) == "pill training"
    assert browser.run("document.querySelector('.sample p').textContent.length > 20")
    assert figures(browser)[0] > steps
    found |= violations(browser, "in progress")
    browser.click_on(".acts button")
    browser.wait("document.querySelector('.pill.interrupted')", 60)
    found |= violations(browser, "stopped")
    browser.click_on(".acts .primary")
    browser.wait("!document.querySelector('#write').hidden", 120)
    browser.wait("writer.model(0)?.id === 'my-animals' && writer.model(0).status === 'ready'", 60)
    text = write(browser, "The cat ")
    assert "sat on" in text
    # Another path from a click on a rival; then the other model beside this one.
    browser.click(*point(browser, 10))
    browser.wait("document.querySelectorAll('#bars .rival').length > 1 && writer.chosen")
    browser.run("document.querySelector('#status').textContent = ''")
    browser.click_on("#bars li:not(:has(.own)) .rival")
    browser.wait(DONE)
    other = str(browser.run(TEXT))
    assert other[:10] == text[:10]
    browser.click_on("#compare")
    choose(browser, "model", "mixed")
    write(browser)
    one, two = browser.run("writer.columns.map(({ node }) => [node.model, node.seed, node.text])")
    assert (one[0], two[0]) == ("my-animals", "mixed")
    assert one[1] == two[1]
    found |= violations(browser, "compared")
    browser.click_on(".column:nth-child(1) .column-head button")
    assert browser.run(TEXT) == other + one[2]
    everything = {begun, text, other + one[2], other + two[2]}
    assert everything <= set(browser.run(ALL_TEXTS))
    browser.reload()
    browser.wait(READY)
    assert everything <= set(browser.run(ALL_TEXTS))
    assert browser.run(TEXT) == other + one[2]
    # An interrupted run can be continued.
    browser.click_on("#to-train")
    browser.wait("document.querySelector('.pill.interrupted')")
    assert "Continue" in browser.run("document.querySelector('.acts').textContent")
    assert found == {}


def test_by_keyboard(browser: Browser, animals: Path) -> None:
    """The same without a mouse: twenty seconds to the end, write, branch, compare settings."""
    browser.tab_to("#to-train")
    browser.press("Enter")
    browser.wait("document.querySelector('.drop input, .acts')")
    if browser.run("document.querySelector('.acts') !== null"):  # a run of before is shown
        browser.tab_to(".acts .plain")
        browser.press("Enter")
        browser.wait("document.querySelector('.drop input')")
    browser.tab_to(".drop input")
    browser.choose_file(animals, ".drop input")
    browser.wait("document.activeElement.id === 'train-go'", 90)
    browser.run("document.querySelector('#to-train').focus()")
    browser.tab_to("#minutes")
    browser.press("a", CONTROL)
    browser.type("0.34")
    assert "--budget 20s" in browser.run("document.querySelector('.command code').textContent")
    browser.tab_to("#run-name")
    browser.press("a", CONTROL)
    browser.type("by-keys")
    browser.tab_to("#train-go")
    browser.press("Enter")
    # The focus stays where something can be done.
    browser.wait("document.activeElement.closest('.acts')", 60)
    browser.wait("document.querySelector('.pill.done')", 240)
    browser.wait("document.activeElement.matches('.acts .primary')")
    browser.press("Enter")
    browser.wait("document.activeElement.id === 'typed'", 120)
    browser.wait("writer.model(0)?.id === 'by-keys' && writer.model(0).status === 'ready'", 60)
    browser.type("The dog ")
    browser.press("Enter", CONTROL)
    browser.wait(DONE, 60)
    text = str(browser.run(TEXT))
    assert "sat on" in text
    browser.run("document.querySelector('#to-write').focus()")
    browser.tab_to("#text")
    for _ in range(6):
        browser.press("ArrowLeft")
    browser.wait("writer.chosen?.index >= 0")
    start = browser.run("writer.chosen.start")
    browser.press("Enter")
    browser.wait("document.activeElement.matches('.rival')")
    while browser.run("document.activeElement.matches('.own')"):
        browser.press("Tab")
    browser.run("document.querySelector('#status').textContent = ''")
    browser.press("Enter")
    browser.wait(DONE, 60)
    other = str(browser.run(TEXT))
    assert other[:start] == text[:start]
    browser.press("ArrowLeft", ALT)
    browser.press("ArrowLeft", ALT)
    assert text.startswith(browser.run(TEXT))
    browser.tab_to("#compare")
    browser.press(" ")
    browser.tab_to("#slider-temperature")
    browser.press("Home")
    browser.tab_to("#length")
    browser.press("a", CONTROL)
    browser.type("60")
    browser.run("document.querySelector('#status').textContent = ''")
    browser.press("Enter", CONTROL)
    browser.wait(DONE, 60)
    temperatures = browser.run("writer.columns.map(({ node }) => node.settings.temperature)")
    assert temperatures == [0.8, 0]
    assert {text, other} <= set(browser.run(ALL_TEXTS))


def test_files_that_cannot_be_trained_on(browser: Browser, tmp_path: Path) -> None:
    """The page says what is wrong, and goes on."""
    (tmp_path / "empty.txt").touch()
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 4000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "some.txt").write_text("text")
    to_the_form(browser)
    failure = "document.querySelector('.failure')?.textContent ?? ''"
    for name, words in (
        ("empty.txt", "empty.txt is empty"),
        ("folder", "This is a folder"),
        ("noise.bin", "not a text file"),
    ):
        browser.drop(tmp_path / name, ".drop")
        browser.wait(f"({failure}).includes({words!r})", 320)
        browser.wait("document.querySelector('.drop')")
    # A file that misses the place does not replace the page.
    browser.drop(tmp_path / "noise.bin", "#train h2")
    assert browser.run("document.querySelector('.drop') !== null")


def to_the_form(browser: Browser) -> None:
    """Open the part of training where a source is chosen."""
    browser.run("location.hash = '#train'")
    browser.wait("document.querySelector('.drop, .acts')")
    if browser.run("document.querySelector('.acts') !== null"):  # a run of before is shown
        browser.click_on(".acts .plain")
        browser.wait("document.querySelector('.drop')")


def test_a_hostile_file_is_data(browser: Browser, tmp_path: Path) -> None:
    """Markup, bidirectional controls and a line of a megabyte, in a file with a hostile name."""
    line = (
        "</script><img src=x onerror=\"document.title='taken'\"><b>bold</b> \u202egnirts\u202c "
        "\u200b\u2066שלום\u2069 \U0001f468\u200d\U0001f469\u200d\U0001f467 &amp; "
    )
    path = tmp_path / "<img src=x onerror=alert(1)>.txt"
    path.write_text(line * 400 + "\n" + (line * (1_000_000 // len(line))) + "\n")
    to_the_form(browser)
    browser.drop(path, ".drop")
    browser.wait("document.querySelector('#train-go')", 320)
    choose(browser, "minutes", "0.15")
    choose(browser, "run-name", "hostile")
    browser.click_on("#train-go")
    browser.wait("document.querySelector('.pill.done')", 400)
    assert browser.run("document.querySelectorAll('main :is(img, script, b[onerror])').length") == 0
    assert "taken" not in browser.run("document.title")
    browser.click_on(".acts .primary")
    browser.wait("writer.model(0)?.id === 'hostile' && writer.model(0).status === 'ready'", 120)
    assert write(browser, "<img src=x onerror=").startswith("<img src=x onerror=")
    assert browser.run("document.querySelectorAll('main :is(img, script)').length") == 0
