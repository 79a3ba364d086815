"""A toy modality of identifiers: its grammar holds in training, scoring and drawing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rhapsode import load
from rhapsode.bundle import StretchRequest
from rhapsode.bundle.network import load_network
from rhapsode.cli.main import main
from rhapsode.config import GenerateSettings
from rhapsode.data import Batch
from rhapsode.engine.compiled_predictor import CompiledPredictor
from rhapsode.modalities.model import Model
from rhapsode.modalities.session import PlaySession
from rhapsode.workflows.inference.comparison import evaluate
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
SLOW = {
    "dynamic", "typical", "epsilon", "eta", "top n sigma", "xtc", "mirostat", "n-grams", "dry",
    "bias",
}  # fmt: skip
"""Samplers that need every distribution whole."""


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
def model(source: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model") / "run"
    training = prepare_training((source,), SMALL, output=str(folder))
    list(training.events())
    training.finish()
    return load(folder)


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
    stream, train = training.run.stream, training.run.planned.corpus.train
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
    assert 0 < summary["loss"] < summary["baselines"]["uniform"]
    assert 0 < summary["baselines"]["ngram"] < summary["baselines"]["unigram"]
    assert list(summary["mixture"]["weights"][:3]) == [0.7, 0.3, 0.3]
    model = load(training.folder.path)
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
    model = load(training.folder.path)
    network, batch = load_network(model.bundle), training.run.stream.batch(0)
    with torch.no_grad():
        loss_BT, _ = network.loss(batch)
    scored_BT, _ = model.network_scorer.score(batch)
    scored = batch.weights_BT > 0
    np.testing.assert_allclose(loss_BT.numpy()[scored], -scored_BT[scored], atol=1e-5)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request for stretches of the compiled engine was granted."""
    granted: list[bool] = []
    whole = CompiledPredictor.stretches

    def stretches(self: CompiledPredictor, request: StretchRequest) -> Any:
        found = whole(self, request)
        granted.append(found is not None)
        return found

    monkeypatch.setattr(CompiledPredictor, "stretches", stretches)
    return granted


def written(model: Any, prompt: str, **options: Any) -> list[str]:
    found = model.continuations(prompt, seed=5, length=40, **options)
    return [prompt + each.text for each in found]


@pytest.mark.parametrize("name", SAMPLERS)
def test_whatever_draws_obeys_the_grammar_on_both_engines(
    name: str, model: Model[Any], taken: list[bool]
) -> None:
    options = SAMPLERS[name]
    asked = len(written(model, "(a", engine="torch", **options))
    assert not taken
    for prompt in ("(a", ""):
        texts = written(model, prompt, engine="compiled", **options)
        assert texts == written(model, prompt, engine="torch", **options)
        assert len(texts) == asked
        for text in texts:
            assert text.startswith(prompt)
            ended = len(text) < len(prompt) + 40 and name not in SEARCHES
            assert_grammatical(text, ended=ended)
    # Beams and candidates are looked at element by element; the best of several are drawn alike.
    asked_for = 0 if name in SEARCHES - {"best of"} else 2
    assert taken == [name not in SLOW] * asked_for


def test_a_compiled_run_of_letters_writes_many_lines(model: Any, taken: list[bool]) -> None:
    for seed in range(20):
        (found,) = model.continuations("", seed=seed, length=60, engine="compiled")
        assert_grammatical(found.text, ended=len(found.text) < 60)
    assert taken == [True] * 20


def test_the_command_line_uses_it(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(model.path.parent)
    for prompt in ("(a", ""):
        assert main(["generate", folder, prompt, "--length", "30", "--seed", "5"]) == 0
        text = capsys.readouterr().out.removesuffix("\n")
        assert text == prompt + model.continuations(prompt, length=30, seed=5)[0].text
    assert main(["generate", folder, "(x"]) == 1
    assert "(U+0078)" in capsys.readouterr().err
    assert main(["generate", folder, "(xa", "--unknown", "skip", "--length", "3"]) == 0
    assert capsys.readouterr().out.startswith("(a")
    assert main(["next", folder, "((", "--json", "--top", "9"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["next"]
    assert {each["text"] for each in found["top"]} == set("()abc")
    assert found["candidates"] == 5
    assert main(["info", folder]) == 0
    assert "brackets.v1" in capsys.readouterr().out
    assert main(["encode", folder, "(a)"]) == 0
    assert "3 elements" in capsys.readouterr().out


def test_a_session_goes_on_bit_for_bit(model: Any, tmp_path: Path) -> None:
    settings = GenerateSettings(length=12, seed=5)
    session = PlaySession(model, settings, prompt="(a")
    first = "".join(session.write())
    assert first == model.continuations("(a", settings)[0].text
    session.add("((")
    second = "".join(session.write())
    assert_grammatical(session.text.split("\n\n")[-1], ended=False)
    assert session.undo() == 1
    assert session.text == "(a" + first
    session.add("((")
    session.fork()
    assert "".join(session.write()) == second
    session.save(tmp_path / "session.json")
    loaded = PlaySession(load(model.path), settings)
    loaded.load(tmp_path / "session.json")
    assert loaded.branches() == session.branches()
    assert "".join(loaded.write()) == "".join(session.write())
    one, other = loaded.why(), session.why()
    assert one.choice.to_mapping() == other.choice.to_mapping()


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
    assert measured["baselines"]["ngram"] == pytest.approx(summary["baselines"]["ngram"], abs=1e-6)
    assert np.isfinite(measured["windowed"]["loss"])
    assert all(np.isfinite(bucket["loss"]) for bucket in measured["by_context"])
    rounded = evaluate(training.folder.path, split="validation", weights="int8").to_mapping()
    assert rounded["reduced"]["loss"] == pytest.approx(rounded["reduced"]["float32"], abs=0.05)


def test_models_are_compared(run: tuple[Any, dict[str, Any]], model: Any) -> None:
    training, _ = run
    part = training.run.modality.part(
        training.run.planned.corpus, training.run.planned.settings, "test"
    )
    found = training.run.modality.compare(
        {"one": load(training.folder.path), "two": model}, part, None
    )
    nats = [float(scored.sums_U["nats_per_element"].sum()) for scored in found.models.values()]
    assert all(np.isfinite(nats))
    assert found.sizes_U["nats_per_element"].sum() == len(part.store)


def test_the_command_line_evaluates_and_compares_it(
    run: tuple[Any, dict[str, Any]],
    model: Any,
    source: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    training, summary = run
    folder, other = str(training.folder.path), str(model.path.parent)
    assert main(["evaluate", folder, "--split", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(summary["loss"], abs=1e-6)
    assert main(["evaluate", folder, source, "--json"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["loss"] < summary["baselines"]["uniform"]
    assert main(["compare", folder, other, "--on", source, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in compared["rows"]} == {folder, other}
    assert main(["compare", folder, other, "--on", source]) == 0
    assert "nats per element" in " ".join(capsys.readouterr().out.split())
