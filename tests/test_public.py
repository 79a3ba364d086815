"""The public face: names, documents, representations, keywords."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh

NAMES = [
    "Answered",
    "BlindComparison",
    "Comparison",
    "Continuation",
    "Document",
    "Evaluated",
    "Event",
    "Finished",
    "Following",
    "Forecast",
    "ForecastSettings",
    "History",
    "Info",
    "Metrics",
    "Model",
    "Piece",
    "Plan",
    "RenderSettings",
    "Request",
    "RhapsodeError",
    "Sampled",
    "Saved",
    "SeriesModel",
    "SeriesSettings",
    "ServeSettings",
    "Session",
    "Step",
    "Survey",
    "Training",
    "WriteSettings",
    "__version__",
    "answer",
    "claim_report",
    "compare",
    "components",
    "corpora",
    "describe",
    "encode",
    "evaluate",
    "fetch",
    "forecast",
    "info",
    "is_repeated",
    "load",
    "measuring_settings",
    "next",
    "plan",
    "prepare",
    "render",
    "repeat",
    "request",
    "serve",
    "session",
    "setting_places",
    "show",
    "train",
    "write",
    "write_lines",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, prose: str) -> Any:
    """A small model of texts in memory."""
    texts = [prose[start : start + 400] for start in range(0, 8_000, 400)]
    output = tmp_path_factory.mktemp("public") / "run"
    return rh.train(
        texts,
        output=str(output),
        steps=4,
        network={"hidden_size": 8},
        training={"evaluations": 2},
        samples={"length": 8},
    )


def test_the_names_are_these_and_all_there() -> None:
    assert sorted(rh.__all__) == NAMES
    assert dir(rh) == sorted(rh.__all__)
    for name in rh.__all__:
        assert getattr(rh, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module("rhapsode").nothing  # noqa: B018


def test_a_document_is_a_text_that_knows_how_it_was_made(model: Any) -> None:
    document = model.generate("The ", length=12, seed=3)
    assert isinstance(document, str)
    assert document.startswith("The ")
    assert document.seed == 3
    assert document.finish_reason in ("length", "stop")
    assert model.decode(document.elements) == document
    again = "".join(piece.text for piece in model.stream("The ", length=12, seed=3))
    assert document == "The " + again
    assert (model.encode("The ") == np.array(document.elements[:4])).all()
    assert model.decode(model.encode("The ")) == "The "
    with pytest.raises(rh.RhapsodeError, match="one document"):
        model.generate("The ", count=2)


def test_a_search_and_stop_texts_give_their_elements(model: Any) -> None:
    best = model.generate("The ", length=6, beams=2, seed=1)
    assert model.decode(best.elements) == best
    stopped = model.generate("The ", length=40, stop=(" ",), seed=1)
    assert stopped.finish_reason in ("length", "stop")


def test_history_and_summary_tell_of_the_run(model: Any, tmp_path: Path) -> None:
    history = model.history
    assert history["step"][-1] == 4
    assert {len(column) for column in history.values()} == {len(history["step"])}
    assert history.history["val_loss"] == history["val_loss"]
    assert model.summary["steps"] == 4
    model.save(tmp_path / "copy.safetensors")
    copy = rh.load(tmp_path / "copy.safetensors")
    assert copy.summary is None
    assert not copy.history["step"]
    assert copy.generate("The ", length=5, seed=1) == model.generate("The ", length=5, seed=1)
    assert sum(p.numel() for p in copy.network.parameters()) == rh.info(copy).facts["parameters"]


def test_results_have_a_text_and_a_page(model: Any) -> None:
    results = {
        "next": (rh.next(model, "The ", top=3), "others"),
        "info": (rh.info(model), "characters.v1"),
        "encode": (rh.encode(model, "The"), "3 elements"),
        "metrics": (model.evaluate(["The cat sat on the mat."]), "perplexity"),
        "survey": (rh.describe(["The cat sat on the mat. "] * 50), "Characters"),
        "plan": (rh.plan("kitchen", encoding="words", steps=2), "hidden_size"),
        "history": (model.history, "val_loss"),
        "model": (model, "parameters"),
    }
    for name, (result, word) in results.items():
        assert word in repr(result), name
        assert "\x1b" not in repr(result), name
        page = result._repr_html_()
        assert page.startswith(("<pre", "<svg", "<?xml")), name
    assert isinstance(results["plan"][0].to_mapping()["network"], dict)


def test_log_probabilities_are_those_of_each_element_after_those_before_it(model: Any) -> None:
    log_probs = model.log_prob("The cat")
    assert log_probs.shape == (7,)
    assert (log_probs < 0).all()
    assert (model.log_prob("The")[:3] == log_probs[:3]).all()
    ids = model.encode("The cat")
    assert (model.log_prob(elements=ids) == log_probs).all()
    vocabulary = range(model.bundle.encoder.vocab_size)
    alternatives = [model.log_prob(elements=[*ids[:3], element])[3] for element in vocabulary]
    assert np.exp(alternatives).sum() == pytest.approx(1.0)
    likeliest = rh.next(model, "The", top=1).to_list()[0]["top"][0]
    assert np.exp(alternatives[likeliest["element"]]) == pytest.approx(likeliest["raw_share"])
    with pytest.raises(rh.RhapsodeError, match="does not have"):
        model.log_prob(elements=[10**6])
    with pytest.raises(rh.RhapsodeError, match="never seen"):
        model.log_prob("\u2603")


def test_series_share_the_verbs(tmp_path: Path) -> None:
    values = np.sin(np.arange(120.0) / 3)
    series = rh.train(values, output=str(tmp_path / "run"), steps=2, data={"horizon": 4})
    document = series.generate(values[:60], length=5)
    assert len(document.elements) == 65
    assert document.finish_reason == "length"
    assert document.text().count("\n") == 66
    ahead = series.log_prob(values[:60], elements=values[60:64, None])
    assert ahead.shape == (4,)
    assert np.isfinite(ahead).all()
    shorter = series.log_prob(values[:60], elements=values[60:62, None])
    assert (ahead[:2] == shorter).all()
    forecast = rh.forecast(str(tmp_path / "run"), values[:60], horizon=3, samples=20)
    assert forecast.paths_BSHK.shape == (1, 20, 3, 1)
    assert "50%" in repr(forecast)
    again = rh.forecast(series, values[:60], horizon=3, samples=20, quantiles=(0.1, 0.9))
    assert (again.paths_BSHK == forecast.paths_BSHK).all()
    assert again.to_mapping()["levels"] == [0.1, 0.9]
    assert series.encode(values[:9]).shape == (9, 1)
    with pytest.raises(rh.RhapsodeError, match="command line"):
        rh.forecast(series, values[:60], paths=True)
    with pytest.raises(rh.RhapsodeError, match="did you mean 'horizon'"):
        rh.forecast(str(tmp_path / "run"), horizn=3)  # type: ignore[call-arg]


def test_models_are_compared_by_name_path_or_as_they_are(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "twin.safetensors")
    twin = rh.load(tmp_path / "twin.safetensors")
    held_out = ["The cat sat on the mat. " * 20]
    for models in ([model, twin], {"one": model.path, "two": twin}, [str(model.path), twin.path]):
        compared = rh.compare(models, held_out)
        assert all(abs(one.difference.mean) < 1e-3 for one in compared.contrasts)
        assert "nats" in repr(compared)
    with pytest.raises(rh.RhapsodeError, match="list of models"):
        rh.compare("gru", held_out)
    with pytest.raises(rh.RhapsodeError, match="two or more"):
        rh.compare([model, model], held_out)


def test_bad_questions_get_one_line(model: Any, tmp_path: Path) -> None:
    questions: list[tuple[Any, str]] = [
        (lambda: rh.load(None), "a model is a path"),  # type: ignore[arg-type]
        (lambda: rh.next(model, "The ", top=0), "too small"),
        (lambda: rh.next(model, "The ", temperatures=[-1.0]), "expected"),
        (lambda: model.stream("The ", lenght=3), "did you mean 'length'"),
        (lambda: model.stream("\u2603"), "never seen"),
        (lambda: rh.train(["a"], [1.0, 2.0]), "no kind of model can be trained on this"),
    ]
    for ask, message in questions:
        with pytest.raises(rh.RhapsodeError, match=message) as error:
            ask()
        assert len(str(error.value)) < 1000


def test_a_run_that_is_being_written_has_a_history(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    whole = (model.folder / "metrics.jsonl").read_text(encoding="utf-8")
    (tmp_path / "metrics.jsonl").write_text(whole[:-20], encoding="utf-8")
    (tmp_path / "summary.json").write_text("{", encoding="utf-8")
    torn = rh.load(tmp_path)
    assert len(torn.history["step"]) <= len(model.history["step"])
    assert torn.summary is None
    assert "val_loss" in repr(torn.history)
    assert "parameters" in repr(torn)
