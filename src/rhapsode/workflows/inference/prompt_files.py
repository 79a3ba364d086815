"""Prompts in files."""

from __future__ import annotations

import json
from pathlib import Path

from rhapsode.errors import DataError

__all__ = ["parse_prompts", "read_prompts"]


def read_prompts(path: str) -> list[str]:
    """The prompts in a file; see `parse_prompts`.

    Raises:
        DataError: it cannot be read, is not UTF-8, or holds no prompt.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as problem:
        what = "this is not UTF-8" if isinstance(problem, UnicodeDecodeError) else "cannot read"
        reason = getattr(problem, "strerror", None)
        raise DataError(
            f"{what}: {reason}" if reason else what,
            where=path,
            hint="--prompts takes a text file with a prompt a line",
        ) from None
    return parse_prompts(text, path)


def parse_prompts(text: str, where: str) -> list[str]:
    """A prompt a line, empty lines left out; lines that are all JSON strings are read as such.

    Arguments:
        text: the lines.
        where: their file, for messages.

    Raises:
        DataError: there is none.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError("there is no prompt", where=where, hint="write one a line")
    if not all(line.lstrip().startswith('"') for line in lines):
        return lines
    try:
        prompts = [json.loads(line) for line in lines]
    except ValueError:
        return lines  # a text whose lines begin with quotation marks
    return prompts if all(isinstance(prompt, str) for prompt in prompts) else lines
