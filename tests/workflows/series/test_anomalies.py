"""Anomaly scores: planted spikes, shifts and changed patterns are found, and ordinary values are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import rhapsode as rh
from rhapsode.errors import SettingsError
from rhapsode.modalities.series.anomalies.scores import TailCalibration, window_p_values

LENGTH = 1500


def waves(seed: int, length: int = LENGTH) -> np.ndarray:
    """A season of 12 and noise that depends on its past."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=length)
    for step in range(1, length):
        noise[step] += 0.5 * noise[step - 1]
    return 50 + 8 * np.sin(np.arange(length) * np.pi / 6) + noise


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of one such series."""
    folder = tmp_path_factory.mktemp("waves") / "run"
    rh.train(
        {"y": waves(0)},
        output=str(folder),
        steps=60,
        data={"season": 12},
        network={"hidden_size": 8},
        training={"evaluations": 2},
    )
    return rh.load(folder)


def test_ordinary_values_are_flagged_as_often_as_stated(model: Any) -> None:
    found = model.anomalies({"y": waves(1, 6000)}, false_alarms=0.02)
    flags = found.values_NK | found.windows_NK
    assert 0.008 < flags.mean() < 0.03
    assert found.scored == 6000
    assert found.learnt == 0


def test_planted_anomalies_are_found(model: Any) -> None:
    values = waves(2)
    values[400] += 9
    values[700] -= 9
    values[900:1000] += 5
    values[1200:1236] = 50 + 8 * np.sin(np.arange(36) * np.pi / 3) + waves(3)[:36] * 0
    found = model.anomalies({"y": values}, false_alarms=0.001)
    singles = set(np.flatnonzero(found.values_NK[:, 0]))
    flagged = singles | set(np.flatnonzero(found.windows_NK[:, 0]))
    assert {400, 700} <= singles
    assert flagged & set(range(900, 914))
    assert flagged & set(range(1200, 1236))
    near = {*range(398, 414), *range(698, 714), *range(898, 1015), *range(1198, 1250)}
    assert len(flagged - near) <= 6  # 1.5 by chance, windows come several at a time
    # The value after a spike, and those a season later, are predicted as if it had not been there.
    assert not singles & {401, 412, 701, 712}
    assert found.found()[0].worst in flagged


def test_the_scores_are_those_of_reading_one_value_after_another(model: Any) -> None:
    """Stretches that are read side by side do not change a series without anomalies."""
    values = waves(4, 900)
    found = model.anomalies({"y": values})
    state = model.start({"y": values[:1]})
    scale = model.bundle.encoder.stats(values[:, None])
    state = model.predictor.start(1, scale)
    for step, value in enumerate(values[:700]):
        following, state = model.predictor.advance(np.empty((1, 0, 1)), state)
        if step > 100:
            median = following.table(1).elements[0, 0, 0]
            assert found.expected_NK[step, 0] == pytest.approx(median, abs=0.05)
        state = model.predictor.observe(np.array([[value]]), state, np.zeros((1, 0), np.float32))


def test_a_calibrated_tail_is_uniform() -> None:
    """Scores of too narrow densities, with a few anomalies, become what they say."""
    random = np.random.default_rng(0)
    z = random.standard_t(5, size=50_000)
    p = 2 * stats.norm.sf(np.abs(z))
    p[:250] = 1e-16
    calibrated = TailCalibration.of(p)(p)
    assert (p[250:] < 0.001).mean() > 0.01
    for level in (0.01, 0.001):
        assert 0.2 * level < (calibrated[250:] < level).mean() < 1.5 * level
    assert (calibrated[:250] < 0.001).all()
    assert TailCalibration.of(p[:50]) == TailCalibration()
    missing = np.array([np.nan, 0.5])
    assert np.isnan(TailCalibration.of(p)(missing)[0])


def test_windows_add_up_what_no_value_shows() -> None:
    scores = np.zeros(100)
    scores[50:74] = 1.2
    wide = np.where(np.arange(100) % 2, 2.2, -2.2) * (np.arange(100) >= 60)
    for values in (scores, wide):
        p = window_p_values(values, 24)
        assert np.isnan(p[:23]).all()
        assert p[73 if values is scores else 90] < 1e-5
        assert p[40] > 0.5
    assert np.isnan(window_p_values(np.full(50, np.nan), 24)).all()


def test_files_and_frames(model: Any, tmp_path: Path) -> None:
    values = {"a": waves(5, 300), "b": waves(6, 200)}
    values["b"] = np.concatenate((values["b"], np.full(100, np.nan)))
    values["a"][100] = np.nan
    table, picture = tmp_path / "scores.csv", tmp_path / "scores.svg"
    found = rh.evaluate(model, values, anomalies=True, output=str(table), plot=str(picture))
    lines = table.read_text().splitlines()
    assert lines[0] == "series,time,value,expected,p_value,score,window_p_value,anomaly"
    assert len(lines) == 1 + 300 + 200
    assert lines[101].split(",")[2] == ""
    assert picture.read_text().startswith("<?xml")
    assert found.to_mapping()["elements"] == 499
    with pytest.raises(SettingsError, match="one step ahead"):
        rh.evaluate(model, values, anomalies=True, horizon=3)
