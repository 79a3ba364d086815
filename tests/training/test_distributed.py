"""Two processes at the same global batch make the same run as one; a lost one, or Ctrl-C, ends it with what was saved."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import read_bundle
from rhapsode.config import from_mapping
from rhapsode.data import Batch, Condition
from rhapsode.errors import SettingsError
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.training import Group, Step, read_checkpoint
from rhapsode.workflows.runs.planning import check_settings
from rhapsode.workflows.runs.run import prepare_training

STEPS = 50
LSTM = {"embedding_size": 8, "hidden_size": 16, "dropout": 0.0}
TRANSFORMER = {
    "embedding_size": 16, "num_layers": 2, "num_heads": 2, "window": 12, "dropout": 0.0
}  # fmt: skip
WINDOWS = {"context": "window:16", "stride": 11}
RUNS: dict[str, dict[str, Any]] = {
    "carried": {"network": LSTM},
    # Batches of 4 with a last one of 1 row: a process without rows takes part all the same.
    "windows": {
        "network": {**LSTM, "shortlist": 16, "tail_size": 4},
        "reading": {"context": "window:16", "stride": 611},
    },
    "fresh": {
        "model": "transformer",
        "network": TRANSFORMER,
        "reading": {"context": "fresh"},
        "training": {"accumulate": 2},
    },
    # The same windows in batches of 8, and in two batches of 4 for each update.
    "whole": {"network": LSTM, "reading": WINDOWS, "training": {"batch_size": 8}},
    "parts": {"network": LSTM, "reading": WINDOWS, "training": {"accumulate": 2}},
    "members": {"network": LSTM, "members": 2},
}

WORKER = """
import atexit, sys, time
from pathlib import Path
from tests.training.test_distributed import RUNS, check_group, run
from rhapsode.training import join_group

source, base = Path(sys.argv[1]), Path(sys.argv[2])
atexit.register(lambda: (base / f"left-{group.rank}").write_text(str(time.time())))  # the last
group = join_group()
check_group(group)
for name in RUNS:
    run(source, base / name, name)
run(source, base / "stopped", "carried", stop_at=20, stopping=1)
run(source, base / "begun", "carried", resume=True)
if group.first:
    time.sleep(1.0)
    (base / "worked").write_text(str(time.time()))
"""


def asked(name: str) -> dict[str, Any]:
    own = RUNS[name]
    training = {
        "batch_size": 4, "window": 16, "learning_rate": 0.01, "precision": "float32", "evaluations": 2,
    }  # fmt: skip
    return {
        **own,
        "steps": STEPS,
        "training": {**training, **own.get("training", {})},
        "samples": {"length": 5, "temperatures": [0.8]},
    }


def run(
    source: Path,
    folder: Path,
    name: str,
    *,
    stop_at: int | None = None,
    stopping: int = 0,
    resume: bool = False,
) -> None:
    """One run, alone or as one of several processes; at `stop_at`, process `stopping` asks to end it."""
    settings = {} if resume else asked(name)
    training = prepare_training((str(source),), settings, output=str(folder), resume=resume)
    for event in training.events():
        last = isinstance(event, Step) and event.step == stop_at
        if last and training.group.rank == stopping:
            training.loop.stop()


def check_group(group: Group) -> None:
    """What a process of two sees."""
    import torch

    rank = group.rank
    assert group.size == 2
    assert group.decide((0.1 + rank, 7.0), rank == 1) == ((0.1, 7.0), True)
    assert group.decide((0.25,), False) == ((0.25,), False)
    assert group.gather(torch.tensor([[rank, 5]])).tolist() == [[0, 5], [1, 5]]
    weights, bare = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))
    weights.grad = torch.full((2, 2), 1.0 + rank)
    if rank:
        bare.grad = torch.ones(3)
    assert group.sum_gradients([weights, bare], 0.5 + rank) == 2.0
    assert weights.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert bare.grad is not None
    assert bare.grad.tolist() == [1.0] * 3
    own = torch.tensor([1.0 + rank])
    group.copy_first([own])
    assert own.item() == 1.0
    assert group.agree(lambda: {"rank": rank}) == {"rank": 0}
    check_settings(
        from_mapping(TrainSettings, {"steps": 5, "device": f"cuda:{rank}"}, where=""), None, group
    )
    differing = from_mapping(TrainSettings, {"training": {"window": 8 + rank}}, where="")
    named = pytest.raises(SettingsError, match=r"training.window \(8 -> 9\)")
    with named if rank else nullcontext():
        check_settings(differing, None, group)
    marks: list[int] = []
    with group.first_goes():
        marks.append(rank)
    assert marks == [rank]


def torchrun(
    *arguments: str,
    launch: tuple[str, ...] = ("--standalone", "--nproc-per-node", "2"),
    folder: Path | None = None,
    **more: str,
) -> subprocess.Popen[str]:
    """An agent of `torchrun`, in a folder and with more in its environment."""
    root = str(Path(__file__).parent.parent.parent)
    path = (os.environ.get("PYTHONPATH"), root)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launch, *arguments],
        cwd=folder or root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in path if p),
             "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", **more},
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        pytest.fail(f"it did not end by itself:\n{err}")
    return process.returncode, out, err


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def source(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "prose.txt"
    # Short lines, each a document of its own where documents are asked for.
    path.write_text(prose[:6000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def runs(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same runs by one process and by two; and those that one began and two ended, or the other way round."""
    base = tmp_path_factory.mktemp("runs")
    one, two = base / "one", base / "two"
    one.mkdir()
    two.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
        run(source, two / "begun", "carried", stop_at=20)
        worker = base / "worker.py"
        worker.write_text(WORKER)
        process = torchrun(str(worker), str(source), str(two))
        for name in RUNS:
            run(source, one / name, name)
        code, _, err = ended(process)
        assert code == 0, err
        run(source, two / "stopped", "carried", resume=True)
    return one, two


