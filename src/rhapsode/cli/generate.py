"""`rhapsode generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional

from rhapsode.cli.console import note
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, option

__all__ = ["GenerateCommand", "run"]

DESCRIPTION = """Continue a prompt. Prints prompt and continuation, and nothing else, to stdout.

Temperatures of 0.2 to 0.5 keep to the likely, 0.7 to 0.9 balance, 1.0 to 1.5 invent; 0 always takes the likeliest
element, which tends to loop."""


@dataclass(frozen=True)
class _Places:
    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    prompt: Positional[Annotated[str, option("PROMPT", "none")]] = ""
    """Text to continue; - reads it from standard input."""


@dataclass(frozen=True)
class GenerateCommand(GenerateSettings, _Places):
    """Flags of `rhapsode generate`."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(GenerateCommand, "generate", DESCRIPTION, arguments)
    settings = settings_of(command, GenerateSettings)
    from rhapsode.workflows.continuing import with_seed
    from rhapsode.workflows.model import Model

    seeded = with_seed(settings)
    prompt = read_stdin() if command.prompt == "-" else command.prompt
    model = Model(command.model)
    prompt = model.usable_prompt(prompt, seeded)
    unknown = model.unknown_words(prompt)
    if unknown:
        named = ", ".join(map(repr, unknown[:8]))
        note(f"warning: the model does not know {named}, and reads the unknown element there")
    if settings.seed is None and settings.temperature >= 1e-5:
        note(f"seed {seeded.seed}")
    if settings.format == "jsonl":
        for continuation in model.continuations(prompt, seeded):
            sys.stdout.write(json.dumps(asdict(continuation), ensure_ascii=False) + "\n")
        return 0
    if settings.count > 1:
        for continuation in model.continuations(prompt, seeded):
            _write(continuation.prompt + continuation.text + "\n")
        return 0
    _ = model.predictor  # nothing is printed of a model that cannot be used
    _write(prompt)
    ended = prompt.endswith("\n")
    for piece in model.stream(prompt, seeded):
        if piece.text:
            _write(piece.text)
            ended = piece.text.endswith("\n")
    if not ended:
        _write("\n")
    return 0


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
