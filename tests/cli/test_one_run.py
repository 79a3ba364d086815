"""Runs on sequences of every kind: what the modality decides, and what works for each."""

import json
from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.errors import SettingsError
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.choose import choose_modality
from rhapsode.modalities.contract import Claim, Degree
from tests.cli.conftest import Cli

QUICK = ("--steps", "12", "--set", "network.hidden_size=8", "--set", "training.evaluations=2")


def table(name: str, length: int = 80) -> None:
    values = 10 + np.sin(np.arange(length) / 3)
    Path(name).write_text("y\n" + "".join(f"{value:.4f}\n" for value in values))


def test_the_modality_may_be_named(cli: Cli, tmp_path: Path) -> None:
    table("t.csv")
    assert cli("train", "t.csv", "-o", "numbers", *QUICK).code == 0
    assert cli("train", "t.csv", "--modality", "text", "-o", "letters", *QUICK).code == 0
    kinds = [
        json.loads(cli("info", run, "--json").out)["modality"] for run in ("numbers", "letters")
    ]
    assert kinds == ["series.v1", "text.v1"]
    done = cli("train", "t.csv", "--modality", "tune", "-o", "run")
    assert done.code == 1
    assert "unknown modality 'tune'" in done.err


def test_equal_claims_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODALITIES.names():
        modality = MODALITIES.get(name)
        monkeypatch.setattr(
            type(modality), "claim", lambda *_: Claim(Degree.LIKELY, "it looks like it")
        )
    with pytest.raises(SettingsError, match="may be") as caught:
        choose_modality(("x",), {})
    assert "--modality" in str(caught.value)


def test_series_begin_as_an_older_model(cli: Cli, tmp_path: Path) -> None:
    table("old.csv")
    table("new.csv", 60)
    assert cli("train", "old.csv", "-o", "old", *QUICK).code == 0
    done = cli("train", "new.csv", "--from", "old", "-o", "new", "--steps", "6")
    assert done.code == 0, done.err
    assert "before: validation" in done.err
    old, new = rh.load("old").bundle, rh.load("new").bundle
    assert new.encoder.settings == old.encoder.settings
    assert new.config == old.config
    assert new.provenance.ancestors[-1]["data_sha256"] == old.provenance.data_sha256
    summary = json.loads(Path("new/summary.json").read_text())
    assert summary["validation_loss"] <= summary["from"]["validation_loss"]
    refused = cli("train", "new.csv", "--from", "old", "-o", "x", "--set", "network.hidden_size=9")
    assert refused.code == 1
    assert "network.hidden_size is 8, not 9" in refused.err


def test_a_base_model_of_another_kind_is_refused(cli: Cli, tmp_path: Path) -> None:
    table("t.csv")
    Path("t.txt").write_text("some words, and more of them\n" * 40)
    assert cli("train", "t.csv", "-o", "numbers", *QUICK).code == 0
    done = cli("train", "t.txt", "--from", "numbers", "-o", "x", *QUICK)
    assert done.code == 1
    assert "series of numbers" in done.err
    assert not Path("x").exists()


def test_series_show_samples_as_asked(cli: Cli, tmp_path: Path) -> None:
    table("t.csv")
    shown = ("--set", "samples.temperatures=[0.5, 1.5]", "--set", "samples.length=5")
    assert cli("train", "t.csv", "-o", "run", *QUICK, *shown).code == 0
    told = Path("run/samples.md").read_text()
    assert "Temperature 0.5:" in told
    assert "Temperature 1.5:" in told
    after = told.split("│")[1].split("\n")[0]
    assert len(after.strip()) == 5
    none = ("--set", "samples.length=0")
    assert cli("train", "t.csv", "-o", "quiet", *QUICK, *none).code == 0
    assert "Temperature" not in Path("quiet/samples.md").read_text()


def test_the_plan_of_a_table_is_read_again(cli: Cli, tmp_path: Path) -> None:
    table("t.csv")
    planned = cli("train", "t.csv", "--plan", *QUICK)
    assert planned.code == 0, planned.err
    Path("plan.toml").write_text(planned.out)
    again = cli("train", "t.csv", "--config", "plan.toml", "--plan")
    assert again.code == 0, again.err

    def settings(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("#")]

    assert settings(again.out) == settings(planned.out)
