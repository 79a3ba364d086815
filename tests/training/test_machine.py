"""What a machine can do: also one whose PyTorch lacks a kernel, or has only a slow one."""

import time
from pathlib import Path

import pytest
import torch

from rhapsode import train
from rhapsode.errors import SettingsError
from rhapsode.training import faster_precision, matmul_rates, runs
from rhapsode.workflows import planning

QUICK = {"steps": 2, "network": {"hidden_size": 8}, "samples": {"length": 0}}


def lacking(precision: str) -> None:
    if precision == "bfloat16":
        raise RuntimeError("could not create a primitive descriptor")


def broken(precision: str) -> None:
    raise RuntimeError("broken")


def test_a_missing_kernel_is_no_error() -> None:
    assert not runs(lacking, "bfloat16")
    assert runs(lacking, "float32")
    assert faster_precision(lacking) == ("float32", 0.0)


def test_what_is_broken_in_float32_is_told() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        runs(broken, "float32")


def test_the_faster_precision_is_found() -> None:
    seconds = {"float32": 0.004, "bfloat16": 0.001}
    found, ratio = faster_precision(lambda name: time.sleep(seconds[name]), seconds=0.05)
    assert found == "bfloat16"
    assert ratio > 1.5


def measured_with(monkeypatch: pytest.MonkeyPatch, rate: float) -> list[int]:
    """Sides of the matrices that are multiplied where every product runs at so many GFLOP/s."""
    sides: list[int] = []
    plain = torch.ones

    def ones(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        sides.append(shape[0])
        return plain(4, 4, dtype=torch.float32)

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(
        "rhapsode.training.machine._best", lambda *_: 2 * sides[-1] ** 3 / rate / 1e9
    )
    return sides


def test_rates_are_measured_on_the_largest_matrices_that_take_a_blink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = measured_with(monkeypatch, 140.0)
    assert set(matmul_rates().values()) == {140.0}
    assert max(sides) == 1024


def test_a_slow_precision_is_measured_on_small_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = measured_with(monkeypatch, 1.0)
    assert matmul_rates()["bfloat16"] == 1.0
    assert 64 < max(sides) < 1024


def test_a_network_without_a_bfloat16_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prose: str
) -> None:

    (tmp_path / "text.txt").write_text(prose, encoding="utf-8")
    true_loss = planning.training_loss

    def loss(network, stream, step, state, precision):
        lacking(precision)
        return true_loss(network, stream, step, state, precision)

    monkeypatch.setattr(planning, "training_loss", loss)
    monkeypatch.setattr(planning, "matmul_rates", lambda: {"float32": 1.0, "bfloat16": 2.0})
    model = train(str(tmp_path / "text.txt"), output=str(tmp_path / "auto"), **QUICK)
    assert model.bundle.provenance["settings"]["training"]["precision"] == "float32"
    with pytest.raises(SettingsError, match="no bfloat16 kernel"):
        train(
            str(tmp_path / "text.txt"),
            output=str(tmp_path / "asked"),
            training={"precision": "bfloat16"},
            **QUICK,
        )
    assert not (tmp_path / "asked").exists()
