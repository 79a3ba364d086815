"""Constant series, whole numbers and series without negative values, in forecasts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rhapsode as rh
from rhapsode.modalities.series.forecasting.drawn_forecasts import keep_properties
from tests.contracts.filter_contract import PROVE

NUMBER = st.floats(-1e6, 1e6, allow_subnormal=False)
PATHS = st.lists(NUMBER, min_size=6, max_size=6).map(lambda row: np.array(row).reshape(3, 2))


@PROVE
@given(paths=PATHS, history=st.lists(NUMBER | st.just(np.nan), min_size=1, max_size=9),
       season=st.integers(1, 5), lowest=st.none() | NUMBER)  # fmt: skip
def test_paths_keep_what_all_values_have(
    paths: np.ndarray, history: list[float], season: int, lowest: float | None
) -> None:
    known = [value for value in history if not np.isnan(value)]
    kept = paths.copy()
    keep_properties(kept, np.array(history), season, lowest)
    constant = len(known) >= 4 and len(set(known)) == 1
    long = bool(known) and (len(known) >= 2 * season or (lowest is not None and lowest >= 0))
    if constant:
        assert (kept == known[0]).all()
        return
    wanted = np.maximum(paths, 0) if long and min(known) >= 0 else paths
    if len(known) >= 4 and all(value == round(value) for value in known):
        wanted = np.rint(wanted)
    np.testing.assert_array_equal(kept, wanted)


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> "rh.Forecast":
    """Of a model of seven kinds of series after two updates, which knows nothing."""
    folder = tmp_path_factory.mktemp("constant")
    draw = np.random.default_rng(0)
    counts, normal = draw.poisson(2, 150), draw.normal(size=150)
    columns = {"zero": 0 * counts, "seven": 0 * counts + 7, "tenth": 0 * counts + 0.1,
               "hundreds": 100 * counts, "debts": -counts, "rate": abs(normal), "change": normal}  # fmt: skip
    rows = zip(range(150), *(column.tolist() for column in columns.values()), strict=True)
    table = folder / "table.csv"
    table.write_text(
        ",".join(["t", *columns]) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    )
    model = rh.train(
        str(table), output=folder / "run", steps=2, modality="series", samples={"length": 0}
    )
    return rh.forecast(model, str(table), horizon=6, samples=60, quantiles=(0.1, 0.5, 0.9))


def test_a_model_forecasts_them_exactly(forecast: "rh.Forecast") -> None:
    paths = dict(zip(forecast.ids, forecast.paths_BSHK[..., 0], strict=True))
    for name, value in (("zero", 0.0), ("seven", 7.0), ("tenth", 0.1)):
        assert (paths[name] == value).all()
        place = forecast.ids.index(name)
        assert (forecast.mean()[place] == value).all()
        assert (forecast.quantiles((0.1, 0.5, 0.9))[:, place] == value).all()
    for name in ("hundreds", "debts"):
        assert (paths[name] == np.rint(paths[name])).all()
        quantiles = forecast.quantiles((0.1, 0.5, 0.9))[:, forecast.ids.index(name)]
        assert (quantiles == np.rint(quantiles)).all()
    assert paths["hundreds"].min() >= 0
    assert paths["rate"].min() >= 0
    assert paths["change"].min() < 0
    assert len(np.unique(paths["rate"])) > 60


def test_zeros(shared_data: Path, tmp_path: Path) -> None:
    table = shared_data.parent / "cases" / "zeros.csv"
    if not table.is_file():
        pytest.skip("no folder of cases beside the corpora")
    model = rh.train(str(table), output=tmp_path / "run", steps=3, samples={"length": 0})
    found = rh.forecast(model, str(table), horizon=5, samples=40)
    place = found.ids.index("zero")
    assert not found.paths_BSHK[place].any()
    assert found.paths_BSHK.min() >= 0
    assert not found.mean()[place].any()
