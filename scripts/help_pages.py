"""Writes docs/commands.md from the commands' own help; --check only says whether it is up to date."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rhapsode.cli.main import COMMANDS

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"


def help_of(*arguments: str) -> str:
    """What a command prints for --help, in 100 columns and without colour."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "rhapsode", *arguments, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def page() -> str:
    """The whole page."""
    parts = ["# Commands\n", f"```text\n{help_of()}\n```\n"]
    parts += [f"## rhapsode {name}\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
    return "\n".join(parts)


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = page()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/commands.md is not what the commands say: run python scripts/help_pages.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
