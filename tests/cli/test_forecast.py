"""`rhapsode forecast`, and the other commands on series of numbers."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pytest

from rhapsode.cli.main import main
from rhapsode.cli.train import in_settings
from rhapsode.config import read_settings
from rhapsode.data.tables import read
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.frames import parquet_table
from rhapsode.data.tables.settings import SeriesSettings
from tests.cli.conftest import Cli

QUICK = ("--steps", "25", "--set", "network.hidden_size=8", "--set", "training.evaluations=2")


def wave(length: int, level: float = 10.0) -> list[float]:
    steps = np.arange(length)
    return (level + 3 * np.sin(steps * 2 * np.pi / 6) + 0.01 * steps).round(4).tolist()


def lines(*rows: object) -> str:
    return "\n".join(map(str, rows)) + "\n"


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of values by their order."""
    base = tmp_path_factory.mktemp("series")
    table = base / "wave.csv"
    table.write_text(lines("y", *wave(160)))
    assert main(["train", str(table), "-o", str(base / "run"), *QUICK]) == 0
    return base / "run"


@pytest.fixture(scope="session")
def monthly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of passengers a month."""
    folder = tmp_path_factory.mktemp("monthly") / "run"
    assert main(["train", "airline", "-o", str(folder), *QUICK]) == 0
    return folder


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_run_has_all_its_files(monthly: Path) -> None:
    summary = json.loads((monthly / "summary.json").read_text())
    assert summary["forecasts"]["methods"].keys() == {"model", "network alone", "seasonal naive"}
    assert summary["protocol"]["split"].startswith("test: the last")
    assert np.isfinite(summary["loss"])
    for name in (
        "model.safetensors",
        "config.toml",
        "metrics.jsonl",
        "samples.md",
        "README.md",
        "curve.svg",
    ):
        assert (monthly / name).stat().st_size > 0
    assert "│" in (monthly / "samples.md").read_text()


def test_forecast_continues_its_own_table(cli: Cli, monthly: Path) -> None:
    done = cli("forecast", str(monthly), "--horizon", "5", "--samples", "50")
    assert done.code == 0
    rows = rows_of(done.out)
    assert [row["time"] for row in rows] == [f"1961-0{month}" for month in range(1, 6)]
    assert list(rows[0]) == [
        "series",
        "time",
        "step",
        "mean",
        "q0.05",
        "q0.25",
        "q0.5",
        "q0.75",
        "q0.95",
    ]
    for row in rows:
        values = [float(row[name]) for name in ("q0.05", "q0.25", "q0.5", "q0.75", "q0.95")]
        assert values == sorted(values)


def test_the_network_alone(cli: Cli, monthly: Path) -> None:
    flags = ("--horizon", "3", "--samples", "60", "--paths")
    alone = cli("forecast", str(monthly), *flags, "--network-alone").out
    assert alone != cli("forecast", str(monthly), *flags).out
    # A temperature is one of the network, too: as good as 1 gives the network's own paths.
    near = cli("forecast", str(monthly), *flags, "--temperature", "1.0000001").out
    assert [float(row["value"]) for row in rows_of(near)] == pytest.approx(
        [float(row["value"]) for row in rows_of(alone)], abs=1
    )


def test_samples_seed_and_temperature(cli: Cli, monthly: Path) -> None:
    def drawn(*flags: str) -> list[float]:
        done = cli("forecast", str(monthly), "--horizon", "3", "--paths", *flags)
        assert done.code == 0
        return [float(row["value"]) for row in rows_of(done.out)]

    once = drawn("--samples", "4")
    assert len(once) == 12
    assert drawn("--samples", "4", "--seed", "0") == once
    assert drawn("--samples", "4", "--seed", "1") != once
    assert len({round(value, 3) for value in drawn("--samples", "4", "--temperature", "0")}) == 3
    wide = drawn("--samples", "200", "--temperature", "1.5")
    assert np.std(wide) > np.std(drawn("--samples", "200"))


def test_quantiles_and_format(cli: Cli, monthly: Path) -> None:
    done = cli(
        "forecast", str(monthly), "--horizon", "2", "--quantiles", "0.9", "--quantiles", "0.1"
    )
    assert list(rows_of(done.out)[0])[3:] == ["mean", "q0.1", "q0.9"]
    done = cli("forecast", str(monthly), "--horizon", "2", "--format", "json")
    found = json.loads(done.out)
    assert found["horizon"] == 2
    assert found["forecasts"][0]["times"] == ["1961-01", "1961-02"]
    assert cli("forecast", str(monthly), "--quantiles", "1.5").code != 0


def test_output_and_plot(cli: Cli, monthly: Path, tmp_path: Path) -> None:
    for name in ("f.csv", "f.tsv", "f.parquet"):
        done = cli("forecast", str(monthly), "--horizon", "2", "--output", name)
        assert (done.code, done.out) == (0, "")
        assert (tmp_path / name).stat().st_size > 0
    assert rows_of((tmp_path / "f.csv").read_text())[1]["step"] == "2"
    for name in ("f.svg", "f.png"):
        assert cli("forecast", str(monthly), "--horizon", "12", "--plot", name).code == 0
    assert "<svg" in (tmp_path / "f.svg").read_text()
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert cli("forecast", str(monthly), "--plot", "f.gif").code == 1
    assert cli("forecast", str(monthly), "--output", "f.xlsx").code == 1
    assert "no such folder" in cli("forecast", str(monthly), "--output", "no/f.csv").err


def test_a_table_is_learnt_from_within_the_budget(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(lines("y", *wave(60)))
    done = cli("forecast", "sales.csv", "--horizon", "4", "--budget", "6s")
    assert done.code == 0
    assert len(rows_of(done.out)) == 4
    assert "model saved in runs/sales" in done.err
    assert cli("forecast", "runs/sales", "--budget", "6s").code == 1


@pytest.mark.parametrize("flags", [(), ("--known", "price")])
def test_a_table_is_opened_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """The forecast goes on from the series that were learnt from, with their future rows."""
    opened = []

    def counted(file: BinaryIO, where: str, settings: SeriesSettings) -> Table:
        opened.append(where)
        return parquet_table(file, where, settings)

    monkeypatch.setattr(read, "parquet_table", counted)
    values = [*wave(60), *[None] * 4] if flags else wave(64)
    pl.DataFrame({"y": values, "price": wave(64, 5.0)}).write_parquet(tmp_path / "t.parquet")
    done = cli("forecast", "t.parquet", "--horizon", "4", "--budget", "3s", *flags)
    assert done.code == 0
    assert len(rows_of(done.out)) == (4 if flags else 8)
    assert opened == ["t.parquet"]
    assert done.err.count("time: none") == 1


def test_columns_by_name(cli: Cli, numbers: Path, tmp_path: Path) -> None:
    """Which column is what, said by flags."""
    model = str(numbers)
    table = [f"{n % 2},{n // 2},{v},{-v}" for n, v in enumerate(wave(40))]
    (tmp_path / "t.csv").write_text(lines("who,when,good,bad", *table))
    done = cli("forecast", model, "t.csv", "--horizon", "2", "--layout", "long", "--id-column", "who",
               "--time-column", "when", "--value-columns", "good")  # fmt: skip
    assert done.code == 0
    rows = rows_of(done.out)
    assert [row["series"] for row in rows] == ["0", "0", "1", "1"]
    assert [row["time"] for row in rows] == ["20", "21"] * 2
    done = cli("forecast", model, "t.csv", "--id-column", "who", "--joint")
    assert "the model has 1" in done.err
    done = cli("forecast", model, "t.csv", "--horizon", "1", "--time-column", "when", "--id-column", "who",
               "--known", "bad", "--static", "who")  # fmt: skip
    assert done.code == 0
    assert len(rows_of(done.out)) == 2


def test_how_cells_are_read(cli: Cli, numbers: Path, tmp_path: Path) -> None:
    model = str(numbers)
    days = [f"{n + 1:02}/02/2020;{str(v).replace('.', ',')}" for n, v in enumerate(wave(12))]
    (tmp_path / "t.csv").write_text(lines("d;y", *days, days[-1], "13/02/2020;-200"))
    done = cli("forecast", model, "t.csv", "--horizon", "1")
    assert done.code == 1
    assert "12/02/2020" in done.err or "2020-02-12" in done.err
    done = cli("forecast", model, "t.csv", "--horizon", "1", "--dates", "day-first", "--decimal", "comma",
               "--duplicates", "last", "--missing-values", "-200", "--frequency", "daily",
               "--header", "yes")  # fmt: skip
    assert done.code == 0
    (row,) = rows_of(done.out)
    assert row["time"] == "2020-02-13"
    assert 0 < float(row["q0.5"]) < 20


def test_generate_makes_new_series_and_paths(cli: Cli, monthly: Path) -> None:
    done = cli("generate", str(monthly), "--length", "4", "--count", "3", "--seed", "2")
    assert done.code == 0
    rows = rows_of(done.out)
    assert len(rows) == 12
    assert rows[0]["time"] == "1949-01"
    assert (
        cli("generate", str(monthly), "--length", "4", "--count", "3", "--seed", "2").out
        == done.out
    )
    done = cli("generate", str(monthly), "airline", "--length", "2", "--count", "3")
    assert [row["path"] for row in rows_of(done.out)] == ["1", "2", "3"] * 2
    for command in ("generate", "forecast"):
        done = cli(command, str(monthly), "--top-k", "4")
        assert done.code == 1
        assert "top_k" in done.err
        assert "--encoding binned" in done.err


@pytest.fixture(scope="session")
def binned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of values as elements."""
    folder = tmp_path_factory.mktemp("binned") / "run"
    words = ("--encoding", "binned", "--set", "head.bins=12", "-o", str(folder))
    assert main(["train", "airline", *words, *QUICK]) == 0
    return folder


