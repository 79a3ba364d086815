"""The plan of a run on strokes: sizes and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rhapsode import __version__
from rhapsode.bundle import Component, NetworkConfig, Provenance, SourceReader
from rhapsode.config import from_mapping, suggest, to_mapping
from rhapsode.encoding import Encoder
from rhapsode.encoding.strokes import StrokeEncoder, StrokeEncoderSettings
from rhapsode.errors import SettingsError
from rhapsode.heads import StrokesConfig
from rhapsode.modalities.contract import Planned, RunRequest
from rhapsode.modalities.strokes.corpus import StrokeCorpus
from rhapsode.modalities.strokes.facts import StrokeBundle, StrokeFacts
from rhapsode.modalities.strokes.fitting.batches import encode_drawings
from rhapsode.modalities.strokes.labels import condition_of
from rhapsode.modalities.strokes.settings import StrokeTrainSettings
from rhapsode.modalities.values.modality import resolved_values
from rhapsode.models import FAMILIES
from rhapsode.training.planner import PlannedSettings, gentler_plan

StrokePlan = Planned[StrokeTrainSettings, StrokeCorpus, StrokeBundle]

HEAD = "pen.v1"
# Units of the network by the moves of the training split, up to so many moves.
SIZES = ((20_000, 128), (150_000, 256))
LARGEST = 384
# Moves of one update, about; rows; and the longest row.
MOVES, ROWS, WINDOW = 2048, (8, 64), 1024
# Passes after which a network has learnt the drawings by heart.
PASSES = 30
# Standard deviation of rounding to a grid of 1.
ROUNDING = 12**-0.5


def plan_stroke_run(corpus: StrokeCorpus, request: RunRequest[StrokeTrainSettings]) -> StrokePlan:
    """Choose encoder, sizes and rates.

    Raises:
        RhapsodeError: a setting that does not fit.
    """
    settings, base, train = request.settings, request.base, corpus.moves["train"]
    moves, asked = sum(map(len, train)), dict(settings.network)
    text = settings.text if corpus.source is not None else None
    layers = 1 if text is None or not text.layers_above else 2
    plan = _planned(train, settings.network.get("hidden_size"), layers)
    if base is not None:
        plan = gentler_plan(plan, base, moves, asked=settings.training.learning_rate)
        encoder, config = base.bundle.encoder, base.bundle.config
    if corpus.source is not None:
        plan = _of_whole_drawings(plan, train, settings.training.window)
    settings = resolved_values(settings, plan)
    if base is None:
        encoder = _encoder(train, corpus.grid, settings.encoder)
        window = settings.training.window or WINDOW
        network = FAMILIES.get(settings.model).series_settings(plan.network, window) | asked
        settings = replace(settings, network=network)
        config = _config(settings, encoder)
        if corpus.source is not None:
            pace = moves / max(1, sum(map(len, (corpus.texts or {}).get("train", ()))))
            config = replace(config, source=_reader(settings, config, corpus.source, pace))
    rows = settings.training.batch_size
    assert rows is not None
    condition = None
    if corpus.source is not None and corpus.texts is not None:
        condition = condition_of(corpus.texts["train"], corpus.source)
    own = encode_drawings(encoder, train, condition)
    settings = replace(
        settings,
        encoder=to_mapping(encoder.settings),
        head={"name": HEAD, **_without(config.head.settings, "target_size")},
    )
    lengths = [len(each) for part in corpus.moves.values() for each in part]
    most = None
    if settings.epochs is None and settings.steps is None:
        most = round(max(500.0, PASSES * len(train) / rows))
    bundle = StrokeBundle(
        config,
        encoder,
        _facts(corpus, lengths),
        provenance=Provenance(
            data_sha256=corpus.sha256,
            documents=corpus.documents,
            selected_on="the validation split: whole drawings"
            if corpus.moves["validation"]
            else "nothing: the last weights",
            rhapsode=__version__,
        ),
    )
    return Planned(settings, corpus, bundle, plan, moves, most_steps=most, own=own)


def _of_whole_drawings(
    plan: PlannedSettings, train: list[Any], window: int | None
) -> PlannedSettings:
    """The plan with a window that cuts no drawing: each begins its text anew.

    Raises:
        SettingsError: a smaller window was asked for.
    """
    longest = max(map(len, train))
    if window is not None and window < longest:
        raise SettingsError(
            f"the longest drawing has {longest:,} moves, and a part of it has no text of its own",
            where="training.window",
            hint=f"leave it out, or set at least {longest}",
        )
    return replace(plan, training={**plan.training, "window": longest})


def _facts(corpus: StrokeCorpus, lengths: list[int]) -> StrokeFacts:
    facts = StrokeFacts(corpus.up, max(1, int(np.median(lengths))), max(lengths))
    if corpus.texts is None:
        return facts
    train = list(zip(corpus.moves["train"], corpus.texts["train"], strict=True))
    paces = [len(moves) / len(text) for moves, text in train]
    return replace(
        facts,
        letters=max(1, round(float(np.quantile([len(text) for _, text in train], 0.9)))),
        pace=float(np.quantile(paces, 0.99)),
        source=corpus.source,
    )


def _reader(
    settings: StrokeTrainSettings, config: NetworkConfig, source: Encoder, pace: float
) -> SourceReader:
    """The components that read a text.

    Arguments:
        settings: `text`, and of the layers above.
        config: of the network without a text.
        source: encoder of texts.
        pace: moves a character.
    """
    text, family = settings.text, dict(config.model.settings)
    window = "reading_window" if text.window == "auto" else text.window
    above = None
    if text.layers_above:
        above = Component(config.model.name, {**family, "num_layers": text.layers_above})
    return SourceReader(
        Component("embedded.v1", {"vocab_size": source.vocab_size}),
        Component(f"{window}.v1", {"advance": min(1.0, max(1e-4, 1 / pace))}),
        above,
        text.feedback,
    )


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _encoder(train: list[Any], grid: float, asked: Mapping[str, Any]) -> StrokeEncoder:
    learnt = to_mapping(StrokeEncoder.learn(train, grid).settings)
    return StrokeEncoder(
        from_mapping(StrokeEncoderSettings, {**learnt, **asked}, where="[encoder]")
    )


def _config(settings: StrokeTrainSettings, encoder: StrokeEncoder) -> NetworkConfig:
    network = dict(settings.network)
    fed = {"value_size": encoder.feature_size}
    embedding = network.pop("embedding_size", None)
    if embedding is not None:
        fed["embedding_size"] = embedding
    known = set(FAMILIES.get(settings.model).Config.__dataclass_fields__) - {"input_size"}
    for name in network:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {settings.model}",
                hint=suggest(name, [*sorted(known), "embedding_size"]),
            )
    head = dict(settings.head)
    if str(head.pop("name", HEAD)).partition(".v")[0] != HEAD.partition(".v")[0]:
        raise SettingsError("moves of a pen have the head pen", where="[head] name")
    least = encoder.settings.grid * ROUNDING / encoder.settings.scale
    planned = {"least_scale": min(1.0, max(least, 1e-4))}
    checked = from_mapping(StrokesConfig, {"feature_size": 1, **planned, **head}, where="[head]")
    return NetworkConfig(
        Component("values.v1" if embedding is None else "linear.v1", fed),
        Component(settings.model, network),
        Component(HEAD, _without(to_mapping(checked), "feature_size")),
        "fresh",
    )


def _planned(train: list[Any], hidden_size: Any, layers: int) -> PlannedSettings:
    """A plan for drawings.

    Arguments:
        train: moves of each drawing of the training split.
        hidden_size: requested number of units; None to choose it.
        layers: 1, or 2 with one behind the window of a text.
    """
    moves, longest = sum(map(len, train)), max(map(len, train))
    mean = moves / len(train)
    size = next((size for most, size in SIZES if moves <= most), LARGEST)
    # Two layers of five eighths cost about what one costs.
    size = size if layers == 1 else size * 5 // 8
    if type(hidden_size) is int and hidden_size > 0:
        size = hidden_size
    rows = int(min(max(MOVES / mean, ROWS[0]), ROWS[1], max(1, len(train))))
    few = moves <= SIZES[0][0]
    network = {"hidden_size": size, "num_layers": 1, "dropout": 0.2 if few else 0.1}
    training = {
        "batch_size": rows,
        "window": min(longest, WINDOW),
        "learning_rate": 2e-3 if few else 8e-3,
        "averaging": 0.99,
        "evaluations": 12,
    }
    reasons = (
        f"{size} units: for {moves:,} moves of {len(train):,} drawings",
        f"{rows} whole drawings of about {mean:.0f} moves in parallel, each from the zero state",
        f"dropout {network['dropout']:g}",
    )
    return PlannedSettings(network, training, reasons)
