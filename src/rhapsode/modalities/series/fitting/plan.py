"""The plan of a run on series: encoding, head, sizes and rates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rhapsode import __version__
from rhapsode.bundle import Component, NetworkConfig, Provenance
from rhapsode.config import from_mapping, suggest, to_mapping
from rhapsode.data import ValueArrays
from rhapsode.data.tables import SeriesSet
from rhapsode.encoding.series import BinSettings, SeriesEncoder, SeriesEncoderSettings, learn_bins
from rhapsode.errors import SettingsError
from rhapsode.heads import HEADS, AlikeHead, Bins, StudentT
from rhapsode.modalities.contract import Planned, RunRequest
from rhapsode.modalities.series.corpus import (
    FEW,
    SeriesCorpus,
    columns_of,
    encode_series,
    until,
)
from rhapsode.modalities.series.facts import (
    Covariates,
    SeriesBundle,
    SeriesFacts,
    learn_covariates,
)
from rhapsode.modalities.series.fitting.encoding_choice import (
    Encoding,
    choose_encoding,
    planned_lags,
    planned_margin,
)
from rhapsode.modalities.series.fitting.intermittent import choose_hurdle
from rhapsode.modalities.series.settings import BINNED, SeriesTrainSettings
from rhapsode.modalities.series.synthesis import learn_templates
from rhapsode.modalities.values.modality import resolved_values
from rhapsode.models import CONDITIONERS, FAMILIES
from rhapsode.training.planner import PlannedSettings, gentler_plan

# Settings of the network that concern static attributes.
CONDITIONING = ("conditioner", "condition_size")
# Units of a network by the known values, from so many on.
SIZE_POINTS, SIZES = (1_000, 10_000, 100_000), (24, 40, 64, 96)
RUN_UP_WINDOWS = 4
# A fan of some hundred paths says nothing of rarer values; with fewer degrees of freedom single
# paths decide means, and likelihoods are no better.
LEAST_TAIL, LEAST_DF = 5e-4, 6.0
MOST_BINS, LEAST_BINS, VALUES_A_BIN = 256, 8, 20


def plan_series_run(
    corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]
) -> Planned[SeriesTrainSettings, SeriesCorpus, SeriesBundle]:
    """Choose encoding, sizes and rates.

    Raises:
        RhapsodeError: a setting that does not fit.
    """
    settings, base, given = request.settings, request.base, corpus.given
    train = until(given, corpus.train_S)
    if base is None:
        encoder, head, how = _encoding(settings, train, corpus)
        covariates = _covariates(settings, train)
    else:
        encoder, covariates = base.bundle.encoder, base.bundle.facts.covariates
        base.bundle.facts.check_series(given)
    network = dict(settings.network)
    plan = _plan_series(corpus, network.get("hidden_size"))
    if base is not None:
        rate = settings.training.learning_rate
        plan = gentler_plan(plan, base, corpus.points, asked=rate)
    settings = resolved_values(settings, plan)
    training = settings.training
    assert training.window is not None
    assert training.batch_size is not None
    fitted = encode_series(encoder, covariates, train, corpus.train_S)
    if base is None:
        family = FAMILIES.get(settings.model)
        network = family.series_settings(plan.network, training.window) | network
        trained = dict(head)
        if HEADS.get(HEADS.full_name(str(head["name"]))) is Bins:
            bins, head = _bins(head, fitted)
            trained = {"name": head["name"], **to_mapping(bins)}
            how = f"{how}; in {len(head['edges']) + 1} bins"
        config = _config(settings.model, network, head, encoder, covariates)
        plan = replace(plan, network=network, reasons=(how, *plan.reasons))
    else:
        config = base.bundle.config
        trained = dict(base.bundle.provenance.section("head"))
    if "edges" not in config.head.settings:
        trained = {"name": config.head.name, **_without(config.head.settings, "target_size")}
    enough = None
    if settings.epochs is None and settings.steps is None:
        enough = _enough_steps(corpus.points, training.window * training.batch_size)
        limit = f"at most {enough:,} updates, to avoid overfitting"
        plan = replace(plan, reasons=(*plan.reasons, limit))
    settings = replace(
        settings,
        network=network,
        encoder=to_mapping(encoder.settings),
        head=trained,
        data=replace(settings.data, horizon=corpus.horizon, season=corpus.season),
    )
    lowest_K = np.fmin.reduce(train.values_NK, axis=0)
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
            learn_templates(encoder, train, given.lengths),
            tuple(lowest_K.tolist()) if np.isfinite(lowest_K).all() else None,
        ),
        provenance=Provenance(
            data_sha256=corpus.sha256,
            series=len(given),
            values=int(given.observed_NK.sum()),
            test_share=settings.data.test_share,
            selected_on="a validation slice: values before the test split of every series"
            if corpus.validation_values
            else "nothing: the last weights",
            rhapsode=__version__,
        ),
    )
    return Planned(
        settings,
        corpus,
        bundle,
        plan,
        elements=int(fitted.weights_N.sum()),
        most_steps=enough,
        own=fitted,
    )


def _covariates(settings: SeriesTrainSettings, train: SeriesSet) -> Covariates:
    """Covariates of the training split, conditioning if a conditioner is set."""
    conditioned = settings.network.get("conditioner") is not None
    covariates = replace(learn_covariates(train), conditioned=conditioned)
    if conditioned and not covariates.static_size:
        raise SettingsError(
            "a conditioner reads static attributes, and these series have none",
            where="[network] conditioner",
            hint="name columns by series.static, or leave it out",
        )
    return covariates


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _encoding(
    settings: SeriesTrainSettings, train: SeriesSet, corpus: SeriesCorpus
) -> tuple[SeriesEncoder, dict[str, Any], str]:
    head = dict(settings.head)
    known = [word for word in HEADS.words() if issubclass(HEADS.get(word), AlikeHead)]
    if str(head.get("name", known[0])).partition(".v")[0] not in known:
        raise SettingsError(
            f"{head['name']!r} is not a distribution of series",
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
    unscaled = None if name is None else _unscaled(str(name))
    asked = dict(settings.encoder)
    columns = columns_of(train)
    found = Encoding({}, "as requested")
    hurdle = None
    if not {"log", "difference", "centre", "counts", "amounts"} & set(asked):
        # What the encoding declares impossible must not come later: sign and wholeness of all
        # values, and no more.
        every = corpus.given.values_NK[corpus.given.observed_NK]
        found = choose_encoding(
            columns,
            corpus.season,
            corpus.horizon,
            negative=bool((every < 0).any()),
            broken=bool((every != np.round(every)).any()),
        )
        if name is None and not (every < 0).any():
            hurdle = choose_hurdle(columns, counts=bool(found.settings.get("counts")))
    if hurdle is not None:
        head["name"], unscaled = hurdle.head, _unscaled(hurdle.head)
        name, found = hurdle.head, Encoding(found.settings, hurdle.reason)
    planned = dict(found.settings)
    if unscaled:
        planned = {unscaled: True}
    elif name is not None and planned.pop("counts", False):
        found = Encoding({}, f"raw values: {name} is not a distribution of counts")
    planned["lags"] = planned_lags(corpus.season, corpus.second, int(corpus.train_S.max()))
    planned["margin"] = planned_margin(columns, corpus.horizon)
    encoder_settings = from_mapping(SeriesEncoderSettings, {**planned, **asked}, where="[encoder]")
    encoder = SeriesEncoder(encoder_settings, corpus.given.values_NK.shape[1])
    if name is None:
        head["name"] = {"counts": "negative_binomial", "amounts": "hurdle_gamma"}.get(
            _kept(encoder_settings) or "", "student_t"
        )
    elif unscaled != (kept := _kept(encoder_settings)):
        setting = unscaled or kept
        raise SettingsError(
            f"{head['name']} is {'a' if unscaled else 'not a'} distribution of {setting}, "
            f"but encoder.{setting} is {str(not unscaled).lower()}",
            where="[head] name",
            hint="set both, or neither",
        )
    head_type = HEADS.get(HEADS.full_name(str(head["name"])))
    if head_type is not Bins:
        head.setdefault("least_tail", LEAST_TAIL)
    if head_type is StudentT:
        head.setdefault("least_df", LEAST_DF)
    return encoder, head, found.reason


def _unscaled(name: str) -> str | None:
    """The setting of the encoder that a head of unscaled targets needs; None for other heads."""
    entry = HEADS.get(HEADS.full_name(name))
    assert issubclass(entry, AlikeHead)
    return ("counts" if entry.whole else "amounts") if entry.counts else None


def _kept(settings: SeriesEncoderSettings) -> str | None:
    """The setting of the encoder that leaves targets unscaled, if one is set."""
    return "counts" if settings.counts else "amounts" if settings.amounts else None


def _conditioner(network: Mapping[str, Any], static_size: int) -> Component | None:
    """The conditioner, which reads static attributes; None if it is not set."""
    name, size = (network.get(setting) for setting in CONDITIONING)
    if name is None:
        if size is not None:
            raise SettingsError(
                "network.condition_size is a setting of a conditioner",
                where="[network] condition_size",
                hint="set network.conditioner=static as well",
            )
        return None
    sizes = {"static_size": static_size} | ({} if size is None else {"condition_size": size})
    return Component(CONDITIONERS.full_name(str(name)), sizes)


def _bins(head: Mapping[str, Any], fitted: ValueArrays) -> tuple[BinSettings, dict[str, Any]]:
    known = int(np.isfinite(fitted.targets_NK).sum())
    planned = {"bins": max(LEAST_BINS, min(MOST_BINS, known // VALUES_A_BIN))}
    bins = from_mapping(BinSettings, {**planned, **_without(head, "name")}, where="[head]")
    edges, tails = learn_bins(fitted.targets_NK, bins)
    return bins, {"name": "bins.v1", "edges": list(edges), "tails": list(tails)}


def _config(
    family: str,
    network: Mapping[str, Any],
    head: Mapping[str, Any],
    encoder: SeriesEncoder,
    covariates: Covariates,
) -> NetworkConfig:
    own = _without(network, *CONDITIONING)
    fed = {"value_size": encoder.feature_size + covariates.size}
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
    shape = {**_without(head, "name"), "target_size": encoder.target_size}
    return NetworkConfig(
        Component("values.v1" if embedding is None else "linear.v1", fed),
        Component(family, own),
        Component(HEADS.full_name(str(head["name"])), shape),
        "carried",
        conditioner=_conditioner(network, covariates.static_size),
    )


def _plan_series(corpus: SeriesCorpus, hidden_size: Any) -> PlannedSettings:
    """A plan for a set of series.

    Few values need a small network, enough updates to fit it, and strong weight decay. Many values
    need a wide network, with as many passes as the budget allows.

    Arguments:
        corpus: the series.
        hidden_size: requested number of units, to which the rest is fitted; None to choose it.
    """
    points, season, horizon = corpus.points, corpus.season, corpus.horizon
    size = SIZES[bisect_right(SIZE_POINTS, points)]
    if type(hidden_size) is int and hidden_size > 0:
        size = hidden_size
    longest = int(corpus.train_S.max())
    window = min(longest, max(32, min(192, 2 * season, 4 * horizon), horizon))
    rows = max(1, min(64, 3072 // window, -(-points // window)))
    few = points < FEW
    network = {"hidden_size": size, "num_layers": 1, "dropout": 0.3 if few else 0.1}
    training = {
        "batch_size": rows,
        "window": window,
        "learning_rate": 1e-3 if few else 3e-3,
        "averaging": 0.9 if few else 0.99,
        "evaluations": 40 if few else 20,
        "patience": 12 if few else 6,
        "weight_decay": 0.02,
    }
    reasons = (
        f"{size} units: for {points:,} values of {corpus.documents:,} series",
        f"windows of {window} steps, {rows} in parallel: "
        f"seasons of {season}, {horizon} steps to forecast",
        f"dropout {network['dropout']:g}, decay {training['weight_decay']:g}",
    )
    return PlannedSettings(network, training, reasons)


def _enough_steps(points: int, elements_per_step: int) -> int:
    """Maximum number of useful updates for a given number of values.

    Arguments:
        points: known values of the training split.
        elements_per_step: steps times rows of one update.
    """
    passes = max(15.0, min(600.0, 8.0e6 / max(1, points)))
    return round(max(500.0, passes * points / max(1, elements_per_step)))
