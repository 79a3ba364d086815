"""Two runs at the same moment: each has a folder of its own."""

from pathlib import Path

import pytest

from rhapsode.errors import RunError
from rhapsode.workflows.runs.run_folder import RunFolder


def test_the_second_of_two_runs_takes_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, third = (RunFolder.place(None, ["data/names-2.txt"]) for _ in range(3))
    made = [str(folder.create({}, ["data/names-2.txt"])) for folder in (first, second, third)]
    assert made == ["runs/names-2", "runs/names-2-2", "runs/names-2-3"]
    assert third.model.parent == third.checkpoint.parent.parent == Path("runs/names-2-3")
    assert {path.name for path in Path("runs").iterdir()} == {"names-2", "names-2-2", "names-2-3"}


def test_a_folder_that_was_asked_for_is_not_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (RunFolder.place("run", []) for _ in range(2))
    one.create({})
    with pytest.raises(RunError, match="cannot make the run folder"):
        other.create({})
