"""Training on series, and the model that comes of it, as a library."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import rhapsode as rh
from rhapsode.bundle import Provenance, write_bundle
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.errors import BundleError, DataError, SettingsError
from rhapsode.modalities.choose import choose_modality
from rhapsode.modalities.series.corpus import divide, observed_lengths
from rhapsode.modalities.series.forecasting.backtest import backtest, origins_of
from rhapsode.modalities.series.forecasting.drawn_forecasts import draw_forecasts
from rhapsode.modalities.series.settings import SeriesDataSettings
from rhapsode.modalities.text.model import TextModel
from rhapsode.training import join_group
from rhapsode.workflows.runs.planning import plan_training
from rhapsode.workflows.runs.run import prepare_training

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
    return rh.train(two(), output=str(folder), **QUICK)


def pair_table(folder: Path, columns: tuple[str, str] = ("a", "b")) -> Path:
    """A table of two numbers at a time, a hundred apart."""
    angles = np.arange(90) / 4
    values = {"a": np.sin(angles), "b": 100 + np.cos(angles)}
    lines = zip(*(values[name] for name in columns), strict=True)
    table = folder / "pair.csv"
    table.write_text("\n".join([",".join(columns), *(f"{x},{y}" for x, y in lines)]) + "\n")
    return table


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[rh.SeriesModel, Path]:
    """A model of two numbers at a time, and its table."""
    folder = tmp_path_factory.mktemp("pair")
    table = pair_table(folder)
    fitted = rh.train(str(table), output=str(folder / "run"), series={"joint": True}, **QUICK)
    return fitted, table


def rising(length: int) -> np.ndarray:
    """Numbers that nobody takes for times."""
    return np.arange(length) + 0.25


def test_the_end_of_every_series_is_held_out() -> None:
    given = read_series({"a": rising(100), "b": rising(50), "c": rising(9)})
    corpus = divide(given, SeriesDataSettings(validation_share=0.2), where="x")
    assert corpus.chosen_S.tolist() == [90, 45, 8]
    assert corpus.train_S.tolist() == [72, 36, 6]
    assert corpus.horizon == 10
    assert corpus.points == 114
    again = divide(given, SeriesDataSettings(), where="x")
    assert again.sha256 == corpus.sha256
    other = read_series({"a": rising(100) + 1e-9, "b": rising(50), "c": rising(9)})
    assert divide(other, SeriesDataSettings(), where="x").sha256 != corpus.sha256


def test_what_holds_nothing_is_left_out_and_what_is_to_come_is_no_history(
    told: list[str],
) -> None:
    values = np.array([1.0, 2, np.nan, 4, 5, 6, 7, 8, 9, np.nan, np.nan])
    given = read_series({"a": values, "b": np.arange(11.0)})
    given = replace(given, values_NK=given.values_NK.copy())
    given.values_NK[given.rows(1)] = np.nan
    assert observed_lengths(given).tolist() == [9, 0]
    corpus = divide(given, SeriesDataSettings(), where="x")
    assert corpus.given.ids == ("a",)
    assert len(corpus.given.times_N) == 9
    assert "'b'" in told[0]
    with pytest.raises(DataError, match="too few"):
        divide(read_series(rising(5)), SeriesDataSettings(), where="x")


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
    low, high = (model.new_series(like=name, count=5, seed=1) for name in ("low", "high"))
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
        model.new_series(like="other")


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
        TextModel(model.path.parent)
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
    fitted = rh.train(
        str(table), output=str(tmp_path / "run"), series=asked, data={"test_share": 0.0}, **QUICK
    )
    middle = fitted.forecast(str(table), horizon=10, samples=200).quantiles([0.5])[0, 0, :, 0]
    assert np.abs(middle - sales[120:]).max() < 2.0
    with pytest.raises(DataError, match="'price' must be known for all 11 steps"):
        fitted.forecast(str(table), horizon=11)
    with pytest.raises(DataError, match="'price' is not known for a new series"):
        fitted.new_series()


def test_several_numbers_at_a_time(pair: tuple[rh.SeriesModel, Path], tmp_path: Path) -> None:
    fitted, table = pair
    found = fitted.forecast(str(table), horizon=3, samples=30)
    assert found.paths_BSHK.shape == (1, 30, 3, 2)
    assert np.abs(found.mean()[0, :, 1] - 100).max() < 5
    figures = fitted.evaluate(str(table), method=("none",)).to_mapping()
    assert figures["forecasts"]["forecasts"] == 2 * (9 // fitted.bundle.facts.horizon)
    summary = json.loads((fitted.path.parent / "summary.json").read_text())
    assert "10.0%" in summary["protocol"]["split"]
    turned = pair_table(tmp_path, ("b", "a"))
    middle, again = (
        fitted.forecast(str(source), horizon=3, samples=1, temperature=0.0).paths_BSHK
        for source in (table, turned)
    )
    np.testing.assert_allclose(again, middle, rtol=1e-4)
    with pytest.raises(DataError, match="the model has 2"):
        fitted.forecast(rising(30))


def test_a_backtest_scores_every_number_by_its_own_forecast(
    pair: tuple[rh.SeriesModel, Path],
) -> None:
    fitted, table = pair
    given = fitted.read(str(table))
    which, rows = np.array([0, 0, 0]), np.array([60, 70, 88])
    asked = {"samples": 21, "seed": 3}
    drawn, _ = draw_forecasts(fitted.predictor, given, which, rows, 4, wanted=False, **asked)
    found = backtest(fitted.predictor, given, which, rows, horizon=4, season=1, methods=(), **asked)
    # Only two steps are left behind the last origin.
    actual = [given.values_NK[count : count + 4] for count in rows]
    middle, mean = np.median(drawn, axis=1), drawn.mean(axis=1)
    away = [np.abs(middle[n, : len(came)] - came).ravel() for n, came in enumerate(actual)]
    over = [(mean[n, : len(came)] - came).ravel() for n, came in enumerate(actual)]
    figures = found.figures["model"]
    assert (found.forecasts, figures.points) == (6, 20)
    assert figures.mae == pytest.approx(np.concatenate(away).mean())
    assert figures.bias == pytest.approx(np.concatenate(over).mean())
    assert figures.mae < 20


def test_a_backtest_knows_nothing_of_what_is_to_come(model: rh.SeriesModel) -> None:
    # The differences are 1, 3, 5 and so on: the mean of those of a history tells its length.
    given = read_series({"low": np.arange(60) ** 2 / 1.0, "high": np.arange(50) ** 2 + 0.5})
    which, rows = np.array([0, 1, 0]), np.array([30, 41, 52])
    asked = {"samples": 15, "seed": 2}
    found = backtest(model.predictor, given, which, rows, horizon=3, season=1, methods=(), **asked)
    away, scaled, ours = [], [], []
    for series, count in zip(which, rows, strict=True):
        own = given.select(np.array([series]))
        known = own.cut(np.zeros(1, dtype=np.int64), np.array([count]))
        drawn, _ = draw_forecasts(
            model.predictor, known, np.zeros(1, dtype=np.int64), np.array([count]), 3, **asked
        )
        values = own.values_NK[:, 0]
        away.append(values[count : count + 3] - values[count - 1])
        scaled.append(away[-1] / (count - 1))
        ours.append(np.abs(np.median(drawn[0, :, :, 0], axis=0) - values[count : count + 3]))
    naive, figures = found.figures["seasonal naive"], found.figures["model"]
    assert naive.mae == pytest.approx(np.concatenate(away).mean())
    assert naive.mase == pytest.approx(np.concatenate(scaled).mean())
    assert figures.mae == pytest.approx(np.concatenate(ours).mean(), rel=1e-5)


def test_a_forecast_reads_four_windows_before_it(model: rh.SeriesModel) -> None:
    def warm_up(asked: dict[str, Any]) -> tuple[int, int]:
        group = join_group()
        run = plan_training((two(),), asked, resumed=None, base=None, group=group)
        return run.planned.bundle.facts.run_up, run.planned.settings.training.window

    values, window = warm_up(QUICK)
    assert values == 4 * window == model.bundle.facts.run_up
    assert warm_up({**QUICK, "data": {**QUICK.get("data", {}), "run_up": 17}})[0] == 17


def test_the_seed_decides_the_first_weights(tmp_path: Path) -> None:
    def weights(seed: int, name: str) -> np.ndarray:
        asked = {**QUICK, "seed": seed}
        training = prepare_training((two(),), asked, output=str(tmp_path / name))
        return np.concatenate(
            [each.detach().numpy().ravel() for each in training.run.network.parameters()]
        )

    first = weights(1, "first")
    np.testing.assert_array_equal(weights(1, "again"), first)
    assert (weights(2, "other") != first).mean() > 0.5


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
        opened.new_series()
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

    def kind(sources: tuple[Any, ...], asked: dict[str, Any]) -> str:
        return choose_modality(sources, asked)[0].name

    assert kind(("n.csv",), {}) == "series.v1"
    assert kind(("airline",), {}) == "series.v1"
    assert kind((np.arange(3.0),), {}) == "series.v1"
    assert kind(("n.csv",), {"source": {"field": "t"}}) == "text.v1"
    assert kind(("n.csv",), {"encoding": "bytes"}) == "text.v1"
    assert kind(("n.csv",), {"modality": "text"}) == "text.v1"
    assert kind(("words.csv",), {}) == "text.v1"
    assert kind(("a.txt",), {}) == "text.v1"
    assert kind(("a.txt",), {"modality": "series"}) == "series.v1"
    assert kind(("n.csv", "n.csv"), {}) == "text.v1"
    assert kind(("nowhere.csv",), {}) == "text.v1"
    with pytest.raises(SettingsError, match="text and numbers"):
        kind(("mixed.csv",), {})


def test_a_set_may_be_given_itself(tmp_path: Path) -> None:
    given = read_series(two())
    assert isinstance(given, SeriesSet)
    fitted = rh.train(given, output=str(tmp_path / "run"), **QUICK)
    assert fitted.forecast(given, horizon=2).paths_BSHK.shape[:3] == (2, 200, 2)
    with pytest.raises(SettingsError, match="name a table"):
        rh.SeriesModel(
            (tmp_path / "run" / "model.safetensors").rename(tmp_path / "m.safetensors")
        ).own_source()
