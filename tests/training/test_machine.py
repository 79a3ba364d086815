"""What a machine can do: also one whose PyTorch lacks a kernel, or has only a slow one."""

import time
from pathlib import Path

import pytest
import torch

from rhapsode import train
from rhapsode.errors import SettingsError
from rhapsode.training import faster_precision, matmul_rates, runs
from rhapsode.workflows.runs import planning, trial

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


@pytest.mark.parametrize(("half", "side"), [(1.0, 256), (400.0, 1024)])
def test_a_slow_precision_is_measured_on_small_matrices(
    monkeypatch: pytest.MonkeyPatch, half: float, side: int
) -> None:
    sides: dict[torch.dtype, int] = {}
    last: list[torch.dtype] = []
    plain = torch.ones

    def ones(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        sides[dtype] = shape[0]
        last.append(dtype)
        return plain(4, 4)

    def best(*_: object) -> float:
        rate = half if last[-1] is torch.bfloat16 else 140.0
        return 2 * sides[last[-1]] ** 3 / rate / 1e9

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr("rhapsode.training.machine._best", best)
    threads = torch.get_num_threads()
    rates = matmul_rates()
    assert rates == {"float32": 140.0, "bfloat16": half, "float32_one_thread": 140.0}
    assert sides == {torch.float32: 1024, torch.bfloat16: side}
    assert torch.get_num_threads() == threads


def test_a_network_without_a_bfloat16_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prose: str
) -> None:

    (tmp_path / "text.txt").write_text(prose, encoding="utf-8")
    add = trial.add_gradients

    def gradients(network, feed, step, state, precision, **more):
        lacking(precision)
        return add(network, feed, step, state, precision, **more)

    monkeypatch.setattr(trial, "add_gradients", gradients)
    monkeypatch.setattr(planning, "matmul_rates", lambda: {"float32": 1.0, "bfloat16": 2.0})
    model = train(str(tmp_path / "text.txt"), output=str(tmp_path / "auto"), **QUICK)
    assert model.bundle.provenance.section("training")["precision"] == "float32"
    with pytest.raises(SettingsError, match="no bfloat16 kernel"):
        train(
            str(tmp_path / "text.txt"),
            output=str(tmp_path / "asked"),
            training={"precision": "bfloat16"},
            **QUICK,
        )
    assert not (tmp_path / "asked").exists()
