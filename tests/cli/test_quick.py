"""Plain command lines are read without the library that reads all others, and to the same end."""

import dataclasses
import importlib
import random
import subprocess
import sys

import pytest

from rhapsode.cli.main import COMMANDS
from rhapsode.cli.parse import parse_any
from rhapsode.cli.quick import flag_name, quick
from rhapsode.errors import RhapsodeError

WORDS = (
    "run", "A", "", "-", "a b", "ROMEO:", "None", "true", "0", "1", "7", "007", "200", "0.8", "1e3", "1e-5", ".5", "5.",
    "1_000", "-1", "-0.5", "inf", "nan", "é", "٣", "12345678901234567890", "text", "jsonl", "hf", "skip", "list", "--",
    "---", "--json", "auto", "=", "a=b", "int8", "train", "\n",
)  # fmt: skip


def command_of(name: str) -> type:
    return getattr(importlib.import_module(f"rhapsode.cli.{name}"), f"{name.capitalize()}Command")


def by_library(command: type, arguments: list[str]) -> object:
    try:
        return parse_any(command, "x", "", arguments)
    except SystemExit:
        return None
    except RhapsodeError as problem:
        return str(problem)


def quickly(command: type, arguments: list[str]) -> object:
    try:
        return quick(command, arguments)
    except RhapsodeError as problem:
        return str(problem)


def random_line(command: type, choose: random.Random) -> list[str]:
    fields = dataclasses.fields(command)
    line: list[str] = []
    for _ in range(choose.randrange(6)):
        kind = choose.random()
        if kind < 0.35:
            line.append(choose.choice(WORDS))
        else:
            name = flag_name(choose.choice(fields).name, None)
            line.append(name if kind < 0.95 else choose.choice((name[:-1], name + "=1", name[1:])))
            if choose.random() < 0.85:
                line.append(choose.choice(WORDS))
    return ["run", *line] if choose.random() < 0.7 else line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_is_read_quickly_is_what_the_library_reads(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, choose, understood = command_of(name), random.Random(name), 0
    for _ in range(10_000):
        line = random_line(command, choose)
        given = quickly(command, line)
        if given is None:
            continue
        understood += 1
        assert type(given) in (command, str)
        assert repr(given) == repr(by_library(command, line)), line
        if understood == 40:
            return
    raise AssertionError(f"only {understood} lines were plain")


@pytest.mark.parametrize(
    "line",
    [
        ["generate", "run", "A", "--length", "200"],
        ["generate", "run", "--temperature", "0.8", "A", "--stop", "x", "--stop", "y", "--seed", "1"],
        ["generate", "run", "-", "--format", "jsonl", "--explain"],
        ["next", "run", "A", "B", "--top", "3", "--json"],
        ["encode", "run", "some text", "--json"],
        ["info", "run"],
        ["train", "a.txt", "b.txt", "-o", "out", "--set", "a.b=1", "--set", "c.d=2", "--from", "x"],
        ["evaluate", "run", "a.txt", "--json"],
    ],
)  # fmt: skip
def test_plain_lines(line: list[str]) -> None:
    command = command_of(line[0])
    given = quick(command, line[1:])
    assert given is not None
    assert given == by_library(command, line[1:])


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        [],
        ["run", "A", "B"],
        ["run", "--lengt", "1"],
        ["run", "--length=1"],
        ["run", "--length", "x"],
        ["run", "--length", "-1"],
        ["run", "--length", "1", "--length", "2"],
        ["run", "--length"],
        ["run", "--format", "xml"],
        ["run", "--temperatures", "1", "2"],
        ["run", "--", "--length"],
    ],
)
def test_all_else_is_for_the_library(line: list[str]) -> None:
    assert quick(command_of("generate"), line) is None


def test_a_plain_line_does_not_load_the_library() -> None:
    code = """
import sys
from rhapsode.cli.main import main
assert main(["generate", "no-such-run", "A", "--length", "200", "--seed", "1"]) == 1
late = ("tyro", "typeguard", "yaml", "asyncio", "unittest", "rich.table")
print([name for name in late if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
