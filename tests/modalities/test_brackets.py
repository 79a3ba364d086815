"""A toy modality of identifiers: its grammar holds in training, scoring and drawing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rhapsode.bundle.network import load_network
from rhapsode.cli.main import main
from rhapsode.data import Batch
from rhapsode.workflows.inference.evaluate import evaluate
from rhapsode.workflows.runs.run import prepare_training
from tests.encoding.brackets import DEEPEST, END, UNKNOWN
from tests.modalities import brackets
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines

SMALL: dict[str, Any] = {
    "steps": 40,
    "network": {"hidden_size": 12, "embedding_size": 8},
    "training": {"batch_size": 4, "window": 16, "evaluations": 1, "counts_share": 0.3},
    "samples": {"length": 0},
}
# One for every filter and every search.
SAMPLERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "warm": {"temperature": 1.7},
    "dynamic": {"dynatemp_low": 0.5, "dynatemp_high": 1.5},
    "top k": {"top_k": 2},
    "top p": {"top_p": 0.7},
    "min p": {"min_p": 0.2},
    "typical": {"typical_p": 0.6},
    "epsilon": {"epsilon_cutoff": 0.05},
    "eta": {"eta_cutoff": 0.05},
    "top n sigma": {"top_n_sigma": 1.0},
    "xtc": {"xtc_probability": 0.5, "xtc_threshold": 0.1},
    "mirostat": {"mirostat_tau": 1.2},
    "repetition": {"repetition_penalty": 1.3},
    "frequency": {"frequency_penalty": 0.3, "presence_penalty": 0.2},
    "n-grams": {"no_repeat_ngram": 5},
    "dry": {"dry_multiplier": 0.8},
    "bias": {"bias": ("a=2",)},
    "longer": {"min_length": 12},
    "beams": {"beams": 3},
    "stochastic beams": {"beams": 3, "stochastic_beams": True, "count": 3},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "best of": {"best_of": 3},
}
SEARCHES = {"beams", "stochastic beams", "contrastive", "best of"}


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with registered(brackets.NAME, **brackets.REGISTRATION):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("brackets") / "lines.brackets"
    path.write_text(bracket_lines())
    return str(path)


@pytest.fixture(scope="module", params=["carried", "fresh", "window:7"])
def run(
    request: pytest.FixtureRequest, source: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run") / "run"
    asked = {**SMALL, "reading": {"context": request.param}}
    if request.param == "window:7":
        asked["training"] = {**SMALL["training"], "window": 7}
    training = prepare_training((source,), asked, output=str(folder))
    list(training.events())
    return training, training.finish()


@pytest.fixture(scope="module")
def model(source: str, tmp_path_factory: pytest.TempPathFactory) -> brackets.BracketModel:
    folder = tmp_path_factory.mktemp("model") / "run"
    training = prepare_training((source,), SMALL, output=str(folder))
    list(training.events())
    training.finish()
    return brackets.BRACKETS.open(folder)


def depths(text: str) -> list[int]:
    steps = [(sign == "(") - (sign == ")") for sign in text]
    return [0, *np.cumsum(steps).tolist()]


def assert_grammatical(text: str, *, ended: bool) -> None:
    assert set(text) <= set("()abc")
    assert min(depths(text)) >= 0
    assert max(depths(text)) <= DEEPEST
    assert not ended or depths(text)[-1] == 0


def test_batches_hold_what_may_follow(run: tuple[Any, dict[str, Any]]) -> None:
    training, _ = run
    stream, train = training.run.stream, training.corpus.train
    elements = np.asarray(train.elements_N)
    inside = np.cumsum(np.where(elements == 2, 1, np.where(elements == 3, -1, 0)))
    for step in range(4):
        batch: Batch = stream.batch(step)
        assert batch.allowed_BTV is not None
        scored = batch.weights_BT > 0
        assert not (batch.forbidden_targets() & scored).any()
        before = inside[np.maximum(batch.positions_BT - 1, 0)] * (batch.positions_BT > 0)
        np.testing.assert_array_equal(batch.allowed_BTV[scored][:, END], before[scored] == 0)
        np.testing.assert_array_equal(batch.allowed_BTV[scored][:, 3], before[scored] > 0)
        assert not batch.allowed_BTV[scored][:, UNKNOWN].any()


def test_figures_are_finite_and_normalised_over_what_is_allowed(
    run: tuple[Any, dict[str, Any]],
) -> None:
    training, summary = run
    assert 0 < summary["loss"] < summary["floors"]["uniform"]
    assert 0 < summary["floors"]["ngram"] < summary["floors"]["unigram"]
    assert summary["mixture"]["share"] == 0.3
    model = brackets.BRACKETS.open(training.folder.path)
    for predictor in (model.scorer, model.network_scorer, model.predictor_for("compiled")):
        ids = model.bundle.encoder.encode("(a(b").astype(np.int64)
        following, _ = predictor.advance(np.concatenate(([END], ids))[None], predictor.start(1))
        allowed_V = following.allowed_BV[0]
        assert allowed_V.tolist() == [False, False, True, True, True, True, True]
        total = 0.0
        for element in np.nonzero(allowed_V)[0]:
            total += float(np.exp(following.log_prob(np.array([element]))[0]))
        assert total == pytest.approx(1.0, abs=1e-5)


def test_the_network_learns_what_it_is_scored_by(run: tuple[Any, dict[str, Any]]) -> None:
    training, _ = run
    model = brackets.BRACKETS.open(training.folder.path)
    network, batch = load_network(model.bundle), training.run.stream.batch(0)
    with torch.no_grad():
        loss_BT, _ = network.loss(batch)
    scored_BT, _ = model.network_scorer.score(batch)
    scored = batch.weights_BT > 0
    np.testing.assert_allclose(loss_BT.numpy()[scored], -scored_BT[scored], atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_whatever_draws_obeys_the_grammar(name: str, model: brackets.BracketModel) -> None:
    options = {"seed": 5, "length": 40, **SAMPLERS[name]}
    texts = [model.generate("(a", engine=engine, **options) for engine in ("torch", "compiled")]
    assert texts[0] == texts[1]
    for text in texts:
        assert text.startswith("(a")
        assert_grammatical(text, ended=len(text) < 42 and name not in SEARCHES)


def test_a_compiled_run_of_letters_writes_many_lines(model: brackets.BracketModel) -> None:
    for seed in range(20):
        text = model.generate("", seed=seed, length=60, engine="compiled")
        assert_grammatical(text, ended=len(text) < 60)


def test_the_command_line_trains_it(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = ["train", source, "-o", str(folder), "--steps", "5", "--set", "samples.length=5"]
    assert main([*arguments, "--set", "network.hidden_size=8"]) == 0
    printed = capsys.readouterr()
    assert "brackets" not in printed.out
    assert f"next:  rhapsode generate {folder}" in printed.err
    assert (folder / "README.md").read_text().startswith("# Brackets")


def test_it_is_evaluated_on_parts_of_its_run(run: tuple[Any, dict[str, Any]]) -> None:
    training, summary = run
    measured = evaluate(training.folder.path, split="test").to_mapping()
    assert measured["loss"] == pytest.approx(summary["loss"], abs=1e-6)
    assert measured["floors"]["ngram"] == pytest.approx(summary["floors"]["ngram"], abs=1e-6)
    assert np.isfinite(measured["windowed"]["loss"])
    assert all(np.isfinite(bucket["loss"]) for bucket in measured["by_context"])
    rounded = evaluate(training.folder.path, split="validation", weights="int8").to_mapping()
    assert rounded["reduced"]["loss"] == pytest.approx(rounded["reduced"]["float32"], abs=0.05)


def test_models_are_compared(run: tuple[Any, dict[str, Any]], model: brackets.BracketModel) -> None:
    training, _ = run
    part = training.run.modality.part(training.corpus, training.settings, "test")
    found = training.run.modality.compare(
        {"one": brackets.BRACKETS.open(training.folder.path), "two": model}, part, None, len
    )
    nats = [float(scored.sums_U["nats_per_element"].sum()) for scored in found.models.values()]
    assert all(np.isfinite(nats))
    assert found.sizes_U["nats_per_element"].sum() == len(part.store)


def test_the_command_line_evaluates_it(
    run: tuple[Any, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    training, summary = run
    arguments = ["evaluate", str(training.folder.path), "--split", "test", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(summary["loss"], abs=1e-6)
