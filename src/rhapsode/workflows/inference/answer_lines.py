"""Answers of models of pairs to the lines of a text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rhapsode.config import GenerateSettings
from rhapsode.modalities.opened import Answered
from rhapsode.workflows.inference.ask import AnyModel, as_model


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
