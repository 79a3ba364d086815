"""New series, drawn after templates of the training series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import ValueCondition
from rhapsode.data.tables import SeriesSet
from rhapsode.encoding.series import SeriesEncoder, SeriesStats
from rhapsode.errors import BundleError, DataError, RhapsodeError, SettingsError
from rhapsode.generation import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.log import log
from rhapsode.modalities.series.facts import Covariates, SeriesBundle, Template, Templates
from rhapsode.modalities.series.forecasting.drawn_forecasts import future_covariates
from rhapsode.modalities.series.prompts import step_times, with_steps
from rhapsode.modalities.series.settings import ForecastSettings
from rhapsode.modalities.values.model import chain_of_values
from rhapsode.modalities.values.next_steps import plain_row

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor  # loads torch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_KEPT = 256
# Training series whose scales a series without values may have, at least.
LEAST_NEAR = 5
# Nanoseconds.
DAY = 86_400_000_000_000


def learn_templates(encoder: SeriesEncoder, given: SeriesSet, length_S: Ints) -> Templates:
    """Templates of the training series, evenly chosen.

    Arguments:
        encoder: gives their scales.
        given: the training split.
        length_S: rows of the whole series, the lengths of new ones.
    """
    places = np.unique(np.linspace(0, len(given) - 1, min(len(given), MOST_KEPT)).astype(int))
    chosen = given.select(places)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = [
            encoder.stats(chosen.values_NK[chosen.rows(series)]) for series in range(len(chosen))
        ]
    templates = tuple(
        Template(
            id=name,
            length=int(length_S[places[series]]),
            start=int(chosen.times_N[chosen.offsets[series]]) if chosen.lengths[series] else 0,
            stats=tuple(map(tuple, stats[series].to_array().tolist())),
            frequency=chosen.frequencies[series],
            static=tuple(plain_row(chosen.static_SA[series])),
            categories=tuple(chosen.categories_SA[series].tolist()),
        )
        for series, name in enumerate(chosen.ids)
    )
    return Templates(
        given.kind,
        given.static_names,
        given.category_names,
        tuple(map(tuple, given.category_levels)),
        templates,
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
    facts, seed = predictor.bundle.facts, settings.seed
    templates = _usable_templates(predictor.bundle)
    there = {template.id: place for place, template in enumerate(templates.series)}
    if like is not None and like not in there:
        named = ", ".join(map(repr, list(there)[:5]))
        raise SettingsError(f"no series {like!r}", where="--like", hint=f"known: {named}, ...")
    places = [there[like]] * count if like is not None else _draw_places(templates, seed, count)
    chosen = [templates.series[place] for place in places]
    given = _empty_like(templates, chosen, facts.names)
    chain = chain_of_values(settings, predictor.vocab_size)
    parts = []
    for number, template in enumerate(chosen):
        steps = template.length if length is None else length
        times_T = step_times(given, number, template.start, steps)
        known_TX = facts.covariates.rows(given, number, times_T, np.zeros((steps, 0)))
        scale = SeriesStats.from_array(np.array(template.stats))
        condition = ValueCondition(scale, facts.covariates.condition(given, np.array([number])))
        drawn = sample_paths(
            predictor,
            predictor.start(1, condition),
            known_TX[None],
            samples=1,
            seeds=[path_seed(seed, str(number))],
            temperature=settings.temperature,
            chain=chain,
            filter_seed=seed,
        )
        parts.append((times_T, drawn[0, 0]))
    return replace(
        with_steps(given, parts),
        ids=tuple(f"{name} #{number}" for number, name in enumerate(given.ids, 1)),
    )


def draw_new(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    horizon: int,
    *,
    samples: int,
    seed: int,
    temperature: float,
    chain: Chain | None,
) -> tuple[Floats, list[Ints]]:
    """Sample paths (B, S, H, K) of series without values, and times.

    Each path has the scale of one of the training series whose attributes are nearest: what is not
    known of the scale is part of the forecast.

    Arguments:
        predictor: the model.
        given: the series, with their attributes; their rows are the first steps.
        which: of it, B.
        horizon: steps, H.
        samples: paths of each, S.
        seed: of the scales and of the paths.
        temperature: as in `sample_paths`.
        chain: as in `sample_paths`.

    Raises:
        DataError: the model has no record of its training series.
    """
    facts, covariates = predictor.bundle.facts, predictor.bundle.facts.covariates
    templates = facts.templates
    if templates is None or not templates.series:
        raise DataError("series without values need a model with templates", hint="train it again")
    drawn, times = [], []
    for series in which.tolist():
        name = given.ids[series]
        near = _nearest(covariates, given, series, templates)
        log.info(f"series {name!r} has no value: scales of {len(near)} training series are tried")
        own_T, known_HX = future_covariates(given, covariates, series, 0, horizon)
        chosen = np.random.default_rng(path_seed(seed, name)).choice(near, size=samples)
        scales = [SeriesStats.from_array(np.array(templates.series[each].stats)) for each in chosen]
        sources = covariates.condition(given, np.full(samples, series))
        paths_S1HK = sample_paths(
            predictor,
            predictor.start(samples, ValueCondition(scales, sources)),
            np.repeat(known_HX[None], samples, axis=0),
            samples=1,
            seeds=[path_seed(seed, f"{name}:0:{number}") for number in range(samples)],
            temperature=temperature,
            chain=chain,
            filter_seed=seed,
        )
        if facts.lowest is not None:
            bounded_K = np.where(np.array(facts.lowest) >= 0, 0.0, -np.inf)
            paths_S1HK = np.maximum(paths_S1HK, bounded_K)
        drawn.append(paths_S1HK[:, 0])
        times.append(own_T)
    return np.stack(drawn), times


def _nearest(
    covariates: Covariates, given: SeriesSet, series: int, templates: Templates
) -> list[int]:
    """Places of the templates whose attributes are nearest to those of a series."""
    away_T = np.zeros(len(templates.series))
    for name, scale in zip(covariates.static, covariates.static_scale, strict=True):
        value = given.static_SA[series, given.static_names.index(name)]
        column = templates.static_names.index(name)
        numbers = [template.static[column] for template in templates.series]
        known_T = np.array([np.nan if each is None else each for each in numbers])
        away_T += np.nan_to_num(np.abs(known_T - value) / scale, nan=1.0)
    for name in covariates.categories:
        column = given.category_names.index(name)
        code, levels = int(given.categories_SA[series, column]), given.category_levels[column]
        level = levels[code] if code >= 0 else None
        column = templates.category_names.index(name)
        own = templates.category_levels[column]
        codes = [template.categories[column] for template in templates.series]
        away_T += [code < 0 or own[code] != level for code in codes]
    count = max(LEAST_NEAR, round(len(away_T) ** 0.5))
    limit = np.sort(away_T)[min(count, len(away_T)) - 1]
    # All that are as near as the last one, but never one that is worse than another category.
    limit = min(limit, away_T.min() + 0.999)
    return [int(place) for place in np.flatnonzero(away_T <= limit)]


def _usable_templates(bundle: SeriesBundle) -> Templates:
    """The templates of a model.

    Raises:
        DataError: the model has covariates that are unknown for a new series.
        BundleError: they are missing, or make no sense.
    """
    if bundle.facts.covariates.known:
        raise DataError(
            f"{bundle.facts.covariates.known[0]!r} is not known for a new series",
            hint="forecast from a table that holds it",
        )
    templates = bundle.facts.templates
    try:
        if templates is None or not templates.series:
            raise ValueError
        for template in templates.series:
            stats = SeriesStats.from_array(np.array(template.stats, dtype=np.float64))
            rows = stats.to_array()
            fits = rows.shape[1] == bundle.encoder.target_size and np.isfinite(rows).all()
            scales = np.concatenate((stats.scale_K, stats.count_scale_K))
            if not fits or (scales <= 0).any() or not _stands(templates, template):
                raise ValueError
            bundle.facts.covariates.check(_empty_like(templates, [template], bundle.facts.names))
    except (TypeError, ValueError, OverflowError, RhapsodeError):
        raise BundleError("the description of its training series is malformed") from None
    return templates


def new_place(bundle: SeriesBundle, seed: int) -> tuple[SeriesSet, tuple[SeriesStats, int]]:
    """An empty series after a drawn template, its scale and first time.

    Raises:
        RhapsodeError: see `_usable_templates`.
    """
    templates = _usable_templates(bundle)
    template = templates.series[_draw_places(templates, seed, 1)[0]]
    given = _empty_like(templates, [template], bundle.facts.names)
    return given, (SeriesStats.from_array(np.array(template.stats)), template.start)


def _draw_places(templates: Templates, seed: int, count: int) -> list[int]:
    drawn = np.random.default_rng(seed).integers(len(templates.series), size=count)
    return [int(place) for place in drawn]


def _stands(templates: Templates, template: Template) -> bool:
    """True if a template has a valid time and all named attributes."""
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


def _empty_like(
    templates: Templates, chosen: Sequence[Template], names: tuple[str, ...]
) -> SeriesSet:
    size = len(chosen)
    static = [[np.nan if v is None else v for v in template.static] for template in chosen]
    return SeriesSet(
        ids=tuple(template.id for template in chosen),
        offsets=np.zeros(size + 1, dtype=np.int64),
        times_N=np.zeros(0, dtype=np.int64),
        values_NK=np.zeros((0, len(names))),
        names=names,
        kind=templates.kind,
        frequencies=tuple(template.frequency for template in chosen),
        known_NC=np.zeros((0, 0)),
        known_names=(),
        static_SA=np.array(static, dtype=np.float64).reshape(size, -1),
        static_names=templates.static_names,
        categories_SA=np.array([each.categories for each in chosen], np.int64).reshape(size, -1),
        category_names=templates.category_names,
        category_levels=templates.category_levels,
    )