def test_binned_values_take_every_sampler(cli: Cli, binned: Path) -> None:
    head = read_settings(binned / "config.toml")["head"]
    assert head == {"name": "bins.v1", "bins": 12, "spacing": "quantile", "limit": 15.0}

    def drawn(*flags: str) -> list[float]:
        words = ("--horizon", "4", "--samples", "30", "--paths", *flags)
        done = cli("forecast", str(binned), *words)
        assert done.code == 0, done.err
        return [float(row["value"]) for row in rows_of(done.out)]

    free = drawn()
    assert drawn() == free
    for flags in (
        ("--top-k", "2"),
        ("--top-p", "0.5"),
        ("--min-p", "0.3"),
        ("--typical-p", "0.5"),
        ("--epsilon-cutoff", "0.05"),
        ("--eta-cutoff", "0.05"),
        ("--top-n-sigma", "0.5"),
        ("--xtc-probability", "1.0", "--xtc-threshold", "0.05"),
        ("--mirostat-tau", "1.0", "--mirostat-eta", "0.5"),
        ("--repetition-penalty", "1.5"),
        ("--presence-penalty", "1.5"),
        ("--frequency-penalty", "1.5"),
        ("--no-repeat-ngram", "1"),
        ("--dry-multiplier", "2.0", "--dry-allowed-length", "1", "--dry-base", "3.0"),
        ("--temperature", "0.5"),
        ("--dynatemp-low", "0.3", "--dynatemp-high", "0.6", "--dynatemp-exponent", "2.0"),
    ):
        assert drawn(*flags) != free, flags
    # Behind the temperature more bins are needed for half of the probability than before it.
    hot = ("--top-p", "0.5", "--temperature", "3.0")
    assert drawn(*hot, "--order", "hf") != drawn(*hot, "--order", "llamacpp")
    done = cli("forecast", str(binned), "--top-k", "2", "--temperature", "0.5", "--explain")
    assert "order hf" in done.err
    assert "top_k 2" in done.err
    assert drawn("--presence-penalty", "1.5", "--penalty-range", "1") != drawn(
        "--presence-penalty", "1.5"
    )
    for flag in ("--dry-breakers", "--penalty-spare"):
        done = cli("forecast", str(binned), flag, "x")
        assert done.code == 1
        assert flag.strip("-").replace("-", "_") in done.err
    greedy = drawn("--temperature", "0")
    assert len(set(greedy)) == 4
    done = cli("generate", str(binned), "--length", "4", "--top-k", "1", "--seed", "1")
    assert done.code == 0
    assert len(rows_of(done.out)) == 4
    figures = json.loads(cli("evaluate", str(binned), "--method", "none", "--json").out)
    assert np.isfinite(figures["loss"])


