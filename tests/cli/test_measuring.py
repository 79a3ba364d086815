"""Measuring by one workflow: splits of a run, series side by side, tables surveyed, flags by modality."""

import csv
import io
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from rhapsode.cli.main import main
from tests.cli.conftest import QUICK, Cli

SMALL = ("--steps", "15", "--set", "network.hidden_size=8", "--set", "training.evaluations=2")


@pytest.fixture(scope="session")
def passengers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of series."""
    folder = tmp_path_factory.mktemp("passengers") / "run"
    assert main(["train", "airline", "-o", str(folder), *SMALL]) == 0
    return folder


def test_parts_of_a_run_on_text(cli: Cli, prose_file: Path) -> None:
    assert cli("train", str(prose_file), "-o", "run", "--steps", "5", *QUICK).code == 0
    summary = json.loads(Path("run/summary.json").read_text())
    found = {}
    for name in ("train", "validation", "test"):
        done = cli("evaluate", "run", "--split", name, "--json")
        assert done.code == 0, done.err
        found[name] = json.loads(done.out)
        assert found[name]["protocol"]["split"].startswith(f"{name}: ")
    assert found["test"]["loss"] == pytest.approx(summary["loss"], rel=1e-6)
    assert found["test"]["elements"] == summary["elements"]
    assert found["test"]["baselines"] == summary["baselines"]
    characters = len(prose_file.read_text(encoding="utf-8"))
    assert sum(part["elements"] for part in found.values()) >= characters
    shown = cli("evaluate", "run", "--split", "validation").out
    assert f"{found['validation']['loss']:.4f}" in shown


def test_parts_that_cannot_be_had(cli: Cli, prose: str) -> None:
    Path("a.txt").write_text(prose[:20_000], encoding="utf-8")
    assert cli("train", "a.txt", "-o", "run", "--steps", "2", *QUICK).code == 0
    both = cli("evaluate", "run", "a.txt", "--split", "test")
    assert (both.code, "cannot be combined with other sources" in both.err) == (1, True)
    shutil.copy("run/model.safetensors", "alone.safetensors")
    alone = cli("evaluate", "alone.safetensors", "--split", "test")
    assert (alone.code, "no config.toml" in alone.err) == (1, True)
    Path("a.txt").write_text(prose[:20_000].replace("e", "a"), encoding="utf-8")
    changed = cli("evaluate", "run", "--split", "test")
    assert (changed.code, "not the one this run began with" in changed.err) == (1, True)
    Path("a.txt").unlink()
    assert cli("evaluate", "run", "--split", "test").code == 1
    assert cli("evaluate", "run", "--split", "half").code == 2


def test_an_empty_part(cli: Cli, prose: str) -> None:
    Path("a.txt").write_text(prose[:20_000], encoding="utf-8")
    none = ("--set", "data.test_share=0")
    assert cli("train", "a.txt", "-o", "run", "--steps", "2", *none, *QUICK).code == 0
    done = cli("evaluate", "run", "--split", "test")
    assert (done.code, "the test split of this run is empty" in done.err) == (1, True)


def test_parts_of_a_run_on_series(cli: Cli, passengers: Path) -> None:
    summary = json.loads((passengers / "summary.json").read_text())
    found = {}
    for name in ("train", "validation", "test"):
        done = cli("evaluate", str(passengers), "--split", name, "--method", "none", "--json")
        assert done.code == 0, done.err
        found[name] = json.loads(done.out)
        assert found[name]["protocol"]["split"].startswith(f"{name}: ")
        assert np.isfinite(found[name]["loss"])
    assert found["test"]["loss"] == summary["loss"]
    assert found["test"]["forecasts"] == summary["forecasts"]
    assert found["test"]["learnt"] == 0
    assert found["train"]["learnt"] == found["train"]["elements"] > 0
    told = cli("evaluate", str(passengers), "--split", "validation", "--method", "none")
    assert "were used to train the model" in told.err
    assert "seasonal naive" in told.out


def test_a_backtest_is_written_as_a_table(cli: Cli, passengers: Path) -> None:
    flags = ("--horizon", "4", "--origins", "3", "--stride", "2", "--method", "none")
    done = cli("evaluate", str(passengers), *flags, "--output", "steps.csv", "--json")
    assert done.code == 0, done.err
    with Path("steps.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["origin"] for row in rows[::4]] == ["1960-04", "1960-06", "1960-08"]
    assert [(row["step"], row["time"]) for row in rows[:4]] == [
        (str(step), f"1960-0{4 + step}") for step in range(1, 5)
    ]
    away = [abs(float(row["actual"]) - float(row["q0.5"])) for row in rows]
    inside = [float(row["q0.05"]) <= float(row["actual"]) <= float(row["q0.95"]) for row in rows]
    model = json.loads(done.out)["forecasts"]["methods"]["model"]
    assert np.mean(away) == pytest.approx(model["mae"])
    assert np.mean(inside) == pytest.approx(model["coverage"]["90%"])
    assert model["coverage_error"]["90%"] is not None or np.mean(inside) == 1
    assert model["interval_score"]["90%"] > 0
    wrong = cli("evaluate", str(passengers), *flags, "--output", "steps.png")
    assert (wrong.code, "tables are written as" in wrong.err) == (1, True)


def test_series_side_by_side(cli: Cli, passengers: Path) -> None:
    worse = ("--set", "training.learning_rate=1e-6", "--set", "head.name=laplace")
    assert cli("train", "airline", "-o", "worse", *SMALL, *worse).code == 0
    flags = ("--horizon", "6", "--origins", "12", "--stride", "3", "--samples", "20", "--seed", "1")
    models = (str(passengers), "worse")
    done = cli("compare", *models, "--on", "airline", *flags, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    figures = {row["model"]: row["figures"] for row in found["rows"]}
    assert {row["encoding"] for row in found["rows"]} >= {"laplace"}
    assert [one["forecasts"]["forecasts"] for one in figures.values()] == [12, 12]
    alone = json.loads(
        cli("evaluate", "worse", "airline", *flags, "--method", "none", "--json").out
    )
    assert figures["worse"] == alone
    assert {one["measure"] for one in found["contrasts"]} == {"nats_per_value", "crps", "mase"}
    for one in found["contrasts"]:
        better, last = (figures[one[which]] for which in ("better", "worse"))
        if one["measure"] == "nats_per_value":
            gap = last["loss"] - better["loss"]
        else:
            of = [each["forecasts"]["methods"]["model"][one["measure"]] for each in (last, better)]
            gap = of[0] - of[1]
        assert gap >= 0
        assert one["difference"][one["measure"]] == pytest.approx(gap, rel=1e-6, abs=1e-12)
        # Of values there are seven stretches, too few for a test.
        tested = one["measure"] != "nats_per_value"
        assert (one["difference"]["p_value"] is not None) == tested
        assert one["difference"]["forecasts"] == (12 if tested else 7)
    shown = " ".join(cli("compare", *models, "--on", "airline", *flags).out.split())
    assert "MASE" in shown
    assert "paired over forecasts of 6 steps" in shown


def test_models_of_different_kinds_do_not_compare(
    cli: Cli, run_folder: Path, passengers: Path
) -> None:
    done = cli("compare", str(run_folder), str(passengers), "--on", "airline")
    assert (done.code, "cannot be compared" in done.err) == (1, True)
    assert "of text" in done.err
    assert "of series" in done.err
    twin = shutil.copytree(passengers, "twin")
    blind = cli("compare", str(passengers), str(twin), "--blind", "--on", "airline")
    assert (blind.code, "no prompts are taken" in blind.err) == (1, True)


def test_series_are_compared_blind(
    cli: Cli, passengers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = shutil.copytree(passengers, "twin")
    Path("history.csv").write_text(
        "month,value\n" + "".join(f"1950-{month:02},{100 + month}\n" for month in range(1, 13))
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    flags = ("--blind", "--prompt", "history.csv", "--length", "3", "--json")
    done = cli("compare", str(passengers), str(twin), *flags)
    assert done.code == 0, done.err
    assert json.loads(done.out)["votes"] == 1
    assert "1951-03" in done.err
    assert "1951-04" not in done.err


def test_a_series_is_shown_as_a_network_learns_it(cli: Cli) -> None:
    seen = json.loads(cli("data", "show", "airline", "--json").out)
    (series,) = seen["series"]
    assert len(series["targets"]) == len(series["values"]) == 144
    assert "144 steps" in cli("data", "show", "airline").out
    assert "numbered 0 to 0" in cli("data", "show", "airline", "--document", "1").err


def test_help_tells_the_flags_of_the_model(cli: Cli, run_folder: Path, passengers: Path) -> None:
    of_text, of_series, common = (
        cli("evaluate", *words, "--help").out
        for words in ((str(run_folder),), (str(passengers),), ())
    )
    for flag in ("--split", "--json"):
        assert flag in of_text
        assert flag in of_series
        assert flag in common
    assert "--dynamic" in of_text
    assert "--horizon" not in of_text
    assert "--horizon" in of_series
    assert "--dynamic" not in of_series
    assert "--horizon" not in common
    assert cli("evaluate", str(passengers), "--dynamic").code == 2
    missing = cli("evaluate", "nowhere", "a.txt", "--dynamic")
    assert (missing.code, "no such model" in missing.err) == (1, True)


def test_a_table_is_surveyed(cli: Cli) -> None:
    rows = [
        f"2020-{1 + n // 28:02}-{1 + n % 28:02},{n % 7},{'' if n == 5 else -n}" for n in range(28)
    ]
    Path("t.csv").write_text("day,y,z\n" + "\n".join(rows) + "\n")
    found = json.loads(cli("data", "info", "t.csv", "--json").out)
    assert (found["series"], found["rows"], found["values"], found["missing"]) == (2, 56, 55, 1)
    assert found["frequencies"] == {"daily": 2}
    assert (found["first"], found["last"]) == ("2020-01-01", "2020-01-28")
    assert sum(share["values"] for share in found["shares"].values()) == 55
    assert found["training"]["model"] == "lstm_skip.v1"
    shown = cli("data", "info", "t.csv")
    assert shown.code == 0, shown.err
    for word in ("daily", "1 missing", "Splits", "rhapsode train would choose"):
        assert word in shown.out
    text = json.loads(cli("data", "info", "t.csv", "--modality", "text", "--json").out)
    assert text["characters"] == Path("t.csv").stat().st_size
    plan = cli("train", "t.csv", "--modality", "text", "--encoding", "bytes", "--plan")
    assert 'encoding = "bytes.v1"' in plan.out
    Path("s.csv").write_text("y\n1\n2\n3\n")
    short = json.loads(cli("data", "info", "s.csv", "--json").out)
    assert "too few to train a model" in short["training"]["reasons"][0]
    assert cli("data", "info", "t.csv", "--plot", "t.png").code == 1


@pytest.mark.parametrize("source", ["airline", "kitchen"])
def test_the_plan_that_is_told_is_the_planners(
    cli: Cli, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("rhapsode.training", "rhapsode.workflows.runs.planning"):
        rates = {"float32": 50.0, "bfloat16": 1.0}
        monkeypatch.setattr(f"{place}.matmul_rates", lambda rates=rates: rates)
    told = json.loads(cli("data", "info", source, "--json").out)["training"]
    done = cli("train", source, "--plan")
    assert done.code == 0
    plan = tomllib.loads(done.out)
    assert told["model"] == plan["model"]
    assert told["network"] == plan["network"]
    assert told["batch_size"] == plan["training"]["batch_size"]
    assert told["window"] == plan["training"]["window"]
    assert told["learning_rate"] == plan["training"]["learning_rate"]
    assert f"{told['parameters']:,} parameters" in done.out
