"""A run whose validation loss has risen for too long ends early, says so, and resumes as what it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from rhapsode.training import Evaluated, Finished
from rhapsode.workflows.runs.run import prepare_training

LOSSES = [3.0, 2.0, 2.5, 2.4, 2.1, 1.9, 2.0, 2.0, 2.0, 1.0]


def asked(patience: int) -> dict[str, Any]:
    return {
        "steps": 40,
        "network": {"embedding_size": 4, "hidden_size": 8},
        "training": {
            "batch_size": 4,
            "window": 16,
            "evaluations": 10,
            "patience": patience,
            "precision": "float32",
        },
        "samples": {"length": 0},
    }


def looks(source: Path, folder: Path, patience: int, stop_at: int | None = None) -> list[Any]:
    """The looks of a run whose validation slice gives `LOSSES`, and its end."""
    resume = folder.exists()
    training = prepare_training((str(source),), asked(patience), output=str(folder), resume=resume)
    told = iter(LOSSES[training.loop.progress.evaluations :])
    object.__setattr__(training.loop.current._hooks, "evaluate", lambda: next(told))
    seen: list[Any] = []
    for event in training.events():
        if isinstance(event, Evaluated | Finished):
            seen.append(event)
        if isinstance(event, Evaluated) and len(seen) == stop_at:
            training.loop.stop()
    return seen


@pytest.fixture
def source(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    path.write_text(prose[:4000], encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("patience", "seen", "reason"),
    [(3, 5, "overfitting"), (4, 10, "done"), (0, 10, "done"), (1, 3, "overfitting")],
)
def test_it_ends_behind_so_many_looks_that_found_nothing_better(
    source: Path, tmp_path: Path, patience: int, seen: int, reason: str
):
    *told, last = looks(source, tmp_path / "run", patience)
    assert [event.loss for event in told] == LOSSES[:seen]
    assert [event.best for event in told] == [
        loss < min([9.0, *LOSSES[:place]]) for place, loss in enumerate(LOSSES[:seen])
    ]
    assert last.reason == reason
    assert last.step == told[-1].step


def test_the_count_of_looks_survives_a_break(source: Path, tmp_path: Path):
    first = looks(source, tmp_path / "run", 3, stop_at=4)
    assert first[-1].reason == "interrupted"
    second = looks(source, tmp_path / "run", 3)
    assert [event.loss for event in second[:-1]] == [2.1]
    assert second[-1].reason == "overfitting"
    again = looks(source, tmp_path / "run", 3)
    assert [event.reason for event in again] == ["overfitting"]
    kept = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "evaluation" for line in kept) == 5
