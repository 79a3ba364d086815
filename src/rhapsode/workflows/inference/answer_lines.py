"""Answers of models of pairs to the lines of a text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rhapsode.config import GenerateSettings
from rhapsode.files import write_atomically
from rhapsode.modalities.opened import Answered
from rhapsode.workflows.inference.ask import AnyModel, as_model


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write lines into a UTF-8 file, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    text = "".join(line + "\n" for line in lines)
    write_atomically(Path(path), text.encode("utf-8", "surrogateescape"))


def answer(
    model: str | Path | AnyModel,
    lines: Sequence[str],
    settings: GenerateSettings | None = None,
    *,
    n_best: int = 1,
) -> Iterator[Sequence[Answered]]:
    """The best answers of a model of pairs to lines.

    Arguments:
        model: a run folder or model file, or an open model.
        lines: inputs; a blank one has no answer.
        settings: of the search: beams, length penalty, length.
        n_best: answers to each line.

    Raises:
        SettingsError: the model is not one of pairs.
    """
    opened = as_model(model)
    return opened.answers(lines, settings or opened.generation(), n_best=n_best)
