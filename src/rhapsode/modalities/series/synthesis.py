"""New series in the place of those a model learnt from, and what it remembers of them for that."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.bundle import ValueCondition
from rhapsode.data.tables import SeriesSet
from rhapsode.encoding.series import SeriesEncoder, SeriesStats
from rhapsode.errors import BundleError, DataError, RhapsodeError, SettingsError
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.series.facts import SeriesBundle, Template, Templates
from rhapsode.modalities.series.prompts import step_times
from rhapsode.modalities.series.settings import ForecastSettings
from rhapsode.modalities.values.model import chain_of_values

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor  # loads torch

__all__ = ["learn_templates", "make_series", "new_place"]

MOST_KEPT = 256
DAY = 86_400_000_000_000
"""Nanoseconds."""


def learn_templates(encoder: SeriesEncoder, given: SeriesSet) -> Templates:
    """Series that were learnt from, so that new ones can stand in their place."""
    places = np.unique(np.linspace(0, len(given) - 1, min(len(given), MOST_KEPT)).astype(int))
    templates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in places.tolist():
            rows = given.rows(number)
            stats = encoder.stats(given.values_NK[rows])
            templates.append(
                Template(
                    id=given.ids[number],
                    length=int(given.lengths[number]),
                    start=int(given.times_N[rows.start]) if given.lengths[number] else 0,
                    stats=tuple(map(tuple, stats.to_array().tolist())),
                    frequency=given.frequencies[number],
                    static=tuple(
                        v if np.isfinite(v) else None for v in given.static_SA[number].tolist()
                    ),
                    categories=tuple(given.categories_SA[number].tolist()),
                )
            )
    return Templates(
        given.kind,
        given.static_names,
        given.category_names,
        tuple(tuple(levels) for levels in given.category_levels),
        tuple(templates),
    )


def make_series(
    predictor: ValuePredictor[SeriesBundle],
    length: int | None,
    like: str | None,
    *,
    count: int,
    settings: ForecastSettings,
) -> SeriesSet:
    """New series; see `SeriesModel.generate`."""
    bundle, seed = predictor.bundle, settings.seed
    templates = usable_templates(bundle)
    there = {template.id: place for place, template in enumerate(templates.series)}
    if like is not None and like not in there:
        named = ", ".join(map(repr, list(there)[:5]))
        raise SettingsError(f"no series {like!r}", where="--like", hint=f"known: {named}, ...")
    random = np.random.default_rng(seed)
    places = (
        random.integers(len(there), size=count) if like is None else np.full(count, there[like])
    )
    chain = chain_of_values(settings, predictor.vocab_size)
    made: list[SeriesSet] = []
    for number, place in enumerate(places.tolist()):
        template = templates.series[place]
        steps = template.length if length is None else length
        given = _empty_like(templates, template, bundle.facts.names)
        times = step_times(given, template.start, steps)
        known_TX = bundle.facts.covariates.rows(given, 0, times, np.zeros((steps, 0)))
        scale = SeriesStats.from_array(np.array(template.stats))
        sources = bundle.facts.covariates.condition(given, np.zeros(1, dtype=np.int64))
        drawn = sample_paths(
            predictor,
            predictor.start(1, ValueCondition(scale, sources)),
            known_TX[None],
            samples=1,
            seeds=[path_seed(seed, str(number))],
            temperature=settings.temperature,
            chain=chain,
            filter_seed=seed,
        )
        made.append(
            replace(
                given,
                ids=(f"{template.id} #{number + 1}",),
                offsets=np.array([0, steps], dtype=np.int64),
                times_N=times,
                values_NK=drawn[0, 0],
                known_NC=np.zeros((steps, 0)),
            )
        )
    return replace(
        made[0],
        ids=tuple(each.ids[0] for each in made),
        offsets=np.cumsum([0, *(int(each.offsets[1]) for each in made)]),
        frequencies=tuple(each.frequencies[0] for each in made),
        times_N=np.concatenate([each.times_N for each in made]),
        values_NK=np.concatenate([each.values_NK for each in made]),
        known_NC=np.concatenate([each.known_NC for each in made]),
        static_SA=np.concatenate([each.static_SA for each in made]),
        categories_SA=np.concatenate([each.categories_SA for each in made]),
    )


def usable_templates(bundle: SeriesBundle) -> Templates:
    """The templates of a model.

    Raises:
        DataError: the model was fed covariates that nobody knows of a new series.
        BundleError: they are missing, or make no sense.
    """
    if bundle.facts.covariates.known:
        raise DataError(
            f"nobody knows {bundle.facts.covariates.known[0]!r} of a new series",
            hint="forecast from a table that holds it",
        )
    templates = bundle.facts.templates
    try:
        if templates is None or not templates.series:
            raise ValueError
        for template in templates.series:
            stats = np.array(template.stats, dtype=np.float64)
            fits = stats.shape == (4, bundle.encoder.target_size) and np.isfinite(stats).all()
            if not fits or (stats[[1, 3]] <= 0).any() or not _stands(templates, template):
                raise ValueError
            bundle.facts.covariates.check(_empty_like(templates, template, bundle.facts.names))
    except (TypeError, ValueError, OverflowError, RhapsodeError):
        raise BundleError("what it says of the series it learnt from is malformed") from None
    return templates


def new_place(bundle: SeriesBundle, seed: int) -> tuple[SeriesSet, tuple[SeriesStats, int]]:
    """An empty series in a place that a seed draws, its scale and the time of its first step.

    Raises:
        RhapsodeError: see `usable_templates`.
    """
    templates = usable_templates(bundle)
    (place,) = np.random.default_rng(seed).integers(len(templates.series), size=1).tolist()
    template = templates.series[place]
    given = _empty_like(templates, template, bundle.facts.names)
    return given, (SeriesStats.from_array(np.array(template.stats)), template.start)


def _stands(templates: Templates, template: Template) -> bool:
    """True if a template has a place in time and the attributes that are named."""
    frequency = template.frequency
    longest = {"month": 31 * DAY, "business day": 3 * DAY}.get(frequency.unit, 1)
    reach = template.length * frequency.stride * longest
    levels = templates.category_levels
    return (
        frequency.step >= 1
        and abs(template.start) + reach < 2**63
        and len(template.static) == len(templates.static_names)
        and len(template.categories) == len(templates.category_names) == len(levels)
        and all(
            -1 <= kind < len(own) for kind, own in zip(template.categories, levels, strict=True)
        )
    )


def _empty_like(templates: Templates, template: Template, names: tuple[str, ...]) -> SeriesSet:
    """A series that has begun nowhere yet, with the attributes of one that was learnt from."""
    static = np.array([[np.nan if v is None else v for v in template.static]], dtype=np.float64)
    return SeriesSet(
        ids=(template.id,),
        offsets=np.zeros(2, dtype=np.int64),
        times_N=np.zeros(0, dtype=np.int64),
        values_NK=np.zeros((0, len(names))),
        names=names,
        kind=templates.kind,
        frequencies=(template.frequency,),
        known_NC=np.zeros((0, 0)),
        known_names=(),
        static_SA=static.reshape(1, -1),
        static_names=templates.static_names,
        categories_SA=np.array([template.categories], dtype=np.int64).reshape(1, -1),
        category_names=templates.category_names,
        category_levels=templates.category_levels,
    )
