"""A toy modality of values: phase and class decide what is learnt, scored and drawn."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode import load
from rhapsode.bundle import ValueCondition
from rhapsode.bundle.network import load_network
from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.cli.main import main
from rhapsode.config import GenerateSettings
from rhapsode.data import Condition
from rhapsode.modalities.session import PlaySession
from rhapsode.workflows.inference.comparison import evaluate
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities import zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import zigzag_lines


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with registered(zigzag.NAME, **zigzag.REGISTRATION):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("zigzag") / "lines.zigzag"
    path.write_text(zigzag_lines())
    return str(path)


@pytest.fixture(scope="module")
def model(source: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model") / "run"
    asked = {"steps": 400, "training": {"evaluations": 3}, "samples": {"length": 0}}
    training = prepare_training((source,), asked, output=str(folder))
    list(training.events())
    training.finish()
    return load(folder)


def test_batches_hold_phase_class_and_change_of_units(source: str, tmp_path: Path) -> None:
    training = prepare_training((source,), {"steps": 1}, output=str(tmp_path / "run"))
    batch = training.run.stream.batch(0)
    assert batch.condition is not None
    assert batch.condition.static_BK.shape == (batch.rows, 2)
    assert batch.known_BTK.shape == (*batch.weights_BT.shape, 1)
    scored = batch.weights_BT > 0
    np.testing.assert_allclose(batch.log_jacobian_BT[scored], 2 * np.log(2), rtol=1e-6)
    assert set(np.unique(batch.targets[scored][:, 2])) <= {0, 1, 2}


def drawn(model: Any, kind: str, seed: int) -> np.ndarray:
    (found,) = model.continuations(kind, length=12, seed=seed)
    return np.array([line.split(",") for line in found.text.splitlines()], dtype=float)


def test_what_is_drawn_follows_the_class(model: Any) -> None:
    left, right = (np.stack([drawn(model, kind, seed) for seed in range(8)]) for kind in ("0", "1"))
    assert left[..., 0].mean() < -0.7
    assert right[..., 0].mean() > 0.7
    assert set(np.unique(np.concatenate((left, right))[..., 2])) <= {0.0, 1.0, 2.0}
    assert {len(each) for each in right} == {12}


def test_reading_step_by_step_costs_what_a_sweep_says(model: Any, source: str) -> None:
    predictor = ValuePredictor(model.bundle, load_network(model.bundle))
    corpus = zigzag.ZigzagCorpus([source])
    arrays, moves = corpus.part("train").arrays, corpus.drawings[0]
    length = len(moves)
    one = np.array([0])
    batch = arrays.batch(one, np.array([length]), one, length)
    swept, _ = predictor.score(batch, None)
    state = predictor.start(1, ValueCondition(None, batch.condition))
    known = batch.known_BTK
    following, state = predictor.advance(np.empty((1, 0, 3)), state, known[:, :1])
    steps = []
    for t in range(length):
        steps.append(following.log_prob(moves[None, t])[0])
        ahead = known[:, t : t + 2]
        if ahead.shape[1] == 2:
            following, state = predictor.advance(moves[None, t : t + 1], state, ahead)
    np.testing.assert_allclose(steps, swept[0], rtol=1e-4, atol=1e-4)


def test_another_class_or_phase_makes_the_same_moves_unlikely(model: Any, source: str) -> None:
    predictor = ValuePredictor(model.bundle, load_network(model.bundle))
    corpus = zigzag.ZigzagCorpus([source])
    arrays, one, length = corpus.part("train").arrays, np.array([0]), len(corpus.drawings[0])
    batch = arrays.batch(one, np.array([length]), one, length)
    own, _ = predictor.score(batch, None)
    flipped = Condition(static_BK=batch.condition.static_BK[:, ::-1].copy())
    for changed in ({"condition": flipped}, {"known_BTK": 1 - batch.known_BTK}):
        other, _ = predictor.score(replace(batch, **changed), None)
        assert own.sum() > other.sum() + 1


def test_the_command_line_trains_it(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["train", source, "-o", str(folder), "--steps", "5"]) == 0
    assert "test split, scored once" in capsys.readouterr().err
    assert (folder / "README.md").read_text().startswith("# Zigzags")


def lines(text: str) -> list[list[float]]:
    return [[float(number) for number in line.split(",")] for line in text.splitlines()]


def test_the_command_line_uses_it(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(model.path.parent)
    for prompt, given in (("1 1.5,0.1,0 2,0,1", 2), ("", 0)):
        assert main(["generate", folder, prompt, "--length", "5", "--seed", "3"]) == 0
        printed = capsys.readouterr().out
        assert len(lines(printed)) == given + 5
        assert lines(printed)[:given] == [[1.5, 0.1, 0.0], [2.0, 0.0, 1.0]][:given]
        assert printed.endswith(model.continuations(prompt, length=5, seed=3)[0].text)
        assert {pen for _, _, pen in lines(printed)} <= {0.0, 1.0, 2.0}
    assert main(["generate", folder, "--top-k", "3"]) == 1
    assert "density" in capsys.readouterr().err
    assert main(["next", folder, "1 1.5,0.1,0", "--json", "--top", "3"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["next"]
    assert [step["time"] for step in found["steps"]] == ["2", "3", "4"]
    assert set(found["steps"][0]["quantiles"]) == {"x", "y", "pen"}
    assert main(["next", folder, "1"]) == 0
    assert main(["info", folder]) == 0
    assert "vectors.v1" in capsys.readouterr().out
    assert main(["encode", folder, "0 -1,0,2"]) == 0
    assert "-2 0 2" in capsys.readouterr().out


def test_a_session_goes_on_bit_for_bit(model: Any, tmp_path: Path) -> None:
    settings = GenerateSettings(length=6, seed=5)
    session = PlaySession(model, settings, prompt="1 1.5,0.1,0")
    first = "".join(session.write())
    assert first == model.continuations("1 1.5,0.1,0", settings)[0].text
    session.add("2,0,1; 1,0,1")
    second = "".join(session.write())
    assert session.undo() == 1
    assert session.text == "1.5,0.1,0\n" + first
    session.add("2,0,1; 1,0,1")
    session.fork()
    assert "".join(session.write()) == second
    session.save(tmp_path / "session.json")
    loaded = PlaySession(load(model.path), settings)
    loaded.load(tmp_path / "session.json")
    assert loaded.prompt.saved() == {"kind": 1}
    assert loaded.branches() == session.branches()
    assert "".join(loaded.write()) == "".join(session.write())
    assert loaded.elements == session.elements
    assert loaded.why().choice.to_mapping() == session.why().choice.to_mapping()
    session.keep(tmp_path / "kept.txt")
    assert len(lines((tmp_path / "kept.txt").read_text())) == len(session.elements)


def test_it_is_evaluated_and_compared_on_parts_of_its_run(
    model: Any,
    source: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = json.loads((model.path.parent / "summary.json").read_text())
    measured = evaluate(model.path.parent, split="test").to_mapping()
    assert measured["loss"] == pytest.approx(summary["loss"])
    assert measured["elements"] == summary["elements"]
    folder = tmp_path / "other"
    training = prepare_training((source,), {"steps": 3}, output=str(folder))
    list(training.events())
    training.finish()
    other = load(folder)
    part = zigzag.ZIGZAG.part(training.run.planned.corpus, training.run.planned.settings, "test")
    found = zigzag.ZIGZAG.compare({"good": model, "bad": other}, part, None)
    sums = {name: one.sums_U["nats_per_value"] for name, one in found.models.items()}
    assert sums["good"].sum() / found.sizes_U["nats_per_value"].sum() == pytest.approx(
        summary["loss"], rel=1e-6
    )
    assert sums["good"].sum() < sums["bad"].sum()
    assert main(["evaluate", str(folder), "--split", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] == summary["elements"]
    assert main(["evaluate", str(folder), source, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] > summary["elements"]
    good = str(model.path.parent)
    assert main(["compare", str(folder), good, "--on", source, "--json"]) == 0
    assert [row["model"] for row in json.loads(capsys.readouterr().out)["rows"]] == [
        good,
        str(folder),
    ]
    assert main(["compare", str(folder), good, "--on", source]) == 0
