"""Answers of a model of pairs to the lines of a file."""

from pathlib import Path
from typing import Any

import rhapsode as rh
from rhapsode.cli.console import json_text, note, put
from rhapsode.cli.parse import read_stdin
from rhapsode.config import GenerateSettings, RequestSettings
from rhapsode.errors import DataError


def write_answers(
    model: "rh.Model[Any]", more: RequestSettings, settings: GenerateSettings, output: str | None
) -> None:
    """Answer the lines of a file, into a file or standard output.

    Arguments:
        model: of pairs.
        more: names the file of inputs, and the number of answers.
        settings: of the search.
        output: the file of answers; None for standard output.
    """
    assert more.input is not None
    lines = _lines(read_stdin() if more.input == "-" else _read(more.input))
    answers = rh.answer(model, lines, settings, n_best=more.n_best)
    if settings.format == "jsonl":
        entries = (
            json_text({"input": line, "answers": [each.to_mapping() for each in own]})
            for line, own in zip(lines, answers, strict=True)
        )
    elif more.n_best == 1:
        entries = (one_line(own[0].text) if own else "" for own in answers)
    else:
        entries = (
            f"{number}\t{one_line(each.text)}\t{each.log_prob:.4f}"
            for number, own in enumerate(answers, 1)
            for each in own
        )
    if output is None:
        for entry in entries:
            put(entry + "\n")
        return
    rh.write_lines(output, entries)
    note(f"wrote {output}")


def _read(path: str) -> str:
    """Text of a UTF-8 file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        problem = "this is not UTF-8"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        problem = f"cannot read: {reason}" if reason else "cannot read"
    raise DataError(problem, where=path, hint="--input takes a text file with one input a line")


def _lines(text: str) -> list[str]:
    """Lines of a text, without line ends; the last line may lack its end."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def one_line(text: str) -> str:
    """A text on one line: line ends and tabs become spaces."""
    return text.replace("\n", " ").replace("\t", " ")
