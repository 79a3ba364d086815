"""Statistical methods: what is handed to statsforecast and what is made of its answer; the library itself is a peer's."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.evaluation.statistical_methods import STATISTICAL, statistical_forecast

NAN = math.nan


class Fake:
    """Answers as a model of statsforecast does, and keeps what it was asked."""

    asked: dict

    def __init__(self, season_length: int) -> None:
        Fake.asked = {"season": season_length}

    def forecast(self, y: np.ndarray, h: int, level: list[int]) -> dict[str, np.ndarray]:
        if y[0] == 13:
            raise ZeroDivisionError("no optimum")
        Fake.asked |= {"y": y.tolist()}
        middle = np.full(h, math.inf if y[0] == 14 else y[-1])
        ends = {f"lo-{share}": middle - share for share in level}
        return {"mean": middle, **ends, **{f"hi-{share}": middle + share for share in level}}


@pytest.fixture
def _library(monkeypatch: pytest.MonkeyPatch) -> None:
    models = SimpleNamespace(AutoETS=Fake, AutoARIMA=Fake, AutoTheta=Fake)
    monkeypatch.setitem(sys.modules, "statsforecast", SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "statsforecast.models", models)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("name", list(STATISTICAL))
def test_intervals_become_quantiles(name: str) -> None:
    forecast = statistical_forecast(name, np.arange(30.0), 2, 12)
    assert Fake.asked["season"] == 12
    assert forecast.at(0.5).tolist() == [29.0, 29.0]
    assert forecast.at(0.05).tolist() == [29.0 - 90] * 2
    assert forecast.at(0.75).tolist() == [29.0 + 50] * 2
    assert forecast.at(0.7).tolist() == [29.0 + 40] * 2
    assert forecast.samples_ST is None


@pytest.mark.usefixtures("_library")
def test_gaps_are_filled_and_short_histories_have_no_season() -> None:
    statistical_forecast("ets", np.array([NAN, 1.0, NAN, NAN, 4.0, 6.0, NAN]), 2, 4)
    assert Fake.asked == {"season": 1, "y": [1.0, 2.0, 3.0, 4.0, 6.0]}


@pytest.mark.usefixtures("_library")
def test_what_cannot_be_forecast_is_said() -> None:
    with pytest.raises(SettingsError, match="'prophet'"):
        statistical_forecast("prophet", np.arange(9.0), 2, 1)
    with pytest.raises(DataError, match="at least 3"):
        statistical_forecast("theta", np.array([NAN, 2.0]), 2, 1)
    with pytest.raises(DataError, match="no optimum"):
        statistical_forecast("theta", np.full(9, 13.0), 2, 1)
    with pytest.raises(DataError, match="finite"):
        statistical_forecast("arima", np.full(9, 14.0), 2, 1)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(MissingExtraError, match="Theta"):
        statistical_forecast("ets", np.arange(9.0), 2, 1)
