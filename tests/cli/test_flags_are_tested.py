"""Every flag of every command stands in a test, beside its command, that asserts something."""

import ast
import dataclasses
import importlib
from pathlib import Path

import pytest

from rhapsode.cli.main import COMMANDS
from rhapsode.modalities import MODALITIES

OF_MODALITIES = {"evaluate": "evaluation", "compare": "comparison"}
"""Commands that take the settings of modalities as flags too."""


def flags_of(command: str) -> list[str]:
    module = importlib.import_module(f"rhapsode.cli.{command}")
    fields = [*dataclasses.fields(getattr(module, f"{command.capitalize()}Command"))]
    for name in MODALITIES.names() if command in OF_MODALITIES else ():
        fields += dataclasses.fields(getattr(MODALITIES.get(name), OF_MODALITIES[command]))
    positional = {"sources", "source", "text", "action", "models", "history", "score"}
    if command in ("generate", "play"):
        positional.add("prompt")
    if command != "train":
        positional.add("model")
    names = [f.name.rstrip("_").replace("_", "-") for f in fields if f.name not in positional]
    return [f"--{name}" for name in names]


def strings_of_tests() -> list[set[str]]:
    """The texts in each test function that asserts, constants of its file included by name."""
    found: list[set[str]] = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            nodes = list(ast.walk(function))
            if any(isinstance(node, ast.Assert) for node in nodes):
                found.append(
                    {
                        n.value
                        for n in nodes
                        if isinstance(n, ast.Constant) and isinstance(n.value, str)
                    }
                )
    return found


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_flag(command: str) -> None:
    texts = strings_of_tests()
    missing = [
        flag
        for flag in flags_of(command)
        if not any(command in strings and flag in strings for strings in texts)
    ]
    assert missing == []
