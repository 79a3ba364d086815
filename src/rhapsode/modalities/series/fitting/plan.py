"""The plan of a run on series: encoding, head, sizes and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rhapsode import __version__
from rhapsode.bundle import Component, NetworkConfig, Provenance
from rhapsode.config import (
    from_mapping,
    suggest,
    to_mapping,
)
from rhapsode.data import ValueArrays
from rhapsode.encoding.series import BinSettings, SeriesEncoder, SeriesEncoderSettings, learn_bins
from rhapsode.errors import SettingsError
from rhapsode.heads import HEADS, AlikeHead, Bins
from rhapsode.modalities.contract import Planned, RunRequest
from rhapsode.modalities.series.corpus import SeriesCorpus, encode_series
from rhapsode.modalities.series.facts import (
    SeriesBundle,
    SeriesFacts,
    learn_covariates,
)
from rhapsode.modalities.series.fitting.encoding_choice import (
    Encoding,
    choose_encoding,
    planned_lags,
)
from rhapsode.modalities.series.settings import BINNED, SeriesTrainSettings
from rhapsode.modalities.series.synthesis import learn_templates
from rhapsode.modalities.values.modality import resolved_values
from rhapsode.models import CONDITIONERS, FAMILIES
from rhapsode.training.planner import Plan, gentler_plan

__all__ = ["enough_steps", "plan_series", "plan_series_run"]

CONDITIONING = ("conditioner", "condition_size")
"""Settings of the network that concern static attributes."""
RUN_UP_WINDOWS = 4
SECOND_SEASONS = {"hour": 168, "day": 365, "business day": 260}
MOST_BINS, LEAST_BINS, VALUES_A_BIN = 256, 8, 20


def plan_series_run(
    corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]
) -> Planned[SeriesTrainSettings, SeriesCorpus, SeriesBundle]:
    """Choose encoding, sizes and rates.

    Raises:
        RhapsodeError: a setting that does not fit.
    """
    settings, base = request.settings, request.base
    family = FAMILIES.full_name(settings.model)
    given = corpus.given
    train = corpus.until(corpus.train_S)
    columns = [
        train.values_NK[train.rows(series), number]
        for series in range(len(train))
        for number in range(train.values_NK.shape[1])
    ]
    if base is None:
        encoder, head, how = _encoding(settings, columns, corpus)
        covariates = learn_covariates(train)
        if settings.network.get("conditioner") is not None:
            covariates = replace(covariates, conditioned=True)
            if not covariates.static_size:
                raise SettingsError(
                    "a conditioner reads static attributes, and these series have none",
                    where="[network] conditioner",
                    hint="name columns by series.static, or leave it out",
                )
    else:
        encoder, covariates = base.bundle.encoder, base.bundle.facts.covariates
        head, how = _without(base.bundle.config.head.settings, "target_size"), ""
        head["name"] = base.bundle.config.head.name
        base.bundle.facts.check_series(given)
    width = settings.network.get("hidden_size")
    plan = plan_series(
        points=corpus.points,
        series=len(given),
        longest=int(corpus.train_S.max()),
        season=corpus.season,
        horizon=corpus.horizon,
        hidden_size=width if type(width) is int and width > 0 else None,
    )
    if base is not None:
        asked = settings.training.learning_rate
        plan = gentler_plan(plan, base, corpus.points, asked=asked, fits_window=False)
    settings = resolved_values(settings, plan)
    training = settings.training
    assert training.window is not None
    assert training.batch_size is not None
    network = dict(request.settings.network)
    if base is None:
        network = FAMILIES.get(family).series_settings(plan.network, training.window) | network
    input_size = encoder.feature_size + covariates.size
    fitted = encode_series(encoder, covariates, train, corpus.train_S)
    kept_head = dict(head)
    if base is None and HEADS.get(HEADS.full_name(str(head["name"]))) is Bins:
        bins, head = _bins(head, fitted)
        kept_head = {"name": head["name"], **to_mapping(bins)}
        how = f"{how}; in {len(head['edges']) + 1} bins"
    if base is not None:
        config = base.bundle.config
    else:
        config = _config(family, network, head, input_size, encoder.target_size)
        config = replace(config, conditioner=_conditioner(network, covariates.static_size))
        plan = replace(plan, network=network, reasons=(how, *plan.reasons))
    if "edges" not in head:
        kept_head = {"name": config.head.name, **_without(config.head.settings, "target_size")}
    elif base is not None:
        kept_head = dict(base.bundle.provenance.section("head"))
    timed = settings.epochs is None and settings.steps is None
    enough = enough_steps(corpus.points, training.window * training.batch_size) if timed else None
    if enough is not None:
        plan = replace(
            plan,
            reasons=(*plan.reasons, f"at most {enough:,} updates: more would only learn by heart"),
        )
    settings = replace(
        settings,
        network=network,
        encoder=to_mapping(encoder.settings),
        head=kept_head,
        data=replace(settings.data, horizon=corpus.horizon, season=corpus.season),
    )
    bundle = SeriesBundle(
        config,
        encoder,
        SeriesFacts(
            covariates,
            corpus.season,
            corpus.horizon,
            settings.data.run_up or RUN_UP_WINDOWS * training.window,
            given.frequency.name,
            given.names,
            learn_templates(encoder, train),
        ),
        provenance=Provenance(
            data_sha256=corpus.sha256,
            series=len(given),
            values=int(given.observed_NK.sum()),
            test_share=settings.data.test_share,
            selected_on="a validation slice: the end of the training share of every series"
            if corpus.validation_values
            else "nothing: the last weights",
            rhapsode=__version__,
        ),
    )
    elements = int(fitted.weights_N.sum())
    return Planned(settings, corpus, bundle, plan, elements, enough, None, fitted)


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _encoding(
    settings: SeriesTrainSettings, columns: list[Any], corpus: SeriesCorpus
) -> tuple[SeriesEncoder, dict[str, Any], str]:
    """The encoder, the head's settings, and why."""
    head = dict(settings.head)
    known = [word for word in HEADS.words() if issubclass(HEADS.get(word), AlikeHead)]
    if str(head.get("name", known[0])).partition(".v")[0] not in known:
        raise SettingsError(
            f"{head['name']!r} is no distribution of series",
            where="[head] name",
            hint=suggest(str(head["name"]), known),
        )
    binned = settings.encoding == BINNED
    if binned and HEADS.full_name(str(head.setdefault("name", "bins"))) != "bins.v1":
        raise SettingsError(
            f"{head['name']} is a distribution over numbers, and bins are elements",
            where="[head] name",
            hint="leave it out, or --encoding binned",
        )
    name = head.get("name")
    entry: Any = None if name is None else HEADS.get(HEADS.full_name(str(name)))
    asked = dict(settings.encoder)
    found = Encoding({}, "as asked for")
    if not {"log", "difference", "centre", "counts"} & set(asked):
        # What the encoding declares impossible must not come later: sign and wholeness of all values, and no more.
        every = corpus.given.values_NK[corpus.given.observed_NK]
        found = choose_encoding(
            columns,
            corpus.season,
            corpus.horizon,
            negative=bool((every < 0).any()),
            broken=bool((every != np.round(every)).any()),
        )
    planned = dict(found.settings)
    if entry is not None and entry.counts:
        planned = {"counts": True}
    elif entry is not None and planned.pop("counts", False):
        found = Encoding({}, f"the values themselves: {name} is no distribution of counts")
    unit = corpus.given.frequency.unit
    second = SECOND_SEASONS.get(unit, 1) if corpus.season == corpus.given.period else 1
    planned["lags"] = planned_lags(corpus.season, second, int(corpus.train_S.max()))
    encoder_settings = from_mapping(SeriesEncoderSettings, {**planned, **asked}, where="[encoder]")
    encoder = SeriesEncoder(encoder_settings, corpus.given.values_NK.shape[1])
    if name is None:
        head["name"] = "negative_binomial" if encoder_settings.counts else "student_t"
    counts = HEADS.get(HEADS.full_name(str(head["name"]))).counts  # type: ignore[attr-defined]
    if counts != encoder_settings.counts:
        raise SettingsError(
            f"{head['name']} is {'a' if counts else 'no'} distribution of counts, and encoder.counts is "
            f"{str(encoder_settings.counts).lower()}",
            where="[head] name",
            hint="set both, or neither",
        )
    return encoder, head, found.reason


