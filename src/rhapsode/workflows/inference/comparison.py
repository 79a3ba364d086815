"""Models measured on data: one by itself, several side by side."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from rhapsode.bundle import bundle_path
from rhapsode.config import from_mapping
from rhapsode.errors import RunError, SettingsError
from rhapsode.evaluation import Difference, paired_difference
from rhapsode.modalities.choose import AnyModality
from rhapsode.modalities.contract import Compared, Measure, Metrics, Part, SplitName
from rhapsode.views.display import Shown
from rhapsode.workflows.inference.ask import AnyModel, open_model

if TYPE_CHECKING:
    from rhapsode.keywords import CompareOptions, EvaluateOptions


@dataclass(frozen=True)
class Contrast:
    """Two models of a comparison.

    Arguments:
        better: the one that needs less.
        worse: the other.
        measure: by which.
        difference: how much more `worse` needs.
    """

    better: str
    worse: str
    measure: Measure
    difference: Difference


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Models on common data, best first, and every pair of them.

    Arguments:
        modality: of the models.
        rows: plain values of each model, by the first measure.
        contrasts: by every measure: best against second, best against third, ...
        units: noun of what the paired test takes as its units.
        passages: these units in words.
        caution: why the metrics do not compare; else None.
    """

    modality: AnyModality
    rows: list[dict[str, Any]]
    contrasts: list[Contrast]
    units: str
    passages: str
    caution: str | None = None

    def shown(self, width: int) -> Sequence[Any]:
        return list(self.report("comparison"))

    def report(self, title: str) -> Iterator[Any]:
        """The comparison for people under a title: lines, and what `rich` prints."""
        yield from self.modality.comparison_report(self.to_mapping(), title)

    def to_mapping(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "contrasts": [
                {
                    "better": one.better,
                    "worse": one.worse,
                    "measure": one.measure.key,
                    "name": one.measure.name,
                    "difference": {
                        one.measure.key: one.difference.mean,
                        "low": one.difference.low,
                        "high": one.difference.high,
                        "p_value": one.difference.p_value,
                        self.units: one.difference.units,
                    },
                }
                for one in self.contrasts
            ],
            "units": self.units,
            "passages": self.passages,
            "caution": self.caution,
        }


Models = Sequence[str | Path | AnyModel] | Mapping[str, Any]
"""Run folders or model files, or models that are open already, by name."""


def open_models(models: Models) -> tuple[AnyModality, dict[str, Any]]:
    """The models of a comparison by name, and their modality.

    Arguments:
        models: of one modality.

    Raises:
        SettingsError: fewer than two, one named twice, also by another path, or models of several
            modalities.
        BundleError: one cannot be opened.
    """
    if isinstance(models, str | Path):
        raise SettingsError("a comparison needs a list of models", where="compare")
    named = models if isinstance(models, Mapping) else _by_name(models)
    opened = {name: open_model(model) for name, model in named.items()}
    paths = {model.path.resolve() for _, model in opened.values()}
    if len(models) < 2 or len(paths) < len(models):
        raise SettingsError("a comparison needs two or more different models", where="compare")
    nouns = {name: modality.noun for name, (modality, _) in opened.items()}
    if len(set(nouns.values())) > 1:
        told = ", ".join(f"{name} of {noun}" for name, noun in nouns.items())
        raise SettingsError(
            f"models of different kinds of data cannot be compared: {told}", where="compare"
        )
    modality, _ = next(iter(opened.values()))
    return modality, {name: model for name, (_, model) in opened.items()}


def _by_name(models: Sequence[str | Path | AnyModel]) -> dict[str, Any]:
    return {str(m if isinstance(m, str | Path) else m.path): m for m in models}


def compare(models: Models, *sources: Any, **asked: Unpack["CompareOptions"]) -> Comparison:
    """Score the same data with several models.

    Arguments:
        models: at least two, of one modality.
        sources: what to score.
        asked: settings of the modality's comparisons by name; sources are read as in the training
            of the first model.

    Raises:
        SettingsError: fewer than two models, one named twice, or models that do not compare.
        BundleError: a model that cannot be opened.
        DataError: the sources cannot be read, or hold nothing.
    """
    modality, opened = open_models(models)
    settings = from_mapping(modality.comparison, asked, where="compare")
    part = modality.to_score(next(iter(opened.values())), sources, asked)
    with _scoring(opened.values()):
        compared = modality.compare(opened, part, settings)
    orders = {measure.key: _best_first(compared, measure) for measure in compared.measures}
    contrasts = [
        Contrast(better, worse, measure, _difference(compared, measure, better, worse))
        for measure in compared.measures
        for better, worse in combinations(orders[measure.key], 2)
        if compared.sizes_U[measure.key].any()
    ]
    names = orders[compared.measures[0].key]
    rows = [{"model": name, **compared.models[name].row} for name in names]
    return Comparison(
        modality, rows, contrasts, compared.units, compared.passages, compared.caution
    )


def _best_first(compared: Compared, measure: Measure) -> list[str]:
    sums = {name: model.sums_U[measure.key].sum() for name, model in compared.models.items()}
    return sorted(sums, key=lambda name: (sums[name], name))


def _difference(compared: Compared, measure: Measure, better: str, worse: str) -> Difference:
    sizes_U = compared.sizes_U[measure.key]
    kept_U = sizes_U > 0
    for scored in compared.models.values():
        kept_U = kept_U | (scored.sums_U[measure.key] > 0)
    one_U, other_U = (
        np.asarray(compared.models[name].sums_U[measure.key])[kept_U] for name in (worse, better)
    )
    return paired_difference(one_U, other_U, sizes_U[kept_U], per=measure.per)


def evaluate(
    model: str | Path | AnyModel,
    *sources: Any,
    split: SplitName | None = None,
    **asked: Unpack["EvaluateOptions"],
) -> Metrics:
    """Measure a model.

    Arguments:
        model: a run folder or model file, or a model that is open already.
        sources: what to score.
        split: the split of its run to score instead.
        asked: settings of the modality's evaluation by name.

    Raises:
        RhapsodeError: a model, source or setting that does not fit.
    """
    modality, opened = open_model(model)
    if split is None:
        with _scoring([opened]):
            metrics: Metrics = opened.evaluate(*sources, **asked)
        return metrics
    if sources:
        raise SettingsError(
            "a split of a run cannot be combined with other sources",
            where="--split",
            hint="leave out the sources, or --split",
        )
    settings = from_mapping(modality.evaluation, asked, where="evaluate")
    with _scoring([opened]):
        return modality.metrics(opened, _part_of_run(modality, opened, split), settings)


def _scoring(models: Iterable[AnyModel]) -> AbstractContextManager[None]:
    """Share the cores with other programs, where a network computes."""
    if not any(model.bundle.members for model in models):
        return nullcontext()
    from rhapsode.training.threads.thread_choice import sharing_cores  # loads torch

    return sharing_cores()


def _part_of_run(modality: AnyModality, model: Any, split: SplitName) -> Part:
    from rhapsode.workflows.runs.run_folder import RunFolder, read_run  # loads torch

    folder = RunFolder(bundle_path(model.path).parent)
    if not folder.config.exists():
        raise RunError(
            "the sources of this model are unknown: there is no config.toml beside it",
            where=str(folder.path),
            hint="name a source in place of --split",
        )
    kept = read_run(folder)
    settings = from_mapping(modality.settings, kept.settings, where=str(folder.config))
    corpus = modality.corpus(kept.sources, settings, base=model.bundle)
    kept.check(corpus.sha256, corpus.documents, corpus.characters, modality.noun)
    return modality.part(corpus, settings, split)