def test_evaluate_forecasts_from_rolling_origins(cli: Cli, monthly: Path) -> None:
    done = cli("evaluate", str(monthly), "--horizon", "6", "--origins", "3", "--stride", "2", "--samples", "40",
               "--seed", "1", "--method", "none", "--json")  # fmt: skip
    assert done.code == 0
    found = json.loads(done.out)
    assert found["forecasts"]["forecasts"] == 3
    assert found["forecasts"]["methods"]["model"]["points"] == 18
    assert found["protocol"]["split"].startswith("the last 10 of 144")
    done = cli("evaluate", str(monthly), "airline", "--method", "none")
    assert "seasonal naive" in done.out
    assert cli("evaluate", str(monthly), "--horizon", "0").code == 1
    assert cli("evaluate", str(monthly), "--horizon", "500").code == 1


def test_what_was_learnt_from_is_told(cli: Cli, monthly: Path) -> None:
    done = cli("evaluate", str(monthly), "--origins", "4", "--method", "none", "--json")
    found = json.loads(done.out)
    assert found["learnt"] == 48 - 14
    assert "34 of these were used to train the model" in found["protocol"]["split"]
    done = cli("evaluate", str(monthly), "--method", "none", "--json")
    assert json.loads(done.out)["learnt"] == 0
    assert "warning" in cli("evaluate", str(monthly), "--origins", "4", "--method", "none").err


