"""Models of series, strokes, pairs and music in the page: their values over HTTP, their views."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rhapsode as rh
from tests.modalities.music.chorales import roll_file
from tests.modalities.strokes.sketches import write_zigzags
from tests.serving.browser import Browser
from tests.serving.browsing import DONE, needs_browser, page_of, violations
from tests.serving.served import MODELS, Client, served

WAVE = MODELS.parent / "texts" / "wave.csv"


@pytest.fixture(scope="module")
def strokes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ink")
    rh.train(
        write_zigzags(folder, 30)[0],
        output=str(folder / "zigzags"),
        steps=3,
        network={"hidden_size": 8},
        head={"components": 2},
        training={"batch_size": 4, "window": 16},
        samples={"length": 0},
    )
    return folder / "zigzags"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    some = ("ABLE\tEY B AH L", "BACK\tB AE K", "TABLE\tT EY B AH L", "CAB\tK AE B")
    (folder / "words.tsv").write_text("".join(f"{each}\n" for each in some))
    rh.train(
        str(folder / "words.tsv"),
        output=str(folder / "words"),
        steps=3,
        source={"pairs": "0:1"},
        network={"hidden_size": 8},
        data={"test_share": 0.0, "validation_share": 0.0},
        samples={"length": 0},
    )
    return folder / "words"


@pytest.fixture(scope="module")
def client(strokes: Path, words: Path) -> Iterator[Client]:
    models = [MODELS / "s-lstm", words, strokes]
    with served(models) as one:
        yield one


def test_every_model_is_listed_with_its_view(client: Client) -> None:
    listing = client.get("/api/models").json()["data"]
    kinds = {each["id"]: (each["kind"], each["status"]) for each in listing}
    assert kinds == {
        "s-lstm": ("series", "ready"),
        "words": ("pairs", "ready"),
        "zigzags": ("strokes", "ready"),
    }
    assert client.get("/v1/models").status_code == 200


def test_forecast_with_its_history(client: Client) -> None:
    fields = {"model": "s-lstm", "history": WAVE.read_text(), "horizon": 4, "samples": 50}
    found = client.post("/api/forecast", json=fields).json()
    expected = rh.forecast(MODELS / "s-lstm", str(WAVE), horizon=4, samples=50, seed=0)
    one = found["series"][0]
    same = expected.to_mapping()["forecasts"][0]
    assert one["times"] == same["times"]
    assert one["values"] == same["values"]
    past = expected.history(0)[1][:, 0].tolist()
    (name,) = one["values"]
    assert one["history"]["values"][name] == past[-400:]
    assert len(one["history"]["times"]) == len(past[-400:])
    for field, wrong in (
        ("horizon", 0),
        ("samples", True),
        ("temperature", -1),
        ("history", 3),
        ("model", "words"),
    ):
        error = client.refused("/api/forecast", **{**fields, field: wrong})
        assert error["param"] == field
    assert (
        client.refused("/api/forecast", **{**fields, "history": "time,value\nnow,x\n"})["status"]
        == 400
    )


def test_drawings_go_on_from_a_beginning(client: Client) -> None:
    fields = {"model": "zigzags", "count": 2, "seed": 4, "begun": [[[0, 9, 20], [0, 5, 0]]]}
    found = client.post("/api/drawings", json=fields).json()
    assert found["seed"] == 4
    assert len(found["drawings"]) == 2
    for drawing in found["drawings"]:
        assert drawing["given"] == 1
        assert all(len(point) == 2 for stroke in drawing["strokes"] for point in stroke)
    assert client.post("/api/drawings", json=fields).json() == found
    free = client.post("/api/drawings", json={"model": "zigzags", "count": 1}).json()
    assert free["drawings"][0]["given"] == 0
    wrongs: tuple[Any, ...] = ("x", [[[1], [1, 2]]], [[[], []]], [[["a"], ["b"]]], [[[1e300], [0]]])
    for wrong in wrongs:
        error = client.refused("/api/drawings", model="zigzags", begun=wrong)
        assert error["param"] == "begun"
    assert client.refused("/api/drawings", model="zigzags", text="abc")["param"] == "text"


def test_answers_to_inputs(client: Client, words: Path) -> None:
    fields = {"model": "words", "inputs": ["ABLE", "CAB"], "n_best": 3}
    found = client.post("/api/answers", json=fields).json()["answers"]
    expected = list(rh.answer(words, ["ABLE", "CAB"], n_best=3))
    for one, answers in zip(found, expected, strict=True):
        assert len(one["answers"]) == 3
        assert one["answers"][0]["log_prob"] >= answers[0].log_prob - 1e-5  # more beams
    for wrong in ("ABLE", [1], ["x" * 6000], ["a"] * 300):
        assert client.refused("/api/answers", model="words", inputs=wrong)["param"] == "inputs"


@pytest.fixture(scope="module")
def url(strokes: Path, words: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kinds")
    rh.train(
        str(roll_file(folder)),
        output=str(folder / "rolls"),
        steps=3,
        network={"hidden_size": 8, "embedding_size": 8},
        training={"batch_size": 4, "window": 16},
        samples={"length": 0},
    )
    models = [folder / "rolls", MODELS / "s-lstm", words, strokes]
    with page_of(models, folder) as address:
        yield address


def take(browser: Browser, name: str) -> None:
    """Choose a model, wherever the list of models stands."""
    browser.run(
        "(() => { const s = document.querySelector('#kind:not([hidden]) #kind-model')"
        f" ?? document.querySelector('#model'); s.value = '{name}';"
        "s.dispatchEvent(new Event('change')); })()"
    )


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_views_of_all_kinds(browser: Browser, theme: str) -> None:
    browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    take(browser, "s-lstm")
    # Its training data are not here: the page says so, and takes a table.
    browser.wait("document.querySelector('#kind .failure:not([hidden])')", 60)
    browser.choose_file(WAVE, "#series-file")
    browser.wait("document.querySelector('.fan .inner-band')", 60)
    found = violations(browser, "forecast")
    browser.run("document.querySelector('.fan').focus()")
    browser.press("End")
    assert "nine of ten" in browser.run("document.querySelector('.cursor-words').textContent")
    browser.press("Home")
    assert "nine of ten" not in browser.run("document.querySelector('.cursor-words').textContent")
    take(browser, "zigzags")
    browser.wait("document.querySelectorAll('.drawing').length === 6", 60)
    x, y = browser.middle(".pad")
    for kind, step in (("mousePressed", 0), ("mouseMoved", 40), ("mouseReleased", 40)):
        browser.send(
            "Input.dispatchMouseEvent", type=kind, x=x + step, y=y, button="left", clickCount=1
        )
    browser.wait("document.querySelector('.drawing .given')", 60)
    found |= violations(browser, "drawings")
    take(browser, "words")
    browser.wait("document.querySelector('#pairs-inputs')")
    browser.run("document.querySelector('#pairs-inputs').focus()")
    browser.type("ABLE\nCAB")
    browser.wait("document.querySelectorAll('.answers > li').length === 2", 60)
    found |= violations(browser, "answers")
    browser.reload()
    browser.wait("document.querySelectorAll('.answers > li').length === 2", 60)
    take(browser, "rolls")
    browser.wait("!document.querySelector('#write').hidden")
    browser.click_on("#go")
    browser.wait(DONE, 60)
    browser.wait("document.querySelectorAll('.roll .note').length > 0", 60)
    found |= violations(browser, "music")
    browser.click_on(".play")
    browser.wait("document.querySelector('.play').textContent === 'Pause'")
    browser.wait("Number(document.querySelector('.roll .head').getAttribute('x1')) > 0")
    browser.click_on(".play")
    assert found == {}
