"""Strokes as a modality: its contract, features, ends of drawings, completion, and formats."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rhapsode import load
from rhapsode.cli.main import main
from rhapsode.encoding.strokes import (
    Drawing,
    StrokeEncoder,
    StrokePaths,
    moves_of,
    strokes_of,
)
from rhapsode.errors import BundleError, EncodingError
from rhapsode.modalities.strokes.baselines import baseline_losses
from rhapsode.modalities.strokes.files import read_ink
from rhapsode.modalities.strokes.fitting.batches import encode_drawings
from rhapsode.workflows.runs.run import prepare_training
from tests.contracts.modality_contract import ModalityContract
from tests.modalities.strokes.sketches import write_zigzags, zigzags

SMALL: dict[str, Any] = {
    "network": {"hidden_size": 16},
    "head": {"components": 4},
    "training": {"batch_size": 4, "window": 16},
}


class TestStrokes(ModalityContract):
    name = "strokes.v1"
    asked: ClassVar[dict[str, Any]] = {**SMALL, "samples": {"length": 8}}

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        return write_zigzags(folder)

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        path = folder / "records.ndjson"
        path.write_text('{"text": "no strokes: a record of text"}\n' * 40)
        return (str(path),)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_zigzags(tmp_path_factory.mktemp("ink"), 120)[0]


@pytest.fixture(scope="module")
def model(source: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model") / "run"
    asked = {
        **SMALL,
        "steps": 300,
        "network": {"hidden_size": 32},
        "training": {"batch_size": 16, "learning_rate": 0.01, "evaluations": 2},
        "samples": {"length": 0},
    }
    training = prepare_training((source,), asked, output=str(folder))
    list(training.events())
    training.finish()
    return load(folder)


def random_moves(count: int = 40) -> np.ndarray:
    random = np.random.default_rng(0)
    pens = random.choice([0.0, 1.0], size=(count, 1), p=[0.7, 0.3])
    moves = np.hstack((random.integers(-9, 10, (count, 2)), pens)).astype(float)
    moves[-1, 2] = 2
    return moves


def test_moves_become_strokes_and_come_back() -> None:
    moves = random_moves()
    np.testing.assert_array_equal(moves_of(strokes_of(moves)), moves)
    dot_first = (np.array([[5.0, 5]]), np.array([[7.0, 5], [9, 6]]))
    assert [len(stroke) for stroke in strokes_of(moves_of(dot_first))] == [1, 2]
    assert moves_of(dot_first).tolist() == [[0, 0, 1], [2, 0, 0], [2, 1, 2]]
    assert moves_of([]).shape == (0, 3)
    assert strokes_of(np.zeros((0, 3))) == ()
    assert len(strokes_of([[1, 0, 2], [5, 5, 0]])) == 1


def test_positions_of_long_lines_are_seen_on_both_axes() -> None:
    random = np.random.default_rng(3)
    zigzag = np.concatenate((np.full((400, 1), 9.0), random.normal(0, 3, (400, 1))), axis=1)
    moves = np.hstack((zigzag, (np.arange(400) % 5 == 4)[:, None]))
    encoder = StrokeEncoder.learn([moves], 0.0)
    x, y, in_x, in_y = encoder.encode(moves).features_TD[:, 10:14].T
    for column in (x, y, np.hypot(in_x, in_y)):
        assert 0.5 < np.sqrt((column**2).mean()) < 2
    plain = encoder.to_mapping()
    plain["settings"] = {name: plain["settings"][name] for name in ("scale", "extent", "grid")}
    before = StrokeEncoder.from_mapping(plain).encode(moves).features_TD
    np.testing.assert_allclose(before[:, 11], y * encoder.height / encoder.settings.extent, 1e-5)


def test_paths_go_the_way_of_the_sweep() -> None:
    moves = random_moves()
    encoder = StrokeEncoder.learn([moves], 1.0)
    encoded, paths = encoder.encode(moves), encoder.paths(None, 2)
    for step, move in enumerate(moves):
        np.testing.assert_array_equal(paths.features(), encoded.features_TD[[step, step]])
        targets, jacobian = paths.encode_next(move[None].repeat(2, 0))
        np.testing.assert_array_equal(targets[1], encoded.targets_TK[step])
        assert jacobian.tolist() == [encoded.log_jacobian_T[step]] * 2
        np.testing.assert_allclose(paths.decode_next(targets)[0], move)
        paths.push(move[None].repeat(2, 0))
        after = encoder.paths_after(moves[: step + 1])
        np.testing.assert_array_equal(after.features(), paths.features()[:1])
    joined = StrokePaths.join([paths.select(np.array([1, 1])), encoder.paths()])
    joined.push(moves[[0, 1, 2]])
    assert len(joined) == 3
    other = random_moves(9)
    whole = encoder.encode_all([moves, other[:0], other])
    alone = [encoder.encode(each).features_TD for each in (moves, other)]
    np.testing.assert_array_equal(whole.features_TD, np.concatenate(alone))
    again = StrokeEncoder.from_mapping(encoder.to_mapping())
    assert again.settings == encoder.settings
    with pytest.raises(BundleError):
        StrokeEncoder.from_mapping({"name": "moves.v1", "settings": {"scale": 0.0}})
    for wrong in ([[1, 1, 3]], [[1, np.nan, 0]], [[1, 1, 0.5]]):
        with pytest.raises(EncodingError):
            encoder.encode(wrong)


def test_it_learns_when_to_lift_and_when_to_end(model: Any) -> None:
    summary = json.loads((model.path.parent / "summary.json").read_text())
    assert summary["loss"] < min(
        summary["baselines"][name] for name in ("gaussian", "linear", "ngram")
    )
    assert summary["nats_per_sequence"] == pytest.approx(
        summary["loss"] * summary["elements"] / summary["sequences"]
    )
    drawn = model.continuations("", count=40, seed=1)
    assert sum(one.finish_reason == "stop" for one in drawn) >= 36
    lengths = [len(stroke) for one in drawn for stroke in strokes_of(one.chosen)]
    assert 4 <= np.median(lengths) <= 6
    assert all(one.chosen[-1][2] == 2 for one in drawn if one.finish_reason == "stop")
    # Moves lie on the grid of the data, and a drawing does not depend on its company.
    assert all(number == int(number) for one in drawn for move in one.chosen for number in move)
    assert model.continuations("", count=1, seed=1)[0].chosen == drawn[0].chosen


def test_a_biased_pen_varies_less(model: Any) -> None:
    steps = [
        np.array([m for one in model.continuations("", count=30, seed=2, pen_bias=bias)
                  for m in one.chosen])
        for bias in (0.0, 3.0)
    ]  # fmt: skip
    inside = [each[(each[:, 2] == 0) & (each[:, 0] > 0), 0].std() for each in steps]
    assert inside[1] < 0.6 * inside[0]


def test_scores_of_a_sweep_are_those_of_single_steps(model: Any) -> None:
    moves = moves_of(strokes_of(np.array(zigzags(1, seed=5)[0][1:], dtype=float)))
    prompt = model.prompt("", model.generation())
    steps = prompt.log_probs(model.predictor, list(map(tuple, moves.tolist())))
    whole = encode_drawings(model.bundle.encoder, [moves])
    zero, time = np.array([0]), len(moves)
    swept, _ = model.predictor.score(whole.batch(zero, np.array([time]), zero, time), None)
    np.testing.assert_allclose(steps, swept[0], rtol=1e-4, atol=1e-4)


def test_baselines_know_a_law(source: str) -> None:
    drawings = [moves_of(strokes_of(np.array(rows[1:], dtype=float))) for rows in zigzags(200)]
    found = baseline_losses(drawings[:150], drawings[150:], 1.0)
    assert found["linear"] < found["gaussian"]
    # Five moves to the right are equally likely; a density can know no more than the grid.
    assert found["pen"] > 0.3
    assert all(np.isfinite(list(found.values())))


def test_the_command_line_draws_completes_and_measures(
    model: Any, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(model.path.parent)
    picture = tmp_path / "new.svg"
    assert main(["generate", folder, "-o", str(picture), "--seed", "1", "--pen-bias", "0.5"]) == 0
    assert picture.read_text().startswith("<svg")
    assert picture.read_text().count("<path") >= 2
    begun = tmp_path / "begun.ndjson"
    begun.write_text(json.dumps({"strokes": zigzags(1)[0][:5]}))
    for suffix in (".json", ".svg", ".gcode", ".txt"):
        whole, new = tmp_path / f"whole{suffix}", tmp_path / f"rest{suffix}"
        assert main(["generate", folder, str(begun), "-o", str(whole), "--seed", "1"]) == 0
        assert main(
            ["generate", folder, str(begun), "-o", str(new), "--seed", "1", "--only-new"]
        ) == 0  # fmt: skip
        assert len(new.read_text()) < len(whole.read_text())
    (whole_ink,), (rest_ink,) = (read_ink(tmp_path / f"{name}.json") for name in ("whole", "rest"))
    first = whole_ink.drawing.strokes[0]
    np.testing.assert_array_equal(np.diff(first, axis=0), np.array(zigzags(1)[0])[1:5, :2])
    assert len(rest_ink.drawing.strokes) == len(whole_ink.drawing.strokes) - 1
    assert "#9a9a9a" in (tmp_path / "whole.svg").read_text()
    assert main(["generate", folder, str(begun), "-o", str(tmp_path / "x.mid")]) == 1
    assert "strokes have no format .mid" in capsys.readouterr().err
    assert main(["generate", folder, "--length", "3", "--seed", "1"]) == 0
    assert re.fullmatch(r"(-?\d+,-?\d+,[012]\n){3}", capsys.readouterr().out)
    assert main(["evaluate", folder, "--split", "test", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["nats_per_point"] == pytest.approx(measured["offset"] + measured["pen"])
    assert set(measured["baselines"]) == {"gaussian", "linear", "ngram", "pen"}
    assert main(["evaluate", folder, source, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sequences"] == 120
    assert main(["data", "show", source]) == 0
    assert max(capsys.readouterr().out) >= "\N{BRAILLE PATTERN DOTS-1}"


def test_a_drawing_is_a_document_with_pictures(model: Any) -> None:
    document = model.generate("", seed=4)
    assert isinstance(document.value, Drawing)
    assert document.svg().count("<path") == len(document.value.strokes)
    assert document.html().startswith("<figure><svg")
    assert document.finish_reason == "stop"
    again = model.generate(Drawing(document.value.strokes[:1]), seed=4)
    np.testing.assert_array_equal(again.value.strokes[0], document.value.strokes[0])