def assert_close(one: Path, two: Path) -> None:
    first, second = lines(one), lines(two)
    assert [(line["event"], line["step"]) for line in first] == [
        (line["event"], line["step"]) for line in second
    ]
    for kind in ("step", "evaluation"):
        losses = [
            [line["loss"] for line in run if line["event"] == kind] for run in (first, second)
        ]
        assert np.abs(np.subtract(*losses)).max() < 1e-5
    assert sum(line["event"] == "step" for line in first) == STEPS
    best, again = read_bundle(one), read_bundle(two)
    for name, array in best.arrays.items():
        np.testing.assert_allclose(array, again.arrays[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_two_processes_make_the_run_of_one(runs: tuple[Path, Path], name: str) -> None:
    assert_close(runs[0] / name, runs[1] / name)
    # One writer: nothing stands there twice.
    samples = (runs[1] / name / "samples.md").read_text()
    assert samples.count(f"## Step {STEPS}\n") == 1


@pytest.mark.parametrize("processes", [0, 1])
def test_accumulated_batches_make_the_run_of_large_ones(
    runs: tuple[Path, Path], processes: int
) -> None:
    assert_close(runs[0] / "whole", runs[processes] / "parts")


def test_no_process_leaves_while_the_first_one_works(runs: tuple[Path, Path]) -> None:
    worked, *left = (float((runs[1] / name).read_text()) for name in ("worked", "left-0", "left-1"))
    assert min(left) >= worked


@pytest.mark.parametrize("name", ["begun", "stopped"])
def test_a_run_goes_on_with_another_number_of_processes(runs: tuple[Path, Path], name: str) -> None:
    assert_close(runs[0] / "carried", runs[1] / name)


def test_the_checkpoint_of_two_holds_all_rows(runs: tuple[Path, Path]) -> None:
    one, two = (
        read_checkpoint(base / "carried" / "checkpoints" / "last.safetensors").tensors
        for base in runs
    )
    carried = [name for name in one if name.startswith("carried.")]
    assert carried
    for name in carried:
        np.testing.assert_allclose(one[name].numpy(), two[name].numpy(), atol=1e-4)
    assert len(two["random"]) == 2
    assert not np.array_equal(two["random"][0].numpy(), two["random"][1].numpy())


def workers_of(process: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids of the workers by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found: dict[int, int] = {}
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        for entry in environment:
            if entry.startswith(b"RANK="):
                found[int(entry[5:])] = int(child)
    return found


def wait_for_steps(folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 60
    metrics = folder / "metrics.jsonl"
    while time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count("\n") > steps:
            return
        time.sleep(0.05)
    pytest.fail("it did not begin")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_lost_worker_ends_the_run_which_goes_on_alone(source: Path, tmp_path: Path) -> None:
    for attempt in range(2):
        folder = tmp_path / f"run-{attempt}"
        process = torchrun(
            "-m", "rhapsode", "train", str(source), "-o", str(folder), "--steps", "500",
            "--set", "training.batch_size=4", "--set", "training.window=16",
            "--set", "training.evaluations=250", "--set", "network.hidden_size=16",
            "--set", "training.precision=float32", "--set", "samples.length=0",
        )  # fmt: skip
        wait_for_steps(folder, 60)
        os.kill(workers_of(process)[1], signal.SIGKILL)
        code, out, err = ended(process)
        # Rarely gloo does not notice that a peer is gone; torchrun kills the other after 30 s then.
        if "Unable to shutdown process" not in err:
            break
    assert code != 0
    assert out == ""
    told = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(told) == 1, err
    assert "another process of this run has ended" in told[0]
    assert "--resume" in told[0]
    assert "Traceback" not in err.partition("ChildFailedError")[0].partition("Traceback")[0]
    at = int(read_checkpoint(folder / "checkpoints" / "last.safetensors").values["step"])
    assert at > 0
    training = prepare_training((), {}, output=str(folder), resume=True)
    event = next(training.events())
    assert isinstance(event, Step)
    assert event.step == at + 1
    kept = [line["step"] for line in lines(folder) if line["event"] == "step"]
    assert kept == list(range(1, at + 2))


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_all_of_them_saved(source: Path, tmp_path: Path, number: int) -> None:
    """Ctrl-C comes from the agent, SIGTERM to one worker alone."""
    folder = tmp_path / "run"
    process = torchrun(
        "-m", "rhapsode", "train", str(source), "-o", str(folder), "--steps", "1000000",
        "--set", "training.batch_size=4", "--set", "training.window=16",
        "--set", "network.hidden_size=16", "--set", "training.precision=float32",
    )  # fmt: skip
    wait_for_steps(folder, 20)
    os.kill(process.pid if number == signal.SIGINT else workers_of(process)[1], number)
    code, _, err = ended(process)
    assert code != 0
    assert err.count(f"rhapsode train -o {folder} --resume") == 1
    assert "error:" not in err
    done = lines(folder)[-1]["step"]
    values = read_checkpoint(folder / "checkpoints" / "last.safetensors").values
    assert values["step"] == done


class Third(Group):
    """A process that thinks it is the second of three."""

    def __init__(self) -> None:
        super().__init__()
        self.rank, self.size = 1, 3


def test_rows_are_shared_in_order_without_a_gap() -> None:
    group = Third()
    shares = []
    for group.rank in range(3):
        rows = group.rows(7)
        shares.extend(range(7)[rows])
    assert shares == list(range(7))
    group.rank = 1
    ids = np.arange(12, dtype=np.int64).reshape(6, 2)
    condition = Condition(static_BK=np.arange(6, dtype=np.float32)[:, None])
    weights_BT = np.ones((6, 2), dtype=np.float32)
    batch = Batch(ids, ids + 1, weights_BT, condition=condition)
    part = batch.select(group.rows(batch.rows))
    assert part.condition.static_BK.tolist() == [[2.0], [3.0]]
    assert part.inputs.tolist() == [[4, 5], [6, 7]]
    assert part.targets.tolist() == [[5, 6], [7, 8]]
    assert part.rows == 2
    assert part.reset_BT is None


def test_a_batch_that_cannot_be_shared_is_refused_or_planned_larger() -> None:
    group = Third()
    assert group.divide(6, asked=True) == 6
    assert group.divide(16, asked=False) == 18
    with pytest.raises(SettingsError, match=r"16 rows .* 3 processes.*") as caught:
        group.divide(16, asked=True)
    assert "18" in str(caught.value)
