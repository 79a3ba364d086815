"""Every command, under the rules of a system that the suite does not run on."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.cli.main import main
from tests.cli.conftest import QUICK
from tests.other_systems import Stream, behave_as_windows, faults

Run = Callable[..., tuple[int, bytes, str]]
TEXT = "A text with spaces – näher, 中.txt"
ENCODING = "cp1252"


@pytest.fixture
def windows(prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rhapsode` as a process of its own would, with the streams of a Western Windows."""
    for room in (
        "cli.console",
        "cli.process",
        "engine.threads",
        "engine.packed_weights",
        "training.threads.other_programs",
    ):
        __import__(f"rhapsode.{room}")
    monkeypatch.setenv("RHAPSODE_CACHE", str(tmp_path / "cache of ours"))
    monkeypatch.chdir(tmp_path)
    behave_as_windows(tmp_path, monkeypatch)
    Path(TEXT).write_text("█ é → 中\n" + prose[:9000], encoding="utf-8")

    def run(*arguments: str, terminal: bool = False, typed: bytes = b"") -> tuple[int, bytes, str]:
        stdin, out, err = (Stream(ENCODING, terminal=terminal) for _ in range(3))
        stdin.buffer.write(typed)
        stdin.buffer.seek(0)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["rhapsode", *arguments])
            for name, stream in {"stdin": stdin, "stdout": out, "stderr": err}.items():
                patch.setattr(sys, name, stream)
            code = main()
        return code, out.content(), err.content().decode(err.encoding)

    return run


def stop_early(output: str, *sources: str, **settings: object) -> None:
    """Begin a run and stop it after its fourth update."""
    training = rh.prepare(sources, settings, output=output)
    for event in training.events():
        if isinstance(event, rh.Step) and event.step == 4:
            training.loop.stop()


def test_every_command_works_as_on_windows(windows: Run, tmp_path: Path) -> None:
    small = {"network": {"hidden_size": 24}, "training": {"evaluations": 2}}
    stop_early("été run", TEXT, steps=8, **small)
    values = 10 + np.sin(np.arange(160) / 3)
    Path("t.csv").write_text("y\n" + "".join(f"{value:.4f}\n" for value in values))
    stop_early("series", "t.csv", steps=8, network={"hidden_size": 8})
    commands = [
        ("train", "-o", "été run", "--resume"),
        ("train", TEXT, "-o", "later", "--from", "été run", "--steps", "4"),
        ("train", TEXT, "-o", "many", "--repeat", "2", "--steps", "2", *QUICK),
        ("train", TEXT, "--plan", "--steps", "4"),
        ("generate", "été run", "The ", "--length", "9"),
        ("generate", "été run", "The ", "--temperatures", "0.5", "1", "--length", "9"),
        ("next", "été run", "█ é →"),
        ("evaluate", "été run", TEXT),
        ("evaluate", "été run", TEXT, "--json"),
        ("compare", "été run", "later", "--on", TEXT),
        ("info", "été run"),
        ("encode", "été run", "█ é → 中"),
        ("data", "info", TEXT),
        ("data", "show", TEXT),
        ("data", "list"),
        ("train", "-o", "series", "--resume"),
        ("forecast", "series", "t.csv", "--horizon", "4", "--plot", "f.svg"),
        ("play", "été run"),
        ("compare", "--blind", "été run", "later", "--prompt", "é", "--rounds", "1"),
    ]
    problems = []
    for command in commands:
        for terminal in (False, True):
            if terminal and command[0] not in ("generate", "next", "info", "encode", "data"):
                continue  # slower ones, which print tables as these do
            code, out, err = windows(*command, terminal=terminal, typed="é\n1\n".encode())
            out.decode(ENCODING if terminal else "utf-8", "replace" if terminal else "strict")
            if code:
                problems.append(f"{command}, terminal {terminal}: {code} {err[-900:]}")
    assert not "\n".join(problems + faults(tmp_path))
    piped = windows("generate", "été run", "█ é →", "--length", "1", "--temperature", "0")
    assert piped[1].decode().startswith("█ é →")
    shown = windows("generate", "été run", "█ é →", "--length", "1", terminal=True)
    assert shown[1].decode(ENCODING).startswith("? é ?")


def test_a_closed_pipe_is_no_error(windows: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows says of a closed pipe that an argument is invalid."""
    closed, ends = Stream("utf-8", terminal=False), []

    def refuse() -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(closed, "flush", refuse)
    monkeypatch.setattr(closed, "fileno", lambda: 7)
    monkeypatch.setattr("os.dup2", lambda *handles: ends.append(handles[1]))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        assert main(["data", "list"]) == 0
    assert ends == [7]
    monkeypatch.setattr("rhapsode.cli.process.sys", sys)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        with pytest.raises(OSError, match="Invalid"):  # a failure on any other system
            main(["data", "list"])
