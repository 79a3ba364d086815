"""Training on series, and the model that comes of it, as a library."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import rhapsode as rh
from rhapsode.bundle import Provenance, write_bundle
from rhapsode.config import SeriesDataSettings
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.errors import BundleError, DataError, SettingsError
from rhapsode.workflows.series.backtest import origins_of
from rhapsode.workflows.series.corpus import divide, is_series_run, observed_lengths

QUICK = {"steps": 30, "network": {"hidden_size": 8}, "training": {"evaluations": 2}}


def two(length: int = 120) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    steps = np.arange(length)
    return {
        "low": random.normal(size=length) * 0.5,
        "high": 10 + np.sin(steps / 3)[: length // 2] + 0.1 * random.normal(size=length // 2),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> rh.SeriesModel:
    folder = tmp_path_factory.mktemp("series") / "run"
    return rh.train_series(two(), output=str(folder), **QUICK)


def rising(length: int) -> np.ndarray:
    """Numbers that nobody takes for times."""
    return np.arange(length) + 0.25


def silent(line: str) -> None:
    del line


def test_the_end_of_every_series_is_held_out() -> None:
    given = read_series({"a": rising(100), "b": rising(50), "c": rising(9)})
    corpus = divide(given, SeriesDataSettings(validation_share=0.2), silent, where="x")
    assert corpus.chosen_S.tolist() == [90, 45, 8]
    assert corpus.train_S.tolist() == [72, 36, 6]
    assert corpus.horizon == 10
    assert corpus.points == 114
    again = divide(given, SeriesDataSettings(), silent, where="x")
    assert again.sha256 == corpus.sha256
    other = read_series({"a": rising(100) + 1e-9, "b": rising(50), "c": rising(9)})
    assert divide(other, SeriesDataSettings(), silent, where="x").sha256 != corpus.sha256


def test_what_holds_nothing_is_left_out_and_what_is_to_come_is_no_history() -> None:
    said: list[str] = []
    values = np.array([1.0, 2, np.nan, 4, 5, 6, 7, 8, 9, np.nan, np.nan])
    given = read_series({"a": values, "b": np.arange(11.0)})
    given = replace(given, values_NK=given.values_NK.copy())
    given.values_NK[given.rows(1)] = np.nan
    assert observed_lengths(given).tolist() == [9, 0]
    corpus = divide(given, SeriesDataSettings(), said.append, where="x")
    assert corpus.given.ids == ("a",)
    assert len(corpus.given.times_N) == 9
    assert "'b'" in said[0]
    with pytest.raises(DataError, match="too few"):
        divide(read_series(rising(5)), SeriesDataSettings(), silent, where="x")


def test_origins_end_with_the_series() -> None:
    given = read_series({"a": rising(100), "b": rising(30)})
    given = given.cut(given.offsets[:-1], given.offsets[:-1] + observed_lengths(given))
    first = np.array([80, 25])
    which, rows = origins_of(given, first, 5, origins=None, stride=None)
    assert list(zip(which.tolist(), rows.tolist(), strict=True)) == [
        (0, 80), (0, 85), (0, 90), (0, 95), (1, 25),
    ]  # fmt: skip
    which, rows = origins_of(given, first, 5, origins=3, stride=2)
    assert rows.tolist() == [91, 93, 95, 25]


def test_short_series_are_drawn_at_their_own_level(model: rh.SeriesModel) -> None:
    low, high = (model.generate(like=name, count=5, seed=1) for name in ("low", "high"))
    assert np.abs(low.values_NK.mean()) < 1.5
    assert 8 < high.values_NK.mean() < 12
    assert len(set(low.lengths.tolist())) == 1
    assert high.lengths[0] < low.lengths[0]
    assert high.ids[0] == "high #1"
    forecast = model.forecast(two(), horizon=5, samples=100)
    middle = forecast.quantiles([0.5])[0, :, :, 0]
    assert forecast.ids == ("low", "high")
    assert np.abs(middle[0]).max() < 2
    assert (np.abs(middle[1] - 10) < 3).all()
    with pytest.raises(SettingsError, match="no series 'other'"):
        model.generate(like="other")


def test_a_forecast_of_one_series_does_not_depend_on_the_others(model: rh.SeriesModel) -> None:
    both = model.forecast(two(), horizon=4, samples=20, seed=3)
    one = model.forecast({"high": two()["high"]}, horizon=4, samples=20, seed=3)
    np.testing.assert_allclose(one.paths_BSHK[0], both.paths_BSHK[1], rtol=1e-4)


def test_observing_is_reading_a_longer_history(model: rh.SeriesModel) -> None:
    table = two()
    state = model.start(table)
    before = model.ahead(state, 3, samples=5)
    nearer = model.observe([0.1, 10.0], state)
    np.testing.assert_array_equal(model.ahead(state, 3, samples=5), before)
    assert model.ahead(model.observe([np.nan, 9.9], nearer), 2, samples=7).shape == (2, 7, 2, 1)
    # The scale stays that of the history that was read first; the values are as if they had stood in it.
    longer = {"low": np.append(table["low"], 0.1), "high": np.append(table["high"], 10.0)}
    nothing = np.empty((2, 0, 1))
    again, _ = model.predictor.advance(nothing, model.start(longer))
    found, _ = model.predictor.advance(nothing, nearer)
    np.testing.assert_allclose(found.parameters_BP, again.parameters_BP, rtol=0.1, atol=0.1)


def test_a_run_is_opened_by_its_kind(model: rh.SeriesModel) -> None:
    opened = rh.load(model.path.parent)
    assert isinstance(opened, rh.SeriesModel)
    assert opened.bundle.facts.names == model.bundle.facts.names
    with pytest.raises(BundleError, match="use rhapsode forecast"):
        rh.Model(model.path.parent)
    summary = json.loads((model.path.parent / "summary.json").read_text())
    assert summary["protocol"]["normalisation"].startswith("none")


def test_covariates_known_ahead(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    price = random.normal(size=130)
    sales = 20 + 5 * price + 0.1 * random.normal(size=130)
    lines = ["day,price,sales"]
    lines += [
        f"{n},{p},{'' if n >= 120 else s}"
        for n, (p, s) in enumerate(zip(price, sales, strict=True))
    ]
    table = tmp_path / "sales.csv"
    table.write_text("\n".join(lines) + "\n")
    asked = {"time_column": ["day"], "known": ["price"], "value_columns": ["sales"]}
    fitted = rh.train_series(
        str(table), output=str(tmp_path / "run"), series=asked, data={"test_share": 0.0}, **QUICK
    )
    middle = fitted.forecast(str(table), horizon=10, samples=200).quantiles([0.5])[0, 0, :, 0]
    assert np.abs(middle - sales[120:]).max() < 2.0
    with pytest.raises(DataError, match="'price' must be known for all 11 steps"):
        fitted.forecast(str(table), horizon=11)
    with pytest.raises(DataError, match="nobody knows 'price'"):
        fitted.generate()


def test_several_numbers_at_a_time(tmp_path: Path) -> None:
    steps = np.arange(90)
    table = tmp_path / "pair.csv"
    table.write_text("a,b\n" + "".join(f"{np.sin(t / 4)},{100 + np.cos(t / 4)}\n" for t in steps))
    fitted = rh.train_series(
        str(table), output=str(tmp_path / "run"), series={"joint": True}, **QUICK
    )
    found = fitted.forecast(str(table), horizon=3, samples=30)
    assert found.paths_BSHK.shape == (1, 30, 3, 2)
    assert np.abs(found.mean()[0, :, 1] - 100).max() < 5
    figures, _ = fitted.evaluate(str(table), methods=())
    assert figures["forecasts"]["forecasts"] == 2 * (9 // fitted.bundle.facts.horizon)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "10.0%" in summary["protocol"]["split"]
    turned = tmp_path / "turned" / "pair.csv"
    turned.parent.mkdir()
    turned.write_text("b,a\n" + "".join(f"{100 + np.cos(t / 4)},{np.sin(t / 4)}\n" for t in steps))
    middle, again = (
        fitted.forecast(str(source), horizon=3, samples=1, temperature=0.0).paths_BSHK
        for source in (table, turned)
    )
    np.testing.assert_allclose(again, middle, rtol=1e-4)
    with pytest.raises(DataError, match="the model learnt 2"):
        fitted.forecast(rising(30))


def with_templates(model: rh.SeriesModel, path: Path, change: object) -> None:
    """Write a model whose file says something else of the series it learnt from."""
    write_bundle(path, replace(model.bundle, provenance=Provenance()))
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts = json.loads(metadata["facts"])
    kept = facts["templates"]
    if isinstance(change, dict) and isinstance(change.get("series"), list):
        (first, *_), changes = kept["series"], change["series"]
        change = {**kept, **change, "series": [{**first, **one} for one in changes]}
    facts["templates"] = change
    save_file(arrays, path, metadata={**metadata, "facts": json.dumps(facts)})


STATS = [[0.0], [1.0], [0.0], [1.0]]


@pytest.mark.parametrize(
    "templates",
    [
        None,
        {"series": []},
        {"series": [{"stats": STATS[:3]}]},
        {"series": [{"stats": [[0.0, 1.0]] * 4}]},
        {"series": [{"stats": [[float("nan")], *STATS[1:]]}]},
        {"series": [{"stats": [STATS[0], [0.0], *STATS[2:]]}]},
        {"series": [{"static": [1.0]}]},
        {"series": [{"categories": [2]}]},
        {"series": [{"categories": [2**70]}]},
        {"series": [{"start": 2**70}]},
        {"series": [{"start": -(2**63), "frequency": {"unit": "day"}}], "kind": "time"},
        {"series": [{"frequency": {"unit": "step", "step": 2**62}, "start": 2**62}], "kind": "integer"},
        {"series": [{"frequency": {"unit": "step", "step": 2**70}}], "kind": "integer"},
        {"series": [{"frequency": {"unit": "month", "step": 2**40}}], "kind": "time"},
        {"series": [{"frequency": {"unit": "business day", "step": 2**40}}], "kind": "time"},
    ],
)  # fmt: skip
def test_what_a_file_says_of_its_series_is_looked_over(
    model: rh.SeriesModel, tmp_path: Path, templates: object
) -> None:
    with_templates(model, tmp_path / "m.safetensors", templates)
    opened = rh.SeriesModel(tmp_path / "m.safetensors")
    with pytest.raises(BundleError, match="malformed"):
        opened.generate()
    assert opened.forecast(two(), horizon=2, samples=3).paths_BSHK.shape == (2, 3, 2, 1)


@pytest.mark.parametrize(
    "templates",
    [
        [],
        {},
        3,
        {"kind": "integer"},
        {"series": [{"stats": 3}]},
        {"series": [{"length": 10**13}]},
        {"series": [{"length": -1}]},
        {"series": [{"id": None}]},
        {"series": [{"frequency": {"unit": "fortnight"}}]},
        {"series": [{}], "kind": "sideways"},
        {"series": [{}], "category_levels": "ab"},
    ],
)
def test_a_file_that_says_of_its_series_what_cannot_be_is_refused(
    model: rh.SeriesModel, tmp_path: Path, templates: object
) -> None:
    path = tmp_path / "m.safetensors"
    with_templates(model, path, templates)
    with pytest.raises(BundleError, match="templates") as caught:
        rh.SeriesModel(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_a_series_and_what_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.csv").write_text("t,y\n1,2\n2,3\n")
    Path("words.csv").write_text("text\nhello\nthere\n")
    Path("mixed.csv").write_text("text,stars\nfine words,3\nother words,4\n")
    Path("a.txt").write_text("1 2 3\n")
    assert is_series_run(("n.csv",), {})
    assert is_series_run(("airline",), {})
    assert is_series_run((np.arange(3.0),), {})
    assert not is_series_run(("n.csv",), {"source": {"field": "t"}})
    assert not is_series_run(("n.csv",), {"encoding": "bytes"})
    assert not is_series_run(("words.csv",), {})
    assert not is_series_run(("a.txt",), {})
    assert not is_series_run(("n.csv", "n.csv"), {})
    assert not is_series_run(("nowhere.csv",), {})
    with pytest.raises(SettingsError, match="text and numbers"):
        is_series_run(("mixed.csv",), {})


def test_a_set_may_be_given_itself(tmp_path: Path) -> None:
    given = read_series(two())
    assert isinstance(given, SeriesSet)
    fitted = rh.train_series(given, output=str(tmp_path / "run"), **QUICK)
    assert fitted.forecast(given, horizon=2).paths_BSHK.shape[:3] == (2, 200, 2)
    with pytest.raises(SettingsError, match="name a table"):
        rh.SeriesModel(
            (tmp_path / "run" / "model.safetensors").rename(tmp_path / "m.safetensors")
        ).own_source()
