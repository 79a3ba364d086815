"""A run killed at any moment loses a checkpoint interval at most; a full disk leaves what was there, and says so."""

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rhapsode.bundle import element_facts as id_facts
from rhapsode.errors import RunError
from rhapsode.modalities.ids.counting.ngram_sidecar import NGRAM
from rhapsode.modalities.text.quality.writing_check import TEXT_INDEX
from rhapsode.training import Step, read_checkpoint
from rhapsode.workflows.runs import planning as planning_module
from rhapsode.workflows.runs.run import Training, prepare_training
from tests.cli.conftest import Cli
from tests.training.test_resume import assert_same_run

STEPS, EVALUATIONS = 240, 48
INTERVAL = STEPS // EVALUATIONS
ASKED: dict[str, Any] = {
    "steps": STEPS,
    "seed": 5,
    "network": {"embedding_size": 8, "hidden_size": 16, "dropout": 0.1},
    "training": {
        "batch_size": 4,
        "window": 16,
        "learning_rate": 0.01,
        "precision": "float32",
        "evaluations": EVALUATIONS,
        "patience": 0,
    },
    "samples": {"length": 5, "temperatures": [0.8]},
}

# Loads once and forks a process for every piece of the run, which dies where it is told to.
DRIVER = """
import json, os, signal, sys, threading
from pathlib import Path
from tests.cli.test_crash import ASKED, INTERVAL, settled_step
from rhapsode.training import Step
from rhapsode.workflows.runs import planning as planning_module
from rhapsode.modalities.ids.counting.ngram_sidecar import NGRAM
from rhapsode.workflows.runs.run import prepare_training

source, base = Path(sys.argv[1]), Path(sys.argv[2])
planning_module.matmul_rates = lambda: {"float32": 1.0, "bfloat16": 1.0}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(module, name, number):
    # Die before the call of that number.
    plain, calls = getattr(module, name), 0

    def dying(*given, **more):
        nonlocal calls
        calls += 1
        if calls == number:
            die()
        return plain(*given, **more)

    setattr(module, name, dying)


def child(folder, kind, number):
    if kind in ("fsync", "replace"):
        arm(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[kind], number)
    resume = folder.exists()
    training = prepare_training(
        () if resume else (str(source),), {} if resume else ASKED, output=str(folder), resume=resume
    )
    for event in training.events():
        if kind == "step" and isinstance(event, Step) and event.step >= number:
            die()
        if kind == "behind" and isinstance(event, Step) and event.step == int(number):
            threading.Timer((number % 1) / 20, die).start()
    if kind == "finish":
        arm(Path, "replace", number)
    training.finish()


def piece(folder, kind, number):
    pid = os.fork()
    if pid == 0:
        try:
            child(folder, kind, number)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


assert piece(base / "whole", None, 0) == 0
broken = base / "broken"
for kind, number in json.loads(sys.argv[3]):
    if (broken / "summary.json").exists():
        break
    code = piece(broken, kind, number)
    assert code in (0, -9), code
    done, saved = settled_step(broken)
    assert done - saved <= INTERVAL, (kind, number, done, saved)
    print(kind, number, code, done, saved, flush=True)
if not (broken / "summary.json").exists():
    assert piece(broken, None, 0) == 0
"""


def settled_step(folder: Path) -> tuple[int, int]:
    """The last step that a run has told, and that of its checkpoint."""
    metrics = folder / "metrics.jsonl"
    told = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    done = max((json.loads(line)["step"] for line in told if line.endswith("\n")), default=0)
    checkpoint = folder / "checkpoints" / "last.safetensors"
    if not checkpoint.exists():
        return done, 0
    raw = checkpoint.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return done, int(json.loads(header["__metadata__"]["values"])["step"])


def killed(kills: list[tuple[str, float]], prose: str, base: Path) -> list[str]:
    """Run it unbroken, and broken at these places; both must come to the same. Gives a line for each kill."""
    source = base / "prose.txt"
    source.write_text(prose[:6000], encoding="utf-8")
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(source), str(base), json.dumps(kills)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RHAPSODE_CACHE": str(base / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    whole, broken = base / "whole", base / "broken"
    assert_same_run(whole, broken)
    summaries = [json.loads((run / "summary.json").read_text()) for run in (whole, broken)]
    assert summaries[0]["loss"] == summaries[1]["loss"]
    hidden = [path.name for path in broken.rglob(".*")]
    assert hidden == [], "scratch files are left"
    return done.stdout.splitlines()


def test_a_run_killed_thrice_is_the_unbroken_run(prose: str, tmp_path: Path) -> None:
    # While the folder is made, writing a checkpoint, behind a step, and while the last figures are written.
    kills = [("replace", 2), ("replace", 9), ("step", 57), ("finish", 2)]
    told = killed(kills, prose, tmp_path)
    assert [line.split()[2] for line in told] == ["-9"] * len(kills)


@pytest.mark.slow
def test_a_run_killed_twenty_times_is_the_unbroken_run(prose: str, tmp_path: Path) -> None:
    chance = random.Random(20)
    kills: list[tuple[str, float]] = []
    for number in range(20):
        kind = chance.choice(("behind", "fsync", "replace", "step"))
        where: dict[str, Callable[[], float]] = {
            # So many steps, and up to 50 ms more, wherever that may be.
            "behind": lambda n=number: 11 * n + 1 + chance.random(),
            "fsync": lambda: chance.randint(1, 6),
            "replace": lambda: chance.randint(1, 4),
            "step": lambda n=number: 11 * (n + 1) - chance.randint(0, 10),
        }
        kills.append((kind, where[kind]()))
    told = killed(kills, prose, tmp_path)
    assert len(told) == 20


