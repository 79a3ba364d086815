"""A training run as a process that reports its stage.

`python -m rhapsode.serving.page.training_process JOB.json` does what `rhapsode train` does. It
writes the stage beside the file that describes the run. When its standard input ends, the run stops
and is saved: an end that every system has, also when the server is killed.
"""

from __future__ import annotations

import _thread
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from rhapsode.errors import RhapsodeError
from rhapsode.files import write_atomically

STAGE = "stage.json"
"""File with the stage of a run: preparing, training, finishing, done, interrupted or failed."""


def report(folder: Path, stage: str, **facts: Any) -> None:
    """Write the stage of a run.

    Arguments:
        folder: of the job.
        stage: its name.
        facts: further plain values.
    """
    write_atomically(folder / STAGE, json.dumps({"stage": stage, **facts}).encode())


def train(folder: Path, job: dict[str, Any]) -> None:
    """Train as a job describes, to the summary.

    Arguments:
        folder: of the job.
        job: sources, settings, output, resume.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    import rhapsode as rh

    report(folder, "preparing")
    sources = () if job["resume"] else job["sources"]
    training = rh.prepare(sources, job["settings"], output=job["output"], resume=job["resume"])
    planned, stopped = training.run.planned, "done"
    known = {"baseline": planned.baseline, "budget": planned.settings.budget_seconds()}
    report(folder, "training", **known)
    with training.stopped_by_signals():
        for event in training.events():
            if isinstance(event, rh.Finished):
                stopped = event.reason
    if stopped == "interrupted":
        report(folder, "interrupted", **known)
        return
    report(folder, "finishing", **known)
    summary = training.finish()
    report(folder, "done", **known, reason=stopped, loss=summary.get("loss"))


def stop_with_input(stream: BinaryIO) -> None:
    """Interrupt the main thread, as Ctrl-C does, when a stream ends."""
    while stream.read(1):
        pass
    _thread.interrupt_main()


def main(path: Path) -> int:
    """Run the job of a file; its exit status."""
    # A server that was started in the background may have left interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Unbuffered: a buffer that a thread waits in cannot be closed at the end.
    ends = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  # open as long as the process
    threading.Thread(target=stop_with_input, args=(ends,), daemon=True).start()
    job = json.loads(path.read_text(encoding="utf-8"))
    try:
        train(path.parent, job)
    except RhapsodeError as problem:
        report(path.parent, "failed", what=problem.what, hint=problem.hint)
        return 1
    except KeyboardInterrupt:
        report(path.parent, "interrupted")
        return 1
    except Exception as problem:
        report(path.parent, "failed", what=type(problem).__name__, hint=None)
        raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
