"""`rhapsode train --plan`: the settings with their reasons, as a file that trains just so, and nothing on disk."""

import tomllib
from pathlib import Path

import pytest

from rhapsode.config import from_mapping
from rhapsode.modalities.text.settings import TrainSettings
from tests.cli.conftest import Cli


def test_the_plan_is_the_config_of_the_run_it_stands_for(cli: Cli, prose_file: Path) -> None:
    asked = (str(prose_file), "--steps", "3", "--set", "network.hidden_size=24")
    planned = cli("train", *asked, "--plan")
    assert planned.code == 0, planned.err
    assert not Path("runs").exists()
    reasons = [line for line in planned.out.splitlines() if line.startswith("#")]
    assert any("24 units" in line for line in reasons)
    assert any("passes are expected" in line for line in reasons)
    settings = from_mapping(TrainSettings, tomllib.loads(planned.out), where="plan")
    assert settings.steps == 3
    assert settings.modality == "text"
    assert settings.network["hidden_size"] == 24
    assert settings.training.batch_size is not None
    assert settings.training.precision != "auto"
    Path("plan.toml").write_text(planned.out)
    done = cli("train", str(prose_file), "--config", "plan.toml", "-o", "run")
    assert done.code == 0, done.err
    kept = tomllib.loads(Path("run/config.toml").read_text())
    kept.pop("run")
    assert kept == tomllib.loads(planned.out)


def test_many_passes_are_a_whole_number(cli: Cli, prose_file: Path) -> None:
    planned = cli("train", str(prose_file), "--epochs", "5000", "--plan")
    assert "about 5,000 passes are expected" in planned.out


@pytest.mark.parametrize("more", [("--resume",), ("--repeat", "2")])
def test_what_has_no_plan_of_its_own_is_refused(
    cli: Cli, prose_file: Path, more: tuple[str, ...]
) -> None:
    done = cli("train", str(prose_file), "-o", "run", "--plan", *more)
    assert done.code == 1
    assert done.err.count("\n") <= 2
    assert done.out == ""


@pytest.mark.parametrize(("head", "encoding"), [("joint", "auto"), ("lapace", "binned")])
def test_a_head_that_series_lack_is_answered_by_those_they_have(
    cli: Cli, head: str, encoding: str
) -> None:
    asked = ("--steps", "2", "--encoding", encoding, "--set", f"head.name={head}")
    done = cli("train", "airline", *asked, "--plan")
    assert (done.code, done.out) == (1, "")
    assert f"[head] name: {head!r} is not a distribution of series" in done.err
    assert "negative_binomial" in done.err
    assert "joint," not in done.err


def test_a_plan_for_a_device_that_is_not_there_is_one_line(cli: Cli, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "--plan", "--device", "cuda")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "this PyTorch has no device cuda:0, only cpu" in done.err
