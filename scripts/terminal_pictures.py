"""Records what `rhapsode next` and `rhapsode play` show on a terminal into docs/pictures, as SVG.

Give it a model that writes well; one trained on public-domain or our own data, for the pictures travel with the package:

    rhapsode train python-docs -o runs/pictures --budget 3m
    python scripts/terminal_pictures.py runs/pictures
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH = 96
LINES = (
    "/set temperature 0.5",
    "If a class ",
    "/why",
    "/again",
    "/branch",
    "",
    "/undo",
    "/keep",
)


def write_svg(ansi: str, title: str, path: Path) -> None:
    """Coloured terminal output as a picture."""
    console = Console(
        record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(ansi.rstrip()))
    path.write_text(console.export_svg(title=title), encoding="utf-8")
    print(path)


def picture_of_next(model: Path) -> None:
    """The table behind two prompts at three temperatures."""
    words = ["next", str(model), "If a cla", "the value of", "--temperatures", "0.5", "1", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "rhapsode", *words],
        env={**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = shlex.join(["rhapsode", "next", "my-run", *words[2:]])
    write_svg(f"\033[2m$ {shown}\033[0m\n{done.stdout}", "rhapsode next", FOLDER / "next.svg")


def picture_of_play(model: Path) -> None:
    """A session on a real terminal."""
    server = ["tmux", "-L", f"rhapsode-pictures-{os.getpid()}"]
    kept = Path(tempfile.mkdtemp()) / "kept.jsonl"
    play = [sys.executable, "-m", "rhapsode", "play", str(model.resolve()), "--seed", "4",
            "--set", "length=150", "--keep", str(kept)]  # fmt: skip
    size = ["-x", str(WIDTH), "-y", "48"]
    command = f"cd {shlex.quote(str(kept.parent))}; {shlex.join(play[:-1])} kept.jsonl"
    start = ["-f", "/dev/null", "new-session", "-d", *size, command]
    subprocess.run([*server, *start], check=True)
    try:
        time.sleep(8)
        for line in LINES:
            subprocess.run([*server, "send-keys", "-l", line], check=True)
            subprocess.run([*server, "send-keys", "Enter"], check=True)
            time.sleep(3)
        capture = [*server, "capture-pane", "-p", "-e", "-S", "-"]
        screen = subprocess.run(capture, capture_output=True, text=True, check=True).stdout
    finally:
        subprocess.run([*server, "kill-server"], check=False, capture_output=True)
    write_svg(screen, "rhapsode play", FOLDER / "play.svg")


def main() -> int:
    """Record both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="run folder")
    model = parser.parse_args().model
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture_of_next(model)
    picture_of_play(model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