def test_numbers_out_of_range(cli: Cli, monthly: Path) -> None:
    for words, said in (
        (("generate", "--count", "0"), "count"),
        (("generate", "--seed", "-1"), "seed"),
        (("generate", "--length", "-5"), "length"),
        (("generate", "--length", "0"), "--length"),
        (("generate", "--temperature", "-1"), "temperature"),
        (("generate", "--format", "jsonl"), "--format"),
        (("evaluate", "--seed", "-1"), "seed"),
        (("evaluate", "--method", "none", "--method", "ets"), "--method"),
        (("forecast", "--samples", "1000000", "--horizon", "100000"), "too many to hold"),
        (("forecast", "--paths", "--format", "json"), "--format"),
    ):
        done = cli(words[0], str(monthly), *words[1:])
        assert done.code in (1, 2), words
        assert said in done.err, words
        assert "Traceback" not in done.err


def test_a_flag_leaves_the_others_as_in_training(cli: Cli, tmp_path: Path) -> None:
    rows = [f"{n},{v},{-v}" for n, v in enumerate(wave(60))]
    (tmp_path / "t.csv").write_text(lines("when,y,z", *rows))
    assert (
        cli("train", "t.csv", "-o", "run", *QUICK, "--set", 'series.value_columns=["y"]').code == 0
    )
    done = cli("forecast", "run", "t.csv", "--horizon", "1", "--duplicates", "last")
    assert len(rows_of(done.out)) == 1


def test_known_columns_with_holes_and_short_series(cli: Cli, tmp_path: Path) -> None:
    rows = [f"a,{n},{n % 5},{v}" for n, v in enumerate(wave(120))]
    rows += [f"b,{n},{n % 5},{v}" for n, v in enumerate(wave(20))]
    rows[115] = rows[115].replace(",0,", ",,")
    (tmp_path / "t.csv").write_text(lines("who,when,price,y", *rows))
    asked = ("--set", 'series.known=["price"]', "--set", 'series.id_column=["who"]',
             "--set", 'series.time_column=["when"]')  # fmt: skip
    done = cli("train", "t.csv", "-o", "run", *QUICK, *asked)
    assert done.code == 0, done.err


