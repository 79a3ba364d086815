"""A model measured on data, or on a part of what its run began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rhapsode.bundle import bundle_path
from rhapsode.config import from_mapping
from rhapsode.errors import RunError, SettingsError
from rhapsode.modalities.choose import AnyModality
from rhapsode.modalities.contract import Metrics, Part, PartName, Tell
from rhapsode.workflows import AnyModel, open_model
from rhapsode.workflows.runs.resume_run import read_run
from rhapsode.workflows.runs.run_folder import RunFolder

__all__ = ["evaluate", "part_of_run"]


def evaluate(
    model: str | Path | AnyModel,
    *sources: str,
    split: PartName | None = None,
    tell: Tell = lambda _: None,
    **asked: Any,
) -> Metrics:
    """Measure a model.

    Arguments:
        model: a run folder or model file, or a model that is open already.
        sources: what to score.
        split: the part of the sources of its run to score instead.
        tell: takes lines of progress.
        asked: settings of the modality's evaluation by name.

    Raises:
        RhapsodeError: a model, source or setting that does not fit.
    """
    modality, opened = open_model(model)
    settings = from_mapping(modality.evaluation, asked, where="evaluate")
    if split is None:
        part = modality.to_score(opened, sources, asked, tell)
    elif sources:
        raise SettingsError(
            "a part of a run belongs to the sources of that run",
            where="--split",
            hint="leave out the sources, or --split",
        )
    else:
        part = part_of_run(modality, opened, split, tell)
    return modality.metrics(opened, part, settings, tell)


def part_of_run(modality: AnyModality, model: Any, split: PartName, tell: Tell) -> Part:
    """A part of the corpus that the run of a model began with, prepared again.

    Arguments:
        modality: of the model.
        model: opened from a run folder.
        split: which part.
        tell: takes lines of progress.

    Raises:
        RunError: the model lies in no run folder, or its sources have changed.
        DataError: the sources cannot be read, or the part is empty.
    """
    folder = RunFolder(bundle_path(model.path).parent)
    if not folder.config.exists():
        raise RunError(
            "nothing beside this model tells what it learnt from (no config.toml)",
            where=str(folder.path),
            hint="name a source in place of --split",
        )
    kept = read_run(folder)
    settings = from_mapping(modality.settings, kept.settings, where=str(folder.config))
    corpus = modality.corpus(kept.sources, settings, tell, base=model.bundle)
    kept.check(corpus.sha256, corpus.documents, corpus.characters, modality.noun)
    return modality.part(corpus, settings, split)
