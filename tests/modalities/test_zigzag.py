"""A toy modality of values: phase and class decide what is learnt, scored and drawn."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rhapsode.bundle.network import load_network
from rhapsode.bundle.value_predictor import ValueCondition, ValuePredictor
from rhapsode.cli.main import main
from rhapsode.data import Condition
from rhapsode.workflows.inference.evaluate import evaluate
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities import zigzag
from tests.modalities.pen_head import PenConfig, PenHead
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
def model(source: str, tmp_path_factory: pytest.TempPathFactory) -> zigzag.ZigzagModel:
    folder = tmp_path_factory.mktemp("model") / "run"
    asked = {"steps": 400, "training": {"evaluations": 3}, "samples": {"length": 0}}
    training = prepare_training((source,), asked, output=str(folder))
    list(training.events())
    training.finish()
    return zigzag.ZIGZAG.open(folder)


def test_batches_hold_phase_class_and_change_of_units(source: str, tmp_path: Path) -> None:
    training = prepare_training((source,), {"steps": 1}, output=str(tmp_path / "run"))
    batch = training.run.stream.batch(0)
    assert batch.condition is not None
    assert batch.condition.static_BK.shape == (batch.rows, 2)
    assert batch.known_BTK.shape == (*batch.weights_BT.shape, 1)
    scored = batch.weights_BT > 0
    np.testing.assert_allclose(batch.log_jacobian_BT[scored], 2 * np.log(2), rtol=1e-6)
    assert set(np.unique(batch.targets[scored][:, 2])) <= {0, 1, 2}


def test_what_is_drawn_follows_the_class(model: zigzag.ZigzagModel) -> None:
    left, right = (
        np.stack([model.generate(kind, 12, seed) for seed in range(8)]) for kind in (0, 1)
    )
    assert left[..., 0].mean() < -0.7
    assert right[..., 0].mean() > 0.7
    assert set(np.unique(np.concatenate((left, right))[..., 2])) <= {0.0, 1.0, 2.0}
    np.testing.assert_array_equal(model.generate(1, 12, 3), right[3])


def test_reading_step_by_step_costs_what_a_sweep_says(
    model: zigzag.ZigzagModel, source: str
) -> None:
    predictor = ValuePredictor(model.bundle, load_network(model.bundle))
    corpus = zigzag.ZigzagCorpus(Path(source).read_text())
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


def test_another_class_or_phase_makes_the_same_moves_unlikely(
    model: zigzag.ZigzagModel, source: str
) -> None:
    predictor = ValuePredictor(model.bundle, load_network(model.bundle))
    corpus = zigzag.ZigzagCorpus(Path(source).read_text())
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
    assert "test share, swept once" in capsys.readouterr().err
    assert (folder / "README.md").read_text().startswith("# Zigzags")


def test_the_density_of_the_head_is_one() -> None:
    head = PenHead(PenConfig(4))
    parameters = head(torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(1)))
    grid = torch.linspace(-12, 12, 241, dtype=torch.float64)
    x, y = torch.meshgrid(grid, grid, indexing="ij")
    total = 0.0
    for pen in range(3):
        targets = torch.stack((x, y, torch.full_like(x, pen)), -1).reshape(1, -1, 3)
        log_prob = head.log_prob(parameters.expand(1, targets.shape[1], -1), targets)
        total += float(log_prob.detach().double().exp().sum()) * 0.1**2
    assert total == pytest.approx(1.0, abs=1e-3)


def test_it_is_evaluated_and_compared_on_parts_of_its_run(
    model: zigzag.ZigzagModel,
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
    other = zigzag.ZIGZAG.open(folder)
    part = zigzag.ZIGZAG.part(training.corpus, training.settings, "test")
    found = zigzag.ZIGZAG.compare({"good": model, "bad": other}, part, None, len)
    sums = {name: one.sums_U["nats_per_value"] for name, one in found.models.items()}
    assert sums["good"].sum() / found.sizes_U["nats_per_value"].sum() == pytest.approx(
        summary["loss"], rel=1e-6
    )
    assert sums["good"].sum() < sums["bad"].sum()
    assert main(["evaluate", str(folder), "--split", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] == summary["elements"]
