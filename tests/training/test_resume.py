"""A run stopped anywhere and resumed equals the unbroken one bit for bit: weights, best weights, metrics."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rhapsode.bundle import read_bundle
from rhapsode.config import read_toml
from rhapsode.errors import RunError
from rhapsode.training import Step, read_checkpoint
from rhapsode.training.threads.thread_choice import TrainingThreads, thread_modes
from rhapsode.workflows.runs.run import prepare_training
from tests.training.replay_clock import ReplayClock

STEPS = 24
SMALL: dict[str, dict[str, Any]] = {
    "lstm": {
        "embedding_size": 8,
        "hidden_size": 16,
        "num_layers": 2,
        "dropout": 0.2,
        "shortlist": 16,
        "tail_size": 4,
    },
    "transformer": {
        "embedding_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "window": 12,
        "dropout": 0.2,
    },
}


def asked(family: str, **more: Any) -> dict[str, Any]:
    return {
        "model": family,
        "seed": 3,
        "network": SMALL[family],
        "training": {
            "batch_size": 4,
            "window": 16,
            "learning_rate": 0.01,
            "precision": "float32",
            "averaging": 0.9,
            "evaluations": 4,
        },
        "samples": {"length": 5, "temperatures": [0.8]},
        **more,
    }


def train(
    source: Path,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    stop_at: int | None = None,
    resume: bool = False,
    clock: ReplayClock | None = None,
    threads: TrainingThreads | None = None,
) -> None:
    training = prepare_training(
        (str(source),), settings, output=str(folder), resume=resume, clock=clock, threads=threads
    )
    for event in training.events():
        if isinstance(event, Step) and event.step == stop_at:
            training.loop.stop()


def steps_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [{k: v for k, v in line.items() if k not in ("elapsed", "busy")} for line in kept]


def assert_same_run(one: Path, other: Path) -> None:
    assert steps_of(one) == steps_of(other)
    first = read_checkpoint(one / "checkpoints" / "last.safetensors").tensors
    second = read_checkpoint(other / "checkpoints" / "last.safetensors").tensors
    assert sorted(first) == sorted(second)
    for name, tensor in first.items():
        assert np.array_equal(tensor.float().numpy(), second[name].float().numpy()), name
    best, again = read_bundle(one), read_bundle(other)
    for name, array in best.arrays.items():
        assert np.array_equal(array, again.arrays[name]), name
    assert (one / "samples.md").read_text() == (other / "samples.md").read_text()


@pytest.fixture(scope="module")
def small_source(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "prose.txt"
    path.write_text(prose[:6000], encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=sorted(SMALL))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(family: str, small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run of a family."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(small_source, folder, asked(family, steps=STEPS))
    return folder


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(stops=st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=3, unique=True))
def test_steps_resumed_anywhere(
    family: str,
    whole: Path,
    small_source: Path,
    tmp_path_factory: pytest.TempPathFactory,
    stops: list[int],
) -> None:
    broken = tmp_path_factory.mktemp("runs") / "broken"
    for number, stop in enumerate(sorted(stops)):
        train(
            small_source,
            broken,
            asked(family, steps=STEPS) if number == 0 else {},
            stop_at=stop,
            resume=number > 0,
        )
    train(small_source, broken, {}, resume=True)
    assert_same_run(whole, broken)


def test_budget_resumed_under_a_replayed_clock(
    family: str, small_source: Path, tmp_path: Path
) -> None:
    real = tmp_path / "real"
    budget = asked(family, budget="3s")
    train(small_source, real, budget)
    fractions = [line["fraction"] for line in steps_of(real) if line["event"] == "step"]
    fractions = fractions[:: max(1, len(fractions) // 30)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(small_source, whole, budget, clock=ReplayClock(fractions))
    train(small_source, broken, budget, clock=ReplayClock(fractions), stop_at=len(fractions) // 3)
    train(small_source, broken, {}, resume=True, clock=ReplayClock(fractions))
    assert len(fractions) == steps_of(whole)[-1]["step"]
    assert_same_run(whole, broken)


def test_replaying_a_whole_run_gives_the_same_run(
    family: str, small_source: Path, tmp_path: Path
) -> None:
    real, replayed = tmp_path / "real", tmp_path / "replayed"
    train(small_source, real, asked(family, budget="2s"))
    fractions = [line["fraction"] for line in steps_of(real) if line["event"] == "step"]
    looks = {line["step"] for line in steps_of(real) if line["event"] == "evaluation"}
    steps = [line for line in steps_of(real) if line["event"] == "step"]
    recorded = {line["step"] - 1: line["threads"] for line in steps}
    threads = TrainingThreads(thread_modes(torch.get_num_threads(), counts=False), recorded)
    clock = ReplayClock(fractions, looks)
    train(small_source, replayed, asked(family, budget="2s"), clock=clock, threads=threads)
    assert_same_run(real, replayed)


def test_what_a_killed_run_wrote_behind_its_checkpoint_is_written_again(
    small_source: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(small_source, whole, asked("lstm", steps=STEPS))
    train(small_source, killed, asked("lstm", steps=STEPS), stop_at=10)
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "step": 11, "fraction": 0.5}\n{"event": "st')
    with (killed / "samples.md").open("a") as file:
        file.write("\n## Step 12\n\nlost")
    train(small_source, killed, {}, resume=True)
    assert_same_run(whole, killed)


def test_resume_refuses_other_text_and_other_settings(small_source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    source = tmp_path / "text.txt"
    source.write_text(small_source.read_text())
    train(source, run, asked("lstm", steps=STEPS), stop_at=5)
    with pytest.raises(RunError, match=r"training\.learning_rate \(0\.01 -> 0\.02\)"):
        train(source, run, {"training": {"learning_rate": 0.02}}, resume=True)
    source.write_text(small_source.read_text() + "x")
    with pytest.raises(RunError, match="not the one this run began with"):
        train(source, run, {}, resume=True)


def test_resume_refuses_a_finished_run_and_a_folder_without_one(
    small_source: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    training = prepare_training((str(small_source),), asked("lstm", steps=4), output=str(run))
    for _ in training.events():
        pass
    training.finish()
    with pytest.raises(RunError, match="finished"):
        train(small_source, run, {}, resume=True)
    with pytest.raises(RunError, match="no run here"):
        train(small_source, tmp_path / "nothing", {}, resume=True)


def test_a_lengthened_run_goes_on_and_is_resumed_anywhere(
    small_source: Path, tmp_path: Path, told: list[str]
) -> None:
    """Twice as long, twice; interrupted in the second stage, it equals the unbroken one bit for bit."""
    asked_once = asked("lstm", steps=8)
    for name, stops in (("whole", ()), ("broken", (13, 16))):
        folder = tmp_path / name
        train(small_source, folder, asked_once)
        train(small_source, folder, {"steps": 18}, resume=True, stop_at=stops[0] if stops else None)
        for stop in (*stops[1:], None) if stops else ():
            train(small_source, folder, {}, resume=True, stop_at=stop)
        train(small_source, folder, {"epochs": 1.0}, resume=True)
    kept = [steps_of(tmp_path / name) for name in ("whole", "broken")]
    assert kept[0] == kept[1]
    steps = [line for line in kept[0] if line["event"] == "step"]
    assert [line["step"] for line in kept[0] if line["event"] == "lengthened"] == [8, 18]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    rates = [line["learning_rate"] for line in steps]
    for begin in (8, 18):  # warmed up again, from low to the peak
        assert steps[begin]["fraction"] == 0.0
        assert rates[begin] < rates[begin - 1] < max(rates[begin:]) == pytest.approx(0.01, rel=0.03)
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("whole", "broken"))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
    assert "lengthened after 8 updates; the learning rate is warmed up again" in told
    again = read_toml(tmp_path / "whole" / "config.toml")
    assert (again["epochs"], "steps" in again) == (1.0, False)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({}, "this run is finished; lengthen it with more than --steps 4"),
        ({"steps": 4}, "--steps 4 is not more than the --steps 4 that this run has"),
        ({"steps": 3}, "--steps 3 is not more than the --steps 4 that this run has"),
        ({"epochs": 0.001}, "this run has taken 4 updates already"),
        ({"steps": 9, "seed": 5}, "these differ: seed (3 -> 5)"),
    ],
)
def test_a_limit_that_does_not_lengthen_is_one_line(
    finished: Path, limit: dict[str, Any], reason: str
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as caught:
        prepare_training((), limit, output=str(finished), resume=True)
    assert reason in str(caught.value)
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


def test_other_data_names_from(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("other text\n" * 300, encoding="utf-8")
    with pytest.raises(RunError, match=f"--from {finished}"):
        prepare_training((str(other),), {"steps": 9}, output=str(finished), resume=True)


def test_summary_card_and_curve_tell_of_both_stages(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    training = prepare_training((), {"steps": 10}, output=str(folder), resume=True)
    for _ in training.events():
        assert not (folder / "summary.json").exists()
    summary = training.finish()
    assert [stage["steps"] for stage in summary["stages"]] == [4, 6]
    assert summary["steps"] == 10
    assert "Lengthened: updates 4 in" in (folder / "README.md").read_text()
    assert "lengthened after 4 updates" in (folder / "curve.svg").read_text()
    assert "# Lengthened after step 4" in (folder / "samples.md").read_text()
    assert json.loads((folder / "summary.json").read_text())["stages"] == summary["stages"]


@pytest.fixture(scope="module")
def finished(small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four updates."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    training = prepare_training((str(small_source),), asked("lstm", steps=4), output=str(folder))
    for _ in training.events():
        pass
    training.finish()
    return folder
