"""`rhapsode evaluate --anomalies`: a table of scores, a picture, the worst in the terminal."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rhapsode.cli.main import main
from tests.cli.conftest import Cli

TRAIN = ("--steps", "40", "--set", "network.hidden_size=8", "--set", "training.evaluations=2")


def wave(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=1200)
    return (20 + 5 * np.sin(np.arange(1200) * np.pi / 6) + 0.5 * noise).round(3)


def write(path: Path, values: np.ndarray) -> Path:
    path.write_text("y\n" + "\n".join(map(str, values)) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("anomalies")
    table = write(base / "wave.csv", wave(0))
    command = ["train", str(table), "-o", str(base / "run"), *TRAIN]
    assert main([*command, "--set", "data.season=12"]) == 0
    return base / "run"


def test_a_spike_is_written_drawn_and_told(cli: Cli, run: Path) -> None:
    values = wave(1)
    values[600] += 8
    table = write(Path("new.csv"), values)
    done = cli(
        *("evaluate", str(run), str(table), "--anomalies"),
        *("--output", "scores.csv", "--plot", "seen.svg", "--false-alarms", "0.002"),
    )
    assert done.code == 0, done.err
    assert "false-alarm rate 0.002" in done.out
    rows = list(csv.DictReader(Path("scores.csv").read_text().splitlines()))
    assert len(rows) == 1200
    assert max(rows, key=lambda row: float(row["score"] or 0))["time"] == "600"
    assert rows[600]["anomaly"] == "value"
    assert Path("seen.svg").read_text().startswith("<?xml")
    picture = cli("evaluate", str(run), str(table), "--anomalies", "-o", "only.png")
    assert picture.code == 0
    assert Path("only.png").read_bytes()[:4] == b"\x89PNG"


def test_a_window_is_as_long_as_asked(cli: Cli, run: Path) -> None:
    values = wave(2)
    values[700:760] += 1.2
    table = write(Path("new.csv"), values)
    command = ("evaluate", str(run), str(table), "--anomalies", "--window", "30", "--json")
    found = json.loads(cli(*command).out)
    assert found["window"] == 30
    windows = [each for each in found["anomalies"] if each["kind"] == "window"]
    assert windows
    assert all(each["rows"] >= 30 for each in windows)
    assert any(700 <= int(each["last"]) < 790 for each in windows)


@pytest.mark.parametrize(
    "flag", [("--false-alarms", "0.1"), ("--window", "5"), ("--plot", "a.svg")]
)
def test_settings_of_anomaly_scores_need_them(cli: Cli, run: Path, flag: tuple[str, str]) -> None:
    done = cli("evaluate", str(run), *flag)
    assert done.code == 1
    assert "add --anomalies" in done.err


def test_files_that_cannot_be_written_are_refused_first(cli: Cli, run: Path) -> None:
    for name in ("none/a.csv", "a.xyz", "none/a.svg"):
        done = cli("evaluate", str(run), "--anomalies", "-o", name)
        assert done.code == 1, name
