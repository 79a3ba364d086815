"""Ctrl-C (or SIGTERM) ends a run behind its step, saved, with exit code 130; and it goes on from there."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rhapsode.training import Step
from rhapsode.workflows.runs.run import prepare_training
from tests.cli.conftest import QUICK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves(prose_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "rhapsode", "train", str(prose_file), "-o", str(run),
         "--steps", "1000000", *QUICK],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    metrics = run / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count("\n") > 20:
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"rhapsode train -o {run} --resume" in err
    assert "Traceback" not in err
    done = json.loads(metrics.read_text().splitlines()[-1])["step"]
    training = prepare_training((), {}, output=str(run), resume=True)
    event = next(training.events())
    assert isinstance(event, Step)
    assert event.step == done + 1
