"""The linear part of a network in words: names, places and weights of its inputs."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import rhapsode as rh
from rhapsode.modalities.series.fitting.linear_part import input_names

QUICK: dict[str, Any] = {
    "steps": 1,
    "network": {"hidden_size": 4},
    "training": {"learning_rate": 1e-9, "evaluations": 1},
}


def seasonal(tmp_path: Path) -> Any:
    """A model of values that depend on the last one and on that of a season before."""
    random = np.random.default_rng(0)
    values = random.normal(size=2000)
    for step in range(7, 2000):
        values[step] += 0.5 * values[step - 1] + 0.3 * values[step - 7]
    rh.train(
        {"y": values},
        output=str(tmp_path / "run"),
        data={"season": 7},
        encoder={"scaling": "none", "difference": 0},
        **QUICK,
    )
    return rh.load(tmp_path / "run")


def test_the_lags_of_a_process_are_shown(tmp_path: Path) -> None:
    model = seasonal(tmp_path)
    found = model.info().to_mapping()["linear"]
    weights = {one["input"]: one["weight"] for one in found["numbers"]["y"]["weights"]}
    assert found["of"] == "values, scaled (none)"
    assert weights["lag 1"] == pytest.approx(0.5, abs=0.08)
    assert weights["lag 7 (a season)"] == pytest.approx(0.3, abs=0.08)
    assert max(abs(weights[name]) for name in ("lag 2", "lag 6", "lag 8")) < 0.1
    sizes = [abs(one["weight"]) for one in found["numbers"]["y"]["weights"]]
    assert sizes == sorted(sizes, reverse=True)
    shown = repr(model.info())
    assert "linear part of y" in shown
    assert "lag 7 (a season)" in shown


def test_the_weights_are_those_of_the_network(tmp_path: Path) -> None:
    """Names stand at the place of their input: each moves the location by its weight."""
    frame = pl.DataFrame(
        {
            "day": [dt.date(2024, 1, 1) + dt.timedelta(step) for step in range(300)],
            "a": np.random.default_rng(1).normal(size=300),
            "b": np.random.default_rng(2).normal(size=300),
            "price": np.random.default_rng(3).normal(size=300),
        }
    )
    reading = {"known": ["price"], "joint": True, "value_columns": ["a", "b"]}
    rh.train(frame, output=str(tmp_path / "run"), series=reading, **QUICK)
    model = rh.load(tmp_path / "run")
    bundle = model.bundle
    names = input_names(bundle.encoder, bundle.facts.covariates, bundle.facts.names)
    size = bundle.encoder.feature_size + bundle.facts.covariates.size
    assert len(names) == len(set(names)) == size
    assert {"lag 1 of b", "price", "sine of day of week"} <= set(names)
    network = model.network
    weights = model.info().to_mapping()["linear"]["numbers"]["b"]["weights"]
    features = torch.zeros(1, 1, network.head.weight.shape[1])
    middle = network.head(features)[0, 0, network.head.width // 2]
    for one in weights[:5]:
        moved = features.clone()
        label = one["input"].partition(" (")[0]
        moved[0, 0, -size + names.index(label)] = 1.0
        found = network.head(moved)[0, 0, network.head.width // 2] - middle
        assert found.item() == pytest.approx(one["weight"], abs=1e-5)


def test_other_models_have_none(tmp_path: Path) -> None:
    rh.train({"y": np.arange(60.0) % 7}, output=str(tmp_path / "run"), model="lstm", **QUICK)
    assert "linear" not in rh.info(tmp_path / "run").to_mapping()