@pytest.fixture
def source(prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rates = {"float32": 1.0, "bfloat16": 1.0}
    monkeypatch.setattr(planning_module, "matmul_rates", lambda: rates)
    path = tmp_path / "prose.txt"
    path.write_text(prose[:6000], encoding="utf-8")
    return path


def go_on(training: Training, stop_at: int | None = None) -> None:
    for event in training.events():
        if isinstance(event, Step) and event.step == stop_at:
            training.loop.stop()


def assert_goes_on(folder: Path) -> None:
    """The checkpoint is whole, and the run ends well from there."""
    read_checkpoint(folder / "checkpoints" / "last.safetensors")
    training = prepare_training((), {}, output=str(folder), resume=True)
    go_on(training)
    assert training.finish()["steps"] == STEPS


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, problem: OSError) -> None:
    """No new file may appear that would replace `name`."""
    plain = tempfile.mkstemp

    def guarded(*given: Any, prefix: str = "", **more: Any) -> tuple[int, str]:
        if prefix == f".{name}-":
            raise problem
        return plain(*given, prefix=prefix, **more)

    monkeypatch.setattr(tempfile, "mkstemp", guarded)


FULL, READ_ONLY = OSError(28, "No space left on device"), OSError(30, "Read-only file system")


@pytest.fixture(scope="module")
def begun(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped shortly before its end."""
    base = tmp_path_factory.mktemp("begun")
    path = base / "prose.txt"
    path.write_text(prose[:6000], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning_module, "matmul_rates", lambda: {"float32": 1.0, "bfloat16": 1.0})
        go_on(prepare_training((str(path),), ASKED, output=str(base / "run")), stop_at=STEPS - 3)
    return base / "run"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("last.safetensors", FULL),
        ("last.safetensors", READ_ONLY),
        ("model.safetensors", FULL),
        (NGRAM, FULL),
        (TEXT_INDEX, FULL),
        ("curve.svg", FULL),
        ("README.md", FULL),
        ("summary.json", READ_ONLY),
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_the_last_checkpoint(
    begun: Path, source: Path, tmp_path: Path, name: str, problem: OSError
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)

    def end() -> None:
        training = prepare_training((), {}, output=str(folder), resume=True)
        go_on(training)
        training.finish()

    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, name, problem)
        if name == NGRAM:  # counts too large for the model file
            patch.setattr(id_facts, "MOST_INSIDE", 0)
        with pytest.raises(RunError, match=str(problem.strerror)) as caught:
            end()
    assert str(folder / name) in str(caught.value) or name == "last.safetensors"
    read_checkpoint(folder / "checkpoints" / "last.safetensors")
    assert not (folder / "summary.json").exists()
    if name in ("model.safetensors", "summary.json"):
        end()
        assert json.loads((folder / "summary.json").read_text())["steps"] == STEPS


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.md"])
def test_a_full_disk_under_the_record_is_told(source: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    go_on(prepare_training((str(source),), ASKED, output=str(folder)), stop_at=33)
    training = prepare_training((), {}, output=str(folder), resume=True)
    record = folder / name
    shutil.copy(record, tmp_path / "kept")
    record.unlink()
    record.symlink_to("/dev/full")
    with pytest.raises(RunError, match="cannot write: No space left on device"):
        go_on(training)
    record.unlink()
    shutil.copy(tmp_path / "kept", record)
    assert_goes_on(folder)


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """A file system of its own, or a skipped test where none may be made."""
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.skipif(
    shutil.which("mount") is None or os.geteuid() != 0, reason="only root may mount"
)
def test_a_disk_that_fills_up_while_it_trains(source: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"):
        folder = disk / "run"
        training = prepare_training((str(source),), ASKED, output=str(folder))
        filler = disk / "filler"
        with pytest.raises(RunError, match="No space left on device"):  # noqa: PT012
            for event in training.events():
                if isinstance(event, Step) and event.step == 52:
                    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                        while file.write(bytes(512)):
                            pass
        _, saved = settled_step(folder)
        assert saved >= 50
        filler.unlink()
        assert_goes_on(folder)


def test_a_limit_on_files_is_an_error_of_one_line(cli: Cli, source: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    text = source.read_text()
    source.write_text(text + text[::-1])  # not in the cache yet
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        result = cli("train", str(source), "-o", "run", "--steps", "5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.code == 1
    assert "error:" in result.err
    assert "File too large" in result.err
    assert "Traceback" not in result.err
    assert not Path("run").exists()


def test_a_changed_text_is_refused_with_the_difference(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go_on(prepare_training((str(source),), ASKED, output=str(folder)), stop_at=3)
    text = source.read_text()
    source.write_text(text + "more")
    with pytest.raises(RunError, match=r"1 document of 6,000 characters -> .* 6,004 characters"):
        prepare_training((), {}, output=str(folder), resume=True)
    source.write_text(text[:-1] + "~")
    with pytest.raises(RunError, match="the same size, but other contents"):
        prepare_training((), {}, output=str(folder), resume=True)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    source: Path, tmp_path: Path
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "run"
    go_on(prepare_training((str(source),), ASKED, output=str(whole)))
    events = prepare_training((str(source),), ASKED, output=str(folder)).events()
    for _ in range(3):  # and no further
        next(events)
    assert not (folder / "checkpoints" / "last.safetensors").exists()
    go_on(prepare_training((), {}, output=str(folder), resume=True))
    assert_same_run(whole, folder)