def test_what_comes_later_does_not_break_an_encoding(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(lines("y", *[n % 4 for n in range(95)], *[2.5, -1.5] * 5))
    done = cli("train", "t.csv", "-o", "run", *QUICK)
    assert done.code == 0, done.err
    (tmp_path / "g.csv").write_text(lines("y", *wave(70), *[""] * 20, *wave(11)))
    done = cli("train", "g.csv", "-o", "gap", *QUICK)
    assert done.code == 0, done.err
    assert "NaN" not in (tmp_path / "gap" / "summary.json").read_text()


def test_info_and_plan(cli: Cli, monthly: Path) -> None:
    done = cli("info", str(monthly))
    assert "month of year" in done.out
    facts = json.loads(cli("info", str(monthly), "--json").out)
    assert facts["series"]["frequency"] == "monthly"
    done = cli("train", "airline", "--plan", *QUICK)
    assert done.code == 0
    assert "[encoder]" in done.out
    Path("plan.toml").write_text(done.out)
    assert cli("train", "airline", "--config", "plan.toml", "-o", "again").code == 0


def test_the_classic_preset(cli: Cli) -> None:
    done = cli("train", "airline", "--config", "series-lstm", "--epochs", "3", "-o", "run")
    assert done.code == 0, done.err
    asked = read_settings("series-lstm")
    settings = json.loads(cli("info", "run", "--json").out)["provenance"]["settings"]
    for section in ("training", "network", "data"):
        assert settings[section].items() >= asked[section].items()
    assert settings["head"]["name"] == "gaussian.v1"
    assert settings["encoder"]["lags"] == [2, 3]
    assert len(rows_of(cli("forecast", "run", "--horizon", "3").out)) == 3


def test_a_killed_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    """The run that was cut at its checkpoint and resumed is the unbroken one."""
    from rhapsode.training import Finished
    from rhapsode.workflows.runs.run import prepare_training

    asked = {"steps": 30, "network": {"hidden_size": 8}, "data": {"validation_share": 0.1}}
    whole = prepare_training(("airline",), asked, output="whole")
    assert list(whole.events())
    whole.finish()
    half = prepare_training(("airline",), asked, output="half")
    for event in half.events():
        if getattr(event, "step", 0) == 13:
            half.loop.stop()
    assert isinstance(event, Finished)
    assert event.reason == "interrupted"
    assert cli("train", "-o", "half", "--resume").code == 0
    first, second = (json.loads(Path(n, "summary.json").read_text()) for n in ("whole", "half"))
    assert first["loss"] == second["loss"]
    assert first["forecasts"] == second["forecasts"]
    done = cli("train", "sine-trend", "-o", "half", "--resume")
    assert done.code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lines("y", 1, 2, 3), "are too few to train a model"),
        (lines("y", *["NaN"] * 20), "t.csv"),
        (lines("y", *[1] * 4, "abc", *[2] * 9), "line 6"),
        (lines("y", *wave(20), "inf"), "line 22"),
        (lines("t,y", *[f"2020-01-{d:02},1" for d in range(1, 20)], "2020-01-05,3"), "2020-01-05"),
    ],
)
def test_tables_that_cannot_be_learnt_from(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    done = cli("train", "t.csv", "-o", "run", *QUICK)
    assert done.code == 1
    assert said in done.err
    assert sum(line.startswith("error:") for line in done.err.splitlines()) == 1
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 40,
        [0.0] * 40,
        [1e-300 * n for n in range(40)],
        [1e300, -1e300] * 20,
        ["", *wave(30), "", "", *wave(9)],
        [n % 3 for n in range(60)],
    ],
)
def test_awkward_values_are_learnt(cli: Cli, tmp_path: Path, values: list[object]) -> None:
    (tmp_path / "t.csv").write_text(lines("y", *values))
    done = cli("train", "t.csv", "-o", "run", *QUICK)
    assert done.code == 0, done.err
    done = cli("forecast", "run", "--horizon", "3")
    assert done.code == 0
    assert all(np.isfinite(float(row["q0.5"])) for row in rows_of(done.out))


