"""`rhapsode play` on a real terminal, driven through tmux as by a person at the keys."""

import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

if shutil.which("tmux") is None:
    pytest.skip("tmux is not installed", allow_module_level=True)


class Terminal:
    """A terminal of its own in a tmux server of its own."""

    def __init__(self, command: str, folder: Path, columns: int = 90, rows: int = 40) -> None:
        self.server = f"rhapsode-{uuid.uuid4().hex[:8]}"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "-c", str(folder), "sh")  # fmt: skip
        self.type(f"PS1='gone> '; clear; {command}")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.server, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def keys(self, *names: str) -> None:
        self._tmux("send-keys", *names)

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-l", line)
        self.keys("Enter")

    def screen(self, *flags: str) -> str:
        return self._tmux("capture-pane", "-p", *flags)

    def wait(self, text: str, seconds: float = 40) -> str:
        """The screen, once the text stands on it and the person may type."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            screen = self.screen()
            lines = screen.rstrip().splitlines()
            if text in screen and lines and lines[-1].strip() in {"›", "gone>"}:
                return screen
            time.sleep(0.1)
        pytest.fail(f"{text!r} did not appear on\n{self.screen()}")

    def command(self, line: str, shows: str) -> str:
        """Type a line on a clean screen and wait for what it shows."""
        self.keys("C-l")
        time.sleep(0.2)
        self.type(line)
        return self.wait(shows)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.server, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(run_folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    words = [sys.executable, "-m", "rhapsode", "play", str(run_folder), "--seed", "5",
             "--set", "length=40", "--keep", "kept.jsonl"]  # fmt: skip
    opened = Terminal(shlex.join(words), tmp_path)
    try:
        opened.wait("/help lists the commands")
        yield opened
    finally:
        opened.close()


def test_every_command(terminal: Terminal, tmp_path: Path) -> None:
    first = terminal.command("The ", "The ")
    assert "\x1b[1m" in terminal.screen("-e")  # what was given stands out
    assert len(first.split("The ", 1)[1]) > 40
    assert "written" in terminal.command("/why", "candidates left")
    assert "given" in terminal.command("/why 2", "element 2")
    terminal.command("/again", "the earlier continuation is branch 1")
    assert "→ 2" in terminal.command("/branch", "→ 2")
    terminal.command("/branch 1", "The ")
    terminal.command("/branch new", "branch 3 starts here")
    terminal.command("", "›")
    terminal.command("/undo", "1 step taken back")
    terminal.command("/set temperature 0.5", "temperature 0.5")
    terminal.command("/set", "temperature  0.5")
    terminal.command("/show", "The ")
    terminal.command("/keep", "appended to kept.jsonl")
    assert (tmp_path / "kept.jsonl").exists()
    terminal.command("/save s.json", "saved in s.json")
    terminal.command("/load s.json", "continuing s.json")
    terminal.command("/help", "/quit")
    terminal.command("/nonsense", "no command /nonsense")
    terminal.type("/quit")
    assert "Traceback" not in terminal.wait("gone>")


def test_keys(terminal: Terminal) -> None:
    # History, Tab, and a Ctrl-C at the prompt that leaves nothing.
    terminal.command("/set length 7", "length 7")
    terminal.keys("C-l", "Up", "Enter")
    terminal.wait("length 7")
    terminal.keys("C-l")
    terminal.keys("-l", "/sh")
    terminal.keys("Tab", "Enter")
    terminal.wait("/show")
    terminal.keys("C-c")
    terminal.wait("Ctrl-D leaves")
    terminal.keys("C-d")
    assert "Traceback" not in terminal.wait("gone>")


def test_ctrl_c_stops_the_writing_only(terminal: Terminal) -> None:
    terminal.command("/set length 100000", "length 100000")
    terminal.command("/set bias #0=-99", "bias")  # so that no text ends by itself
    terminal.type("The ")
    end = time.monotonic() + 20
    while len("".join(terminal.screen().split())) < 500:
        assert time.monotonic() < end, terminal.screen()
        time.sleep(0.1)
    terminal.keys("C-c")
    terminal.wait("stopped; press Enter to continue")
    terminal.command("/set length 5", "length 5")
    terminal.command("/why", "candidates left")
    terminal.keys("C-d")
    assert "Traceback" not in terminal.wait("gone>")
