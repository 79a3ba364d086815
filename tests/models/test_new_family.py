"""A new family is its folder, its tests and one registration: planned, trained, run and listed like any other."""

from pathlib import Path
from typing import ClassVar

import pytest

import rhapsode as rh
from rhapsode.cli.main import main
from rhapsode.config import parse_context
from rhapsode.models import FAMILIES
from rhapsode.training import plan_id_run
from tests.contracts.model_contract import ModelContract
from tests.models.leaky.config import LeakyConfig, LeakyFamily
from tests.models.leaky.network import Leaky


class TestLeaky(ModelContract):
    family = Leaky
    configurations: ClassVar = {"plain": LeakyConfig(input_size=4, hidden_size=6)}


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))
    FAMILIES.register("leaky.v1")(LeakyFamily)


@pytest.mark.usefixtures("_registered")
def test_a_registered_family_is_planned() -> None:
    plan = plan_id_run(
        family="leaky.v1",
        elements=100_000,
        documents=1,
        vocab_size=60,
        context=parse_context("carried"),
        seconds=60.0,
        epochs=None,
        steps=None,
        speed=1.0,
    )
    assert plan.network["hidden_size"] == 64
    assert plan.training["window"] == LeakyFamily.default_window
    assert plan.training["learning_rate"] == 5e-3
    assert plan.reasons[0].startswith("64 leaky units: for 100,000 elements")


@pytest.mark.usefixtures("_registered")
def test_a_registered_family_is_trained_and_run(
    prose_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = rh.train(
        str(prose_file), output=str(tmp_path / "run"), model="leaky", steps=20, encoding="bytes"
    )
    written = model.generate("The ", length=30, seed=1)
    assert written == model.generate("The ", length=30, seed=1, engine="torch")
    with pytest.raises(rh.RhapsodeError, match=r"it has no form of leaky\.v1"):
        model.generate("The ", length=3, engine="compiled")
    assert main(["info", str(tmp_path / "run")]) == 0
    assert "it has no form of leaky.v1" in capsys.readouterr().out


@pytest.mark.usefixtures("_registered")
def test_a_registered_family_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "leaky;" in capsys.readouterr().out