def _conditioner(network: Mapping[str, Any], static_size: int) -> Component | None:
    """The part of a network that reads static attributes; None where none is asked for."""
    name, size = (network.get(setting) for setting in CONDITIONING)
    if name is None:
        if size is not None:
            raise SettingsError(
                "network.condition_size is a setting of a conditioner",
                where="[network] condition_size",
                hint="set network.conditioner=static as well",
            )
        return None
    settings = {"static_size": static_size}
    if size is not None:
        settings["condition_size"] = size
    return Component(CONDITIONERS.full_name(str(name)), settings)


def _bins(head: Mapping[str, Any], fitted: ValueArrays) -> tuple[BinSettings, dict[str, Any]]:
    """Settings of the bins, and of a head over them."""
    asked = _without(head, "name")
    known = int(np.isfinite(fitted.targets_NK).sum())
    planned = {"bins": max(LEAST_BINS, min(MOST_BINS, known // VALUES_A_BIN))}
    bins = from_mapping(BinSettings, {**planned, **asked}, where="[head]")
    edges, tails = learn_bins(fitted.targets_NK, bins)
    return bins, {"name": "bins.v1", "edges": list(edges), "tails": list(tails)}


def _config(
    family: str,
    network: Mapping[str, Any],
    head: Mapping[str, Any],
    input_size: int,
    target_size: int,
) -> NetworkConfig:
    own = _without(network, *CONDITIONING)
    fed = {"value_size": input_size}
    embedding = own.pop("embedding_size", None)
    if embedding is not None:
        fed["embedding_size"] = embedding
    known = set(FAMILIES.get(family).Config.__dataclass_fields__) - {"input_size"}
    for name in own:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {family}",
                hint=suggest(name, [*sorted(known), "embedding_size", *CONDITIONING]),
            )
    shape = _without(head, "name")
    return NetworkConfig(
        Component("values.v1" if embedding is None else "linear.v1", fed),
        Component(family, own),
        Component(HEADS.full_name(str(head["name"])), {**shape, "target_size": target_size}),
        "carried",
    )


def plan_series(
    *,
    points: int,
    series: int,
    longest: int,
    season: int,
    horizon: int,
    hidden_size: int | None = None,
) -> Plan:
    """A plan for a set of series.

    Few values want a small network, steps enough to fit it and weights that are pulled towards nothing; many want a
    wide one and no more passes than the budget has.

    Arguments:
        points: known values of the training share.
        series: how many series there are.
        longest: steps of the longest.
        season: steps in a season.
        horizon: steps that are to be forecast.
        hidden_size: units that were asked for, to which the rest is fitted; None to choose them.
    """
    size = 24 if points < 1_000 else 40 if points < 10_000 else 64 if points < 100_000 else 96
    size = size if hidden_size is None else hidden_size
    window = min(longest, max(32, min(192, 2 * season, 4 * horizon), horizon))
    rows = max(1, min(64, 3072 // window, -(-points // window)))
    dropout = 0.3 if points < 1_000 else 0.1
    network = {
        "hidden_size": size,
        "num_layers": 1,
        "dropout": dropout,
    }
    few = points < 1_000
    training = {
        "batch_size": rows,
        "window": window,
        "learning_rate": (1e-3 if few else 3e-3),
        "averaging": 0.9 if few else 0.99,
        "evaluations": 40 if few else 20,
        "patience": 12 if few else 6,
        "weight_decay": 0.02,
    }
    reasons = (
        f"{size} units: for {points:,} values of {series:,} series",
        f"windows of {window} steps, {rows} side by side: seasons of {season}, {horizon} steps to forecast",
        f"dropout {dropout:g}, decay {training['weight_decay']:g}",
    )
    return Plan(network, training, reasons)


def enough_steps(points: int, elements_per_step: int) -> int:
    """Updates behind which a set of so many values has nothing more to give.

    Arguments:
        points: known values of the training share.
        elements_per_step: steps times rows of one update.
    """
    passes = max(15.0, min(600.0, 8.0e6 / max(1, points)))
    return round(max(500.0, passes * points / max(1, elements_per_step)))
