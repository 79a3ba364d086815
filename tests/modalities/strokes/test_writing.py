"""Texts that are written: letters of known shapes, styles, ends, compiled draws, errors."""

import json
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from rhapsode import load
from rhapsode.cli.main import main
from rhapsode.encoding.strokes import strokes_of
from rhapsode.errors import BundleError, RhapsodeError
from rhapsode.modalities.strokes import writing
from rhapsode.modalities.strokes.corpus import prepare_corpus
from rhapsode.modalities.strokes.facts import StrokeFacts
from rhapsode.modalities.strokes.pen import Pen
from rhapsode.modalities.strokes.settings import (
    StrokeGenerateSettings,
    StrokeTrainSettings,
    WriteSettings,
    WrittenTextSettings,
)
from rhapsode.modalities.strokes.writing import Style, laid_out, letters_read, read_style, wrapped

# Points of the only stroke of each letter; y grows upwards.
LETTERS = {
    "a": [(0, 0), (10, 20), (20, 0)],
    "b": [(0, 5), (20, 5)],
    "c": [(0, 20), (2, 0), (20, 0)],
}
PITCH = 30


def line_of(text: str, random: np.random.Generator, height: float = 1.0) -> list[list[list[int]]]:
    """Strokes [[x, ...], [y, ...]] of a text."""
    strokes = []
    for place, letter in enumerate(text):
        if letter != " ":
            points_N2 = np.array(LETTERS[letter]) * (1, height) + (place * PITCH, 0)
            points_N2 = points_N2 + random.integers(-1, 2, points_N2.shape)
            strokes.append(np.round(points_N2).astype(int).T.tolist())
    return strokes


def write_lines(path: Path, count: int = 160, *, text: bool = True) -> Path:
    random = np.random.default_rng(0)
    records = []
    for _ in range(count):
        letters = "".join(random.choice(list("abc "), size=int(random.integers(3, 8))))
        letters = " ".join(letters.split()) or "a"
        height = float(random.choice([0.6, 1.4]))
        record: dict[str, Any] = {"drawing": line_of(letters, random, height), "y": "up"}
        records.append({**record, "text": letters} if text else record)
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return path


def read_back(strokes: Any) -> str:
    """Letters of strokes, by number of points and first direction."""
    found = []
    for points_N2 in strokes:
        steps = np.diff(points_N2, axis=0)
        rise = float(steps[0, 1]) if len(steps) else 0.0
        found.append("b" if len(steps) == 1 else "a" if rise > 0 else "c")
    return "".join(found)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("ink") / "lines.ndjson")


def trained(source: Path, name: str, steps: int) -> Any:
    run = rh.train(
        str(source),
        output=str(source.parent / name),
        steps=steps,
        network={"hidden_size": 24, "dropout": 0.0},
        head={"components": 6},
        strokes={"prepare": "keep"},
        training={"batch_size": 16, "learning_rate": 0.01, "evaluations": 1},
        samples={"length": 0},
    )
    return load(str(run.folder))


@pytest.fixture(scope="module")
def model(source: Path) -> Any:
    """A model that has hardly learnt."""
    return trained(source, "run", 20)


@pytest.fixture(scope="module")
def learnt(source: Path) -> Any:
    return trained(source, "learnt", 400)


@pytest.mark.slow
def test_the_letters_of_a_text_are_written_in_order(learnt: Any) -> None:
    texts = ["abcab", "cc bb", "bacca", "a b c"]
    likeness = []
    for seed, text in enumerate(texts):
        written = rh.write(learnt, text, bias=1.0, seed=seed)
        wanted, found = text.replace(" ", ""), read_back(written.value.strokes)
        likeness.append(SequenceMatcher(None, wanted, found).ratio())
        assert written.finish_reason in {"stop", "window"}
        assert written.written == text
    assert np.mean(likeness) > 0.8