def test_settings_that_do_not_go_together(cli: Cli) -> None:
    for flags, said in (
        (("--set", "head.name=categorical"), "is not a distribution of series"),
        (("--set", "head.name=poisson", "--set", "encoder.counts=false"), "counts"),
        (("--encoding", "binned", "--set", "head.name=gaussian"), "bins are elements"),
        (("--encoding", "binned", "--set", "head.bins=1"), "bins"),
        (("--encoding", "binned", "--set", "head.edges=[1.0]"), "edges"),
        (("--set", "network.units=3"), "network.units"),
        (("--set", "training.windw=3"), "training.windw"),
        (("--set", "data.sampels=3"), "data.sampels"),
        (("--set", "encoder.laggs=[2]"), "laggs"),
        (("--encoding", "bytes", "--set", "series.frequency=none"), "no encoding"),
    ):
        done = cli("train", "airline", "-o", "run", *QUICK, *flags)
        assert done.code == 1, flags
        assert said in done.err
        assert not Path("run").exists()


def test_seeds_are_compared(cli: Cli) -> None:
    done = cli("train", "airline", "-o", "several", "--repeat", "2", *QUICK)
    assert done.code == 0, done.err
    assert "MASE" in done.err
    found = json.loads(Path("several/summary.json").read_text())
    assert found["repeat"] == 2
    assert found["mase"]["min"] <= found["mase"]["mean"] <= found["mase"]["max"]
    assert found["network_loss"] is None
    assert {run["seed"] for run in found["runs"]} == {1, 2}
    Path("several/summary.json").unlink()
    shutil.rmtree("several/seed-2")
    done = cli("train", "sine-trend", "-o", "several", "--resume")
    assert done.code == 1
    assert "keep their sources" in done.err
    done = cli("train", "-o", "several", "--resume")
    assert done.code == 0, done.err
    again = json.loads(Path("several/summary.json").read_text())
    assert [run["loss"] for run in again["runs"]] == [run["loss"] for run in found["runs"]]
    done = cli("train", "airline", "-o", "none", "--repeat", "2", "--set", "seed=x", *QUICK)
    assert done.code == 1
    assert "seeds" in done.err


def test_a_sampler_that_does_not_fit_is_refused_before_anything_is_learnt(cli: Cli) -> None:
    done = cli("forecast", "airline", "--budget", "10s", "--top-p", "0.5")
    assert done.code == 1
    assert "--encoding binned" in done.err
    assert not Path("runs").exists()


def test_a_typed_head_takes_the_place_of_the_files(cli: Cli, binned: Path, monthly: Path) -> None:
    words = ("train", "airline", "--plan")
    done = cli(*words, "--config", str(monthly / "config.toml"), "--encoding", "binned")
    assert 'name = "bins.v1"' in done.out
    done = cli(*words, "--config", str(binned / "config.toml"), "--set", "head.name=gaussian")
    assert 'name = "gaussian.v1"' in done.out
    done = cli(*words, "--config", str(binned / "config.toml"))
    assert 'name = "bins.v1"' in done.out
    done = cli(*words, "--config", str(binned / "config.toml"), "--encoding", "auto")
    assert 'name = "student_t.v1"' in done.out


def test_hints_of_training_name_what_training_takes(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "twice.csv"
    table.write_text(lines("day,y", *(f"2020-01-{1 + n // 2:02d},{n}" for n in range(40))))
    done = cli("train", str(table), "-o", "run")
    assert done.code == 1
    assert "use --set series.duplicates=sum, mean or last" in done.err
    assert "with --set series.id_column" in done.err
    assert "--duplicates sum" in cli("forecast", str(table), "--budget", "5s").err
    assert in_settings("--frequency none takes, --field NAME") == (
        "--set series.frequency=none takes, --field NAME"
    )
