"""A text written in turn: its state is carried, its branches do not touch each other, and a saved one goes on bit for bit."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import Component, IdBundle, NetworkConfig, Predictor
from rhapsode.config import GenerateSettings, SourceSettings
from rhapsode.data import Batch
from rhapsode.encoding.text import ByteEncoder
from rhapsode.errors import DataError, EncodingError, RhapsodeError, SettingsError
from rhapsode.modalities.session import PlaySession
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import run_folder  # noqa: F401 - a fixture
from tests.data.reading import read_sources
from tests.generation.even import Ruled

SETTINGS = GenerateSettings(length=40, seed=9)


class Counting(Predictor):
    """A predictor that notes what it is given to read."""

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner
        self.seen: list[list[int]] = []

    @property
    def vocab_size(self) -> int:
        return self.inner.vocab_size

    def start(self, rows: int, condition: Any = None) -> Any:
        return self.inner.start(rows, condition)

    def advance(
        self, elements: Any, state: Any, known_BUX: Any = None, *, features: bool = False
    ) -> Any:
        self.seen.append(elements[0].tolist())
        return self.inner.advance(elements, state, known_BUX, features=features)

    def score(self, batch: Batch, state: Any = None) -> Any:
        return self.inner.score(batch, state)

    def select(self, state: Any, rows_R: np.ndarray) -> Any:
        return self.inner.select(state, rows_R)

    def join(self, states: Sequence[Any]) -> Any:
        return self.inner.join(states)


@pytest.fixture
def model(run_folder: Path) -> TextModel:  # noqa: F811
    return TextModel(run_folder)


def behind(model: TextModel, ids: Sequence[int]) -> np.ndarray:
    """Logits (V,) behind a text."""
    read_1T = np.array([[0, *ids]])
    return model.predictor.advance(read_1T, model.predictor.start(1))[0].logits_BV[0]


def said(pieces: Iterator[str]) -> str:
    return "".join(pieces)


def test_the_first_turn_is_what_generate_writes(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    assert said(session.write()) == model.continuations("The ", SETTINGS)[0].text
    assert session.text == "The " + session.turns[1].text


def test_no_element_is_read_twice(model: TextModel) -> None:
    counting = Counting(model.predictor)
    model.__dict__["predictor"] = counting
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    said(session.write())
    said(session.write())
    session.add("more")
    said(session.write())
    everything = [element for elements in counting.seen for element in elements]
    assert everything == [0, *session.elements[:-1]]
    counting.seen.clear()
    session.fork()
    said(session.write())
    assert [len(elements) for elements in counting.seen] == [1] * 40
    counting.seen.clear()
    session.undo()
    session.again()
    session.switch(1)
    assert counting.seen == []


def test_undo(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    first = said(session.write())
    second = said(session.write())
    session.add("of a ")
    third = said(session.write())
    assert session.undo() == 1
    assert session.text == "The " + first + second
    session.add("of a ")
    assert said(session.write()) == third
    assert session.undo(2) == 2
    assert session.text == "The " + first
    assert said(session.write()) == second
    assert session.undo(99) == 2
    assert session.text == ""
    assert session.undo() == 0


def test_again_keeps_the_earlier_one(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    with pytest.raises(SettingsError, match="nothing to write again"):
        said(session.again())
    session.add("The ")
    texts = [said(session.write()), said(session.again())]
    session.switch(1)
    texts.append(said(session.again()))
    assert len(set(texts)) == 3
    assert session.current == 3
    assert [view.text for view in session.branches()] == ["The " + text for text in texts]
    assert [view.name for view in session.branches() if view.current] == [3]


def test_branches_do_not_touch_each_other(model: TextModel) -> None:
    alone = PlaySession(model, SETTINGS)
    alone.add("The ")
    said(alone.write())
    alone.add("x")
    wanted = said(alone.write())
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    said(session.write())
    session.fork()
    session.add("and ")
    said(session.write())
    session.switch(1)
    session.add("x")
    assert said(session.write()) == wanted
    assert "and " not in session.text
    session.switch(2)
    assert "and " in session.text
    with pytest.raises(SettingsError, match="no branch 7; there are: 1, 2"):
        session.switch(7)


def test_a_saved_session_goes_on_bit_for_bit(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    said(session.write())
    session.set("temperature", "0.7")
    session.add("in")
    said(session.write())
    said(session.again())
    session.save(tmp_path / "session.json")
    said(session.write())
    session.switch(1)
    said(session.write())
    other = PlaySession(TextModel(model.path), GenerateSettings(seed=1))
    other.load(tmp_path / "session.json")
    assert other.settings.temperature == 0.7
    assert other.current == 2
    said(other.write())
    other.switch(1)
    said(other.write())
    assert other.branches()[0].text == session.branches()[0].text
    assert other.branches()[1].text == session.branches()[1].text
    np.testing.assert_array_equal(other.why().choice.logits_V, session.why().choice.logits_V)


def test_what_is_interrupted_stays(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    pieces = session.write()
    begun = "".join(next(pieces) for _ in range(7))
    pieces.close()  # type: ignore[attr-defined]
    assert session.turns[-1].end == "interrupted"
    assert session.text == "The " + begun
    assert len(session.elements) == 4 + 7
    more = said(session.write())
    assert session.text == "The " + begun + more
    fresh = behind(model, session.elements[:-1])
    np.testing.assert_allclose(session.why().choice.logits_V, fresh, atol=1e-4)


def test_why(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    with pytest.raises(SettingsError, match="no element yet"):
        session.why()
    session.add("The ")
    session.set("top_k", "5")
    said(session.write())
    session.set("top_k", "1")
    for number in (1, 3, 5, 20, 44):
        why = session.why(number)
        logits_V = behind(model, session.elements[: number - 1])
        shifted_V = logits_V.astype(np.float64) - logits_V.max()
        log_V = shifted_V - np.log(np.exp(shifted_V).sum())
        assert why.element == session.elements[number - 1]
        assert why.choice.trace.raw_log_prob == pytest.approx(log_V[why.element], abs=1e-4)
        assert why.kind == ("given" if number <= 4 else "written")
        if number > 4:  # under the settings it was written with
            assert why.choice.trace.candidates == 5
            assert why.choice.trace.rank <= 6
    assert session.why(-1).number == session.why().number == 44
    for wrong in (0, 45, -45):
        with pytest.raises(SettingsError, match="no element"):
            session.why(wrong)


def test_a_stop_text_is_cut_off_the_elements_too(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    whole = said(session.write())
    session.undo()
    stop = whole[11:14]
    cut = whole[: whole.index(stop)]
    session.set("stop", stop)
    session.add("The ")
    assert said(session.write()) == cut
    encoder = model.bundle.encoder
    assert session.elements == encoder.encode("The " + cut).tolist()
    assert session.turns[-1].end == "stop"
    session.save(tmp_path / "s.json")
    wanted = said(session.write())
    other = PlaySession(model)
    other.load(tmp_path / "s.json")
    assert said(other.write()) == wanted
    first = len("The " + cut) + 1
    fresh = behind(model, session.elements[: first - 1])
    np.testing.assert_allclose(session.why(first).choice.logits_V, fresh, atol=1e-4)
    np.testing.assert_array_equal(
        other.why(first).choice.logits_V, session.why(first).choice.logits_V
    )


def test_an_ended_text_is_followed_by_another(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, GenerateSettings(length=30, seed=1, bias=("#0=99",)))
    session.add("The ")
    assert said(session.write()) == ""
    assert session.ends_document(session.turns[-1])
    session.set("bias", "#0=-99")
    more = said(session.write())
    assert session.documents == ["The ", more]
    assert session.text == "The \n\n" + more
    fresh = behind(model, session.elements[:-1])
    np.testing.assert_allclose(session.why().choice.logits_V, fresh, atol=1e-4)
    session.keep(tmp_path / "kept.jsonl")
    session.keep(tmp_path / "kept.jsonl")
    read = read_sources([str(tmp_path / "kept.jsonl")], SourceSettings(field="text")).documents
    assert [document.text for document in read] == ["The ", more] * 2
    session.keep(tmp_path / "kept.txt")
    session.keep(tmp_path / "kept.txt")
    once = f"The \n\n{more}\n"
    assert (tmp_path / "kept.txt").read_text() == f"{once}\n{once}"
    with pytest.raises(SettingsError, match="nothing to keep"):
        PlaySession(model).keep(tmp_path / "kept.jsonl")


def test_settings(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    session.set("top-k", "3")
    assert session.settings.top_k == 3
    session.set("top_k", "none")
    assert session.settings.top_k == 0
    session.set("regex", "1")
    assert session.settings.regex == "1"
    before = session.settings
    for name, value, message in (
        ("temperature", "warm", "temperature"),
        ("temperature", "-1", "temperature"),
        ("tempratur", "1", "did you mean"),
        ("count", "2", "cannot be set in a session"),
        ("beams", "2", "beams cannot be set"),
        ("ban", "☃", "☃"),
        ("order", "sideways", "order"),
    ):
        with pytest.raises(RhapsodeError, match=message):
            session.set(name, value)
    assert session.settings == before
    with pytest.raises(SettingsError, match="cannot be set in a session"):
        PlaySession(model, GenerateSettings(count=2))
    with pytest.raises(EncodingError, match="2603"):
        session.add("☃")
    session.set("unknown", "skip")
    assert session.add("☃a").text == "a"


def test_a_session_of_the_first_version(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    said(session.write())
    session.save(tmp_path / "session.json")
    kept = json.loads((tmp_path / "session.json").read_text())
    kept["version"] = 1
    del kept["prompt"]
    for turn in kept["branches"][0]["turns"]:
        turn["ids"] = turn.pop("elements")
    (tmp_path / "session.json").write_text(json.dumps(kept))
    other = PlaySession(model)
    other.load(tmp_path / "session.json")
    assert other.elements == session.elements
    assert said(other.write()) == said(session.write())


def test_what_was_written_is_edited(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    with pytest.raises(SettingsError, match="nothing to edit"):
        session.edit("x")
    session.add("The ")
    first = said(session.write())
    session.edit("man ")
    assert session.text == "The man "
    assert [view.text for view in session.branches()] == ["The " + first, "The man "]
    said(session.write())
    with pytest.raises(EncodingError):
        session.edit("☃")
    assert session.current == 2


def test_a_file_that_is_no_session(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    said(session.write())
    path = tmp_path / "session.json"
    session.save(path)
    good = json.loads(path.read_text())
    text = session.text

    def refused(message: str, **changes: Any) -> None:
        path.write_text(json.dumps({**good, **changes}))
        with pytest.raises(DataError, match=message):
            session.load(path)
        assert session.text == text

    refused("not a saved session", format="x")
    refused("version 9", version=9)
    refused("no branch 5", current=5)
    refused("another model", model={"path": "/there", "sha256": "0"})
    refused("unknown setting", settings={"tempo": 1})
    refused("branches", branches=3)
    turn = {"kind": "given", "elements": [10**6], "text": "x"}
    refused("element that the model does not have", branches=[{"name": 1, "turns": [turn]}])
    turn = {"kind": "written", "elements": [5], "text": "x", "settings": {"seed": "x"}}
    refused("seed", branches=[{"name": 1, "turns": [turn]}])
    for raw in (b"", b"[1]", b"\xff", b"[" * 100000):
        path.write_bytes(raw)
        with pytest.raises(DataError, match="not a saved session"):
            session.load(path)
    with pytest.raises(DataError, match="No such file"):
        session.load(tmp_path / "nowhere.json")


class Spelling(Ruled):
    """A predictor that spells the bytes of a text for ever."""

    def __init__(self, text: str) -> None:
        super().__init__(258)
        self.raw = text.encode()

    def start(self, rows: int, condition: Any = None) -> "At":
        assert rows == 1
        return At(0)

    def logits(self, elements_BT: np.ndarray, state: "At") -> tuple[np.ndarray, "At"]:
        at = state.at + elements_BT.shape[1]
        logits_BV = np.full((1, 258), -99.0, dtype=np.float32)
        logits_BV[0, 2 + self.raw[(at - 1) % len(self.raw)]] = 0.0
        return logits_BV, At(at)


class At:
    def __init__(self, at: int) -> None:
        self.at = at

    def fork(self) -> "At":
        return At(self.at)


def byte_model(text: str) -> TextModel:
    """A model that spells a text for ever."""
    nothing = Component("none")
    facts = TextFacts(np.ones(ByteEncoder().vocab_size, dtype=np.int64))
    bundle = IdBundle(NetworkConfig(nothing, nothing, nothing), ByteEncoder(), facts)
    model = TextModel(__file__, bundle)  # of which nothing is read
    model.__dict__["predictor"] = Spelling(text)
    return model


def test_half_a_character_waits_for_the_next_turn() -> None:
    model = byte_model("añ中")
    session = PlaySession(model, GenerateSettings(length=2, seed=1))
    assert [said(session.write()) for _ in range(3)] == ["a", "ñ", "中"]
    assert session.text == "añ中"


def test_what_was_held_back_for_a_stop_text_is_kept_when_interrupted(model: TextModel) -> None:
    plain = model.continuations("The ", SETTINGS)[0].text
    # A stop text that begins like what is written, and goes on otherwise.
    session = PlaySession(model, replace(SETTINGS, stop=(f"{plain[:9]}\0",)))
    session.add("The ")
    pieces = session.write()
    for _ in range(5):
        next(pieces)
    pieces.close()
    assert session.turns[-1].end == "interrupted"
    assert session.text == "The " + plain[:5]
    assert session.model.bundle.encoder.decode(session.elements) == session.text


def test_a_turn_that_a_stop_text_leaves_empty_is_not_repeated_for_ever(model: TextModel) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    first = said(session.write())
    session.undo()
    session.set("stop", first[0])
    session.add("The ")
    texts = [said(session.write()) for _ in range(8)]
    assert texts[0] == ""
    assert any(texts)


def test_a_saved_text_that_cannot_be_written_is_refused(model: TextModel, tmp_path: Path) -> None:
    session = PlaySession(model, SETTINGS)
    session.add("The ")
    session.save(tmp_path / "session.json")
    kept = json.loads((tmp_path / "session.json").read_text())
    kept["branches"][0]["turns"][0]["text"] = "\ud800"
    (tmp_path / "session.json").write_text(json.dumps(kept))
    with pytest.raises(DataError, match="half of a surrogate pair"):
        session.load(tmp_path / "session.json")
