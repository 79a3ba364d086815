"""`rhapsode train --repeat`: a run folder a seed, mean and spread over them, and a story for going on."""

import json
import math
import tomllib
from pathlib import Path

import pytest

from rhapsode.errors import RunError
from rhapsode.workflows.runs.repeat import repeat, repeated_summary
from rhapsode.workflows.runs.run import Training
from rhapsode.workflows.runs.run_folder import find_run
from tests.cli.conftest import QUICK, Cli

SETTINGS = {
    "steps": 3,
    "network": {"hidden_size": 24, "embedding_size": 8},
    "training": {"window": 16, "batch_size": 8, "evaluations": 2, "precision": "float32"},
    "samples": {"length": 0},
}


def read_summary(*parts: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(*parts, "summary.json").read_text())
    return found


def test_a_folder_a_seed_and_their_spread(cli: Cli, prose_file: Path) -> None:
    # With the n-gram model, which is the same for every seed, runs so short do not differ.
    asked = ("--steps", "3", *QUICK, "--set", "training.counts_share=0")
    done = cli("train", str(prose_file), "-o", "run", "--repeat", "3", *asked)
    assert done.code == 0, done.err
    assert done.out == ""
    assert {path.name for path in Path("run").iterdir()} == {
        "config.toml", "seed-1", "seed-2", "seed-3", "summary.json",
    }  # fmt: skip
    losses = [read_summary("run", f"seed-{seed}")["loss"] for seed in (1, 2, 3)]
    assert len(set(losses)) == 3
    mean = sum(losses) / 3
    spread = math.sqrt(sum((loss - mean) ** 2 for loss in losses) / 2)
    whole = read_summary("run")
    assert whole["repeat"] == 3
    assert whole["loss"]["mean"] == pytest.approx(mean)
    assert whole["loss"]["std"] == pytest.approx(spread)
    assert [run["seed"] for run in whole["runs"]] == [1, 2, 3]
    assert [run["loss"] for run in whole["runs"]] == losses
    table = done.err[done.err.rindex("3 seeds (run)") :]
    for number in (*losses, mean, spread):
        assert f"{number:.4f}" in table
    # Each is a run like any other.
    one = cli("train", str(prose_file), "-o", "one", "--seed", "2", *asked)
    assert one.code == 0
    assert read_summary("one")["loss"] == losses[1]
    assert cli("generate", "run/seed-3", "The", "--length", "3").code == 0


def test_the_first_seed_can_be_said(cli: Cli, prose_file: Path) -> None:
    done = cli(
        "train",
        str(prose_file),
        "-o",
        "run",
        "--repeat",
        "2",
        "--seed",
        "7",
        "--steps",
        "2",
        *QUICK,
    )
    assert done.code == 0, done.err
    assert Path("run/seed-7/summary.json").exists()
    assert Path("run/seed-8/summary.json").exists()


def test_it_goes_on_where_it_was_interrupted(cli: Cli, prose_file: Path) -> None:
    done: list[int] = []

    def run(training: Training) -> bool:
        for count, _ in enumerate(training.events()):
            if len(done) == 1 and count == 1:
                training.loop.stop()
        if len(done) == 1:
            return False
        done.append(training.run.planned.settings.seed)
        training.finish()
        return True

    _, summary = repeat((str(prose_file),), SETTINGS, 3, run, output="run")
    assert summary is None
    assert not Path("run/summary.json").exists()
    before = Path("run/seed-1/summary.json").read_bytes()
    first = cli("train", "-o", "run", "--resume", "--repeat", "4")
    assert first.code == 1
    assert "resumed runs keep their settings" in first.err
    with pytest.raises(RunError, match="the runs of several seeds"):
        find_run("run", {})
    # A folder that a kill left empty is no obstacle.
    Path("run/seed-3/checkpoints").mkdir(parents=True)
    again = cli("train", "-o", "run", "--resume")
    assert again.code == 0, again.err
    assert Path("run/seed-1/summary.json").read_bytes() == before
    _, whole = repeat(
        (str(prose_file),),
        SETTINGS,
        3,
        lambda t: bool(list(t.events()) and t.finish()),
        output="all",
    )
    assert whole is not None
    assert whole["loss"] == read_summary("run")["loss"]
    finished = cli("train", "-o", "run", "--resume")
    assert finished.code == 1
    assert "these runs are finished" in finished.err


def test_it_begins_as_a_model(cli: Cli, run_folder: Path, prose_file: Path) -> None:
    quick = ("--set", "training.precision=float32", "--set", "samples.length=0")
    done = cli("train", str(prose_file), "-o", "run", "--repeat", "2", "--from", str(run_folder),
               "--steps", "2", *quick)  # fmt: skip
    assert done.code == 0, done.err
    kept = tomllib.loads(Path("run/config.toml").read_text())["run"]
    assert kept["repeat"] == 2
    assert Path(kept["from"]) == run_folder
    assert read_summary("run", "seed-2")["from"]["validation_loss"] > 0


def test_what_cannot_be_repeated(cli: Cli, prose_file: Path) -> None:
    for number in ("1", "0", "5000"):
        done = cli("train", str(prose_file), "-o", "run", "--repeat", number, "--steps", "2")
        assert done.code == 1
        assert "--repeat: a run is repeated 2 to 1000 times" in done.err
    Path("there").mkdir()
    done = cli("train", str(prose_file), "-o", "there", "--repeat", "2", "--steps", "2", *QUICK)
    assert done.code == 1
    assert "there: this folder exists already" in done.err
    done = cli("train", str(prose_file), "-o", "run", "--repeat", "2", "--set", "network.size=3")
    assert done.code == 1
    assert not Path("run").exists()


def test_without_a_test_share_there_is_no_spread_of_it(tmp_path: Path) -> None:
    for seed, loss in ((1, None), (2, None)):
        folder = tmp_path / f"seed-{seed}"
        folder.mkdir()
        entry = {"loss": loss, "validation_loss": 1.0 + seed, "steps": 1, "seconds": 2.0}
        (folder / "summary.json").write_text(json.dumps(entry))
    found = repeated_summary(tmp_path, [1, 2])
    assert found["loss"] is None
    assert found["validation_loss"]["mean"] == 2.5
