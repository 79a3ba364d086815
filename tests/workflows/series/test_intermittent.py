"""Intermittent values: the head with a probability of zero is chosen where it helps, and nowhere else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.errors import EncodingError, SettingsError
from rhapsode.modalities.series.fitting.intermittent import choose_hurdle

QUICK: dict[str, Any] = {
    "steps": 30,
    "network": {"hidden_size": 8},
    "training": {"evaluations": 2},
}


def demand(seed: int, *, whole: bool, length: int = 300) -> np.ndarray:
    """Orders on three days of ten, of five units or more."""
    random = np.random.default_rng(seed)
    size = 5 + random.poisson(3.0, size=length) if whole else random.gamma(4.0, 2.0, size=length)
    return np.where(random.random(length) < 0.3, size, 0.0)


def test_a_hurdle_is_chosen_where_it_helps() -> None:
    random = np.random.default_rng(0)
    whole = [demand(seed, whole=True) for seed in range(5)]
    found = choose_hurdle(whole, counts=True)
    assert found is not None
    assert found.head == "hurdle_negative_binomial"
    assert "% of the values are zero" in found.reason
    parts = choose_hurdle([demand(seed, whole=False) for seed in range(5)], counts=False)
    assert parts is not None
    assert parts.head == "hurdle_gamma"
    # Zeros that a distribution of counts explains by itself.
    for rare in (random.poisson(0.7, size=(5, 300)), random.negative_binomial(0.5, 0.4, (5, 300))):
        assert choose_hurdle(list(rare.astype(float)), counts=True) is None
    assert choose_hurdle([np.abs(random.normal(size=300))], counts=False) is None
    assert choose_hurdle([np.zeros(50)], counts=True) is None
    assert choose_hurdle([demand(0, whole=False) - 1], counts=False) is None
    assert choose_hurdle([np.array([0.0, 0.0, 1.0])], counts=True) is None


@pytest.mark.parametrize("whole", [True, False])
def test_it_is_planned_trained_and_forecast_with(tmp_path: Path, whole: bool) -> None:
    table = {f"s{seed}": demand(seed, whole=whole) for seed in range(4)}
    rh.train(table, output=str(tmp_path / "run"), **QUICK)
    model = rh.load(tmp_path / "run")
    name = "hurdle_negative_binomial.v1" if whole else "hurdle_gamma.v1"
    assert model.bundle.config.head.name == name
    paths = model.forecast(table, horizon=20, samples=100).paths_BSHK
    assert paths.min() == 0
    assert 0.4 < (paths == 0).mean() < 0.9
    assert (paths == np.rint(paths)).all() == whole
    assert np.isfinite(rh.evaluate(model, table, method=["none"]).loss)
    if not whole:
        with pytest.raises(EncodingError, match=r"encoder\.amounts declares impossible"):
            model.forecast({"s": np.array([-1.0, 2.0, 3.0])}, horizon=2)


def test_a_head_needs_its_encoding(tmp_path: Path) -> None:
    table = {"s": demand(0, whole=True)}
    plain = {"head": {"name": "student_t"}, "encoder": {"amounts": True}}
    for settings, what in (
        (plain, "not a distribution of amounts"),
        ({"head": {"name": "hurdle_gamma"}, "encoder": {"counts": True}}, "exclude one another"),
    ):
        with pytest.raises(SettingsError, match=what):
            rh.train(table, output=str(tmp_path / "run"), **QUICK, **settings)