@pytest.mark.slow
def test_the_text_makes_its_own_strokes_likely(learnt: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    losses = []
    for text in ("abcabc", "cabbac"):
        path = tmp_path / f"{text}.ndjson"
        record = {"drawing": line_of("abcabc", random), "y": "up", "text": text}
        path.write_text(json.dumps(record) + "\n")
        losses.append(learnt.evaluate(str(path)).loss)
    assert losses[0] < losses[1] - 0.3


def test_a_style_is_cut_between_words(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "abcabcabcabca bcabc"
    moves, read = [], []
    for place, letter in enumerate(text):
        if letter == " ":
            continue
        jump = 40.0 if place and text[place - 1] == " " else 10.0
        # The second stroke of a letter goes back, when the window has moved on already.
        moves += [(jump, 0, 0), (5, 9, 1), (-4, -9, 0), (6, 2, 1)]
        read += [place, place, place + 1, place + 1]
    style = Style(text, np.array([*moves[1:], (1.0, 0, 2)]))
    monkeypatch.setattr(writing, "letters_read", lambda *_: np.array([*read[1:], len(text)]))
    cut = writing.shortened(model, style)
    assert cut.text == "abcabcabcabca"
    assert len(cut.moves_T3) == 4 * len(cut.text) - 1


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_no_line_ends_before_its_last_character(model: Any, engine: str) -> None:
    text = "ab ca bc"
    lines = list(model.continuations(text, count=6, seed=2, engine=engine, temperature=2.0))
    for line in lines:
        moves_T3 = np.array(line.chosen)
        reached = letters_read(model, Style(text, moves_T3))[-1]
        assert line.finish_reason != "stop" or reached >= len(text) - 1
    assert any(line.finish_reason == "stop" for line in lines)


def test_compiled_code_draws_what_torch_draws(model: Any) -> None:
    drawn = [
        [c.chosen for c in model.continuations("ab ca", count=4, seed=3, engine=engine)]
        for engine in ("compiled", "torch")
    ]
    # Where a move falls between two steps of the grid, either may be taken.
    same = [
        a == b for one, other in zip(*drawn, strict=True) for a, b in zip(one, other, strict=False)
    ]
    assert np.mean(same) > 0.9
    short = list(model.continuations("ab ca", count=4, seed=3, length=2))
    assert [len(one.chosen) for one in short] == [min(2, len(each)) for each in drawn[0]]
    alone = next(iter(model.continuations("ab ca", count=1, seed=3)))
    assert alone.chosen == drawn[0][0]


@pytest.mark.slow
def test_a_style_stands_before_the_line(learnt: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    written = []
    for height in (0.6, 1.4):
        path = tmp_path / "style.json"
        style = {"drawing": line_of("ac bac abbcc abcab", random, height), "y": "up"}
        path.write_text(json.dumps({**style, "text": "ac bac abbcc abcab"}))
        own = read_style(learnt, path, WriteSettings())
        assert own.text == "ac bac abbcc"  # the first words, with their ink
        found = read_back(strokes_of(own.moves_T3))
        assert SequenceMatcher(None, "acbacabbcc", found).ratio() > 0.85
        written.append(rh.write(learnt, "caca", style=str(path), seed=1))
    assert written[0].elements != written[1].elements
    # The line is new ink alone, from its own origin.
    assert all(len(each.value.strokes) < 8 and each.written == "caca" for each in written)


def test_the_command_writes_lines_and_its_own_styles(
    model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(model.folder), tmp_path / "line.json"
    assert main(["write", run, "ab ca\nbbc", "--seed", "4", "-o", str(out)]) == 0
    kept = json.loads(out.read_text())
    assert kept["text"] == "ab ca\nbbc"
    again = tmp_path / "again.json"
    assert main(["write", run, "ab ca\nbbc", "--seed", "4", "-o", str(again)]) == 0
    assert again.read_text() == out.read_text()
    svg = tmp_path / "next.svg"
    assert main(["write", run, "cab", "--style", str(out), "--bias", "2", "-o", str(svg)]) == 0
    assert "<title>cab</title>" in svg.read_text()
    capsys.readouterr()
    assert main(["write", run, "abxyx"]) == 1
    assert "never seen 'x', 'y' written" in capsys.readouterr().err
    assert main(["write", run, "axb", "--unknown", "skip", "-o", str(svg)]) == 0
    assert "<title>ab</title>" in svg.read_text()
    narrow = ["--line", "3", "--temperature", "0.5", "-o", str(out)]
    assert main(["write", run, "abc bca", *narrow]) == 0
    assert json.loads(out.read_text())["text"] == "abc\nbca"


def test_without_texts_a_model_draws(tmp_path: Path, source: Path) -> None:
    bare = write_lines(tmp_path / "bare.ndjson", 12, text=False)
    small = {"network": {"hidden_size": 8}, "steps": 2, "samples": {"length": 0}}
    run = rh.train(str(bare), output=str(tmp_path / "run"), **small)
    with pytest.raises(RhapsodeError, match="draws, it does not write"):
        rh.write(str(run.folder), "abc")
    with pytest.raises(RhapsodeError, match="12 of 12 drawings have no text"):
        rh.train(str(bare), output=str(tmp_path / "other"), text={"use": "always"}, **small)
    never = rh.train(str(source), output=str(tmp_path / "never"), text={"use": "never"}, **small)
    assert load(str(never.folder)).bundle.facts.source is None


def corpus_of(path: Path, records: list[dict[str, Any]], use: Any = "auto") -> Any:
    ink = {"drawing": line_of("abc", np.random.default_rng(0))}
    path.write_text("".join(json.dumps({**ink, **record}) + "\n" for record in records * 12))
    settings = StrokeTrainSettings(text=WrittenTextSettings(use=use))
    return prepare_corpus([str(path)], settings)


def test_names_of_drawings_are_texts_only_where_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "ink.ndjson"
    assert corpus_of(path, [{"word": "cat"}]).texts is None
    assert corpus_of(path, [{"text": " "}, {"text": "abc"}]).texts is None
    assert set(corpus_of(path, [{"word": "cat"}], "always").texts["train"]) == {"cat"}
    assert set(corpus_of(path, [{"text": "a  b", "word": "cat"}]).texts["train"]) == {"a b"}
    with pytest.raises(RhapsodeError, match="half of a surrogate pair"):
        corpus_of(path, [{"text": "\ud800"}])


def test_a_window_holds_every_drawing(tmp_path: Path, source: Path) -> None:
    small = {"network": {"hidden_size": 8}, "steps": 2, "training": {"window": 4}}
    with pytest.raises(RhapsodeError, match="the longest drawing has"):
        rh.train(str(source), output=str(tmp_path / "run"), **small)


def test_arrays_that_do_not_fit_are_refused(model: Any) -> None:
    member = model.bundle.members[0]

    def pen_of(arrays: Any) -> Pen:
        return Pen(replace(model.bundle, members=(replace(member, arrays=arrays),)))

    pen_of(member.arrays)
    for name, array in member.arrays.items():
        for changed in (array[:-1], array[..., :-1], array[None]):
            with pytest.raises(BundleError, match=r"asks for|not three"):
                pen_of({**member.arrays, name: changed})
        with pytest.raises(BundleError, match="None, its configuration asks for"):
            pen_of({other: each for other, each in member.arrays.items() if other != name})
    with pytest.raises(BundleError, match="no array 'other'"):
        pen_of({**member.arrays, "other": np.zeros(3)})


def test_texts_of_a_file_need_length_and_pace(model: Any) -> None:
    table, arrays = model.bundle.facts.to_file()
    for bad in ({"letters": 0}, {"pace": 0.0}):
        with pytest.raises(BundleError, match="no length or no pace"):
            StrokeFacts.from_file({**table, **bad}, arrays, model.bundle.encoder)


def test_typed_text_is_written_and_files_are_refused(model: Any) -> None:
    settings = StrokeGenerateSettings()
    assert model.prompt_of_text("ab  ca", settings).written == "ab ca"
    with pytest.raises(RhapsodeError, match="does not continue drawings"):
        model.prompt_of_file(b"{}", ".json", settings)


def test_white_space_of_a_text_is_reduced(model: Any) -> None:
    assert rh.write(model, "ab\t c ", seed=1).written == "ab c"


def test_a_drawing_without_text_is_not_scored(model: Any, tmp_path: Path) -> None:
    bare = write_lines(tmp_path / "bare.ndjson", 3, text=False)
    with pytest.raises(RhapsodeError, match="a drawing has none"):
        model.evaluate(str(bare))


def test_a_window_far_behind_the_text_stands_on_its_end(model: Any) -> None:
    prompt, pen = model.prompt("abc", StrokeGenerateSettings()), model.pen
    rows = pen.start(1)
    rows.kappa_BK[:] = 1000
    draws = np.zeros((1, 1, 2)), np.full((1, 1), 0.5)
    _, place_BT = pen.move(rows, pen.memory(prompt.condition), draws, letters=3)
    assert place_BT.tolist() == [[3]]


def test_a_style_needs_its_text(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "style.json"
    path.write_text(json.dumps({"drawing": line_of("abc", np.random.default_rng(0))}))
    with pytest.raises(RhapsodeError, match="the style has no text"):
        rh.write(model, "abc", style=str(path))


def test_lines_are_broken_evenly_and_set_on_base_lines() -> None:
    assert wrapped("one two three four\n\nfive", 10) == ["one two", "three four", "five"]
    lines = [
        [np.array([[5.0, 0.0], [9.0, 10.0]])],
        [np.array([[0.0, -3.0], [9.0, 7.0]])],
    ]
    placed = laid_out(lines, up=True)
    assert [float(part[:, 0].min()) for part in placed] == [0.0, 0.0]
    assert placed[0][:, 1].min() - placed[1][:, 1].min() == pytest.approx(11.0)
