"""A run that the page has started stops when its input ends, on every system."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rhapsode.serving.page import training_process


def test_the_end_of_the_input_interrupts_the_main_thread() -> None:
    ends = threading.Timer(0.05, training_process.stop_with_input, [io.BytesIO(b"\n")])

    def work() -> None:
        ends.start()
        for _ in range(500):  # a sleep is not woken
            time.sleep(0.01)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGINT, before)
    ends.join()


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["preparing", "training"])
def test_a_run_is_saved_when_its_server_is_gone(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "text.txt").write_text("The cat sat on the mat.\n" * 2000, newline="\n")
    job = {
        "sources": [str(tmp_path / "text.txt")],
        "settings": {"budget": "5m"},
        "output": str(tmp_path / "run"),
        "resume": False,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    stage = tmp_path / training_process.STAGE
    command = [sys.executable, "-m", training_process.__name__, str(tmp_path / "job.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while not stage.is_file() or json.loads(stage.read_bytes())["stage"] != wanted:
            assert process.poll() is None
            time.sleep(0.05)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
    assert json.loads(stage.read_bytes())["stage"] == "interrupted"
    assert (tmp_path / "run" / "checkpoints").is_dir() == (wanted == "training")
