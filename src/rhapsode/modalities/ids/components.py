"""The components of a network over identifiers, from settings and plan."""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from rhapsode.bundle import Component, IdBundle, NetworkConfig
from rhapsode.bundle.network import build_network
from rhapsode.config import (
    IdSettings,
    ReadingSettings,
    SeenContext,
    parse_context,
    suggest,
)
from rhapsode.data import (
    CarriedStream,
    ElementStore,
    FilledStream,
    FreshStream,
    MaskedStream,
    Stream,
    WindowStream,
)
from rhapsode.encoding import Grammar
from rhapsode.errors import SettingsError
from rhapsode.evaluation import allowed_elements
from rhapsode.modalities.ids.contract import IdCorpus
from rhapsode.models import FAMILIES, INPUTS
from rhapsode.models.output_layer import DEFAULT_TAIL
from rhapsode.training import plan_id_run

MANY_DOCUMENTS = 200
SHORT_DOCUMENT = 512
# Settings of [network] that belong to the input module and the head.
OUTSIDE = (
    "embedding_size",
    "head_bias",
    "input",
    "input_dropout",
    "shortlist",
    "tail_size",
    "tied",
)


def seen_context(
    settings: IdSettings, family: str, train: ElementStore | None = None, *, pairs: bool = False
) -> SeenContext:
    """The requested context, or one that suits the family and the text.

    Many short documents are each read from the zero state: gradients span a whole document, and no
    capacity is spent on the previous one.

    Arguments:
        settings: `reading`, `network` and `training` are used.
        family: full name of the model.
        train: the training split; without it the text is taken for one long document.
        pairs: True if parts of documents are given.

    Raises:
        SettingsError: a context the family cannot have, or settings that only windows have.
    """
    reading = settings.reading
    documents = 0 if train is None else len(train.starts)
    many_short = documents >= MANY_DOCUMENTS and len(train or ()) <= SHORT_DOCUMENT * documents
    fixed = FAMILIES.get(family).fixed_window(settings.network)
    if reading.context is not None:
        context = parse_context(reading.context)
    elif fixed is not None:
        shorter = train is not None and "length" not in settings.network
        most = max(1, len(train or ()) - 1) if shorter else fixed
        context = SeenContext("window", min(fixed, most))
    else:
        context = SeenContext("fresh" if pairs or many_short else "carried")
    windowed = context.kind == "window"
    if pairs and context.kind != "fresh":
        raise SettingsError(
            f"pairs of prompt and completion need the context fresh, not {context}",
            where="[reading] context",
            hint="leave it out" if fixed is None else "use another model",
        )
    if fixed is not None and not windowed:
        raise SettingsError(
            f"{family} has learnt positions, so it needs a windowed context",
            where="[reading] context",
            hint="use window:N",
        )
    asked_length = settings.network.get("length")
    if fixed is not None and isinstance(asked_length, int) and context.size > asked_length:
        raise SettingsError(
            f"window:{context.size} is longer than the {asked_length} positions of the model",
            where="[reading] context",
        )
    for name in ("stride", "shuffle", "drop_last", "loss"):
        if not windowed and getattr(reading, name) != getattr(ReadingSettings, name):
            raise SettingsError(
                f"{name!r} belongs to a window:N context, this one is {context}",
                where="[reading]",
                hint="set reading.context=window:N",
            )
    asked = settings.training.window
    if windowed and asked not in (None, context.size):
        raise SettingsError(
            f"training.window is {asked}, but the context is {context}",
            where="[training] window",
            hint="leave it out: a window:N context decides it",
        )
    return context


def open_stream(settings: IdSettings, corpus: IdCorpus, grammar: Grammar | None = None) -> Stream:
    """Batches of the training split under resolved settings.

    Arguments:
        settings: resolved.
        corpus: training data, divided into splits.
        grammar: fills the masks of the batches; None: anything may follow.

    Raises:
        DataError: too few elements for one window.
    """
    reading, training = settings.reading, settings.training
    assert reading.context is not None
    assert training.batch_size is not None
    assert training.window is not None
    context = parse_context(reading.context)
    train, elements_N = corpus.train, corpus.train.elements_N
    if context.kind == "window":
        stream: Stream = WindowStream(
            elements_N,
            size=context.size,
            batch_size=training.batch_size,
            stride=reading.stride,
            shuffle=reading.shuffle,
            drop_last=reading.drop_last,
            loss=reading.loss,
            seed=settings.seed,
        )
    elif context.kind == "fresh":
        stream = FreshStream(
            elements_N,
            train.starts,
            batch_size=training.batch_size,
            window=training.window,
            seed=settings.seed,
            scored_N=train.scored_N,
            beside_D=None if train.sources is None else train.sources.lengths,
        )
    else:
        stream = CarriedStream(
            elements_N,
            batch_size=training.batch_size,
            window=training.window,
            complete=train.complete,
        )
    if train.sources is not None:
        filled = FilledStream(stream, partial(train.sources.fill, starts=train.starts))
        # States need not be kept where every document is read in one window.
        longest = int(np.diff(train.starts, append=len(train)).max(initial=0))
        filled.carries = longest > training.window
        stream = filled
    if grammar is None:
        return stream
    return MaskedStream(stream, allowed_elements(grammar, elements_N, train.starts))


def own_network(planned: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Merge planned and requested settings, without those that no longer apply."""
    network = {**planned, **asked}
    table = not str(network.get("input", "table")).startswith("onehot")
    sizes = [asked[name] for name in ("embedding_size", "hidden_size") if name in asked]
    if network.get("tied") and len(sizes) < 2 and "hidden_size" in network:
        size = sizes[0] if sizes else network["hidden_size"]
        network |= {"embedding_size": size, "hidden_size": size}
    beside = set() if table else {"embedding_size", "input_dropout", "tied"}
    if len(set(sizes)) > 1:
        beside.add("tied")
    return {name: value for name, value in network.items() if name not in beside or name in asked}


def network_config(settings: IdSettings, vocab_size: int) -> NetworkConfig:
    """The components that `[network]` describes.

    `input`, `embedding_size` and `input_dropout` belong to the input module, `head_bias`, `tied`,
    `shortlist` and `tail_size` to the head, everything else to the family.
    """
    network = dict(settings.network)
    input_name = INPUTS.full_name(str(network.pop("input", "table")))
    input_settings: dict[str, Any] = {"vocab_size": vocab_size}
    if input_name.startswith("table") and "embedding_size" in network:
        input_settings["embedding_size"] = network.pop("embedding_size")
    if "input_dropout" in network:
        input_settings["dropout"] = network.pop("input_dropout")
    family = FAMILIES.get(settings.model)
    if family.embedding_std is not None and input_name.startswith("table"):
        input_settings["init_std"] = family.embedding_std
    head = {"vocab_size": vocab_size, "bias": network.pop("head_bias", family.head_bias)}
    head_name = "categorical.v1"
    narrow = {
        "shortlist": network.pop("shortlist", 0),
        "tail_size": network.pop("tail_size", DEFAULT_TAIL),
    }
    for name, least in (("shortlist", 0), ("tail_size", 1)):
        if type(narrow[name]) is not int or narrow[name] < least:
            raise SettingsError(
                f"{narrow[name]!r} is not a whole number of at least {least}",
                where=f"[network] {name}",
            )
    tied = network.pop("tied", False)
    if tied:
        head["tied"] = True
    if 0 < narrow["shortlist"] < vocab_size:
        head_name, head = "adaptive.v1", head | narrow
        if tied and input_name == "table.v1":
            input_name, input_settings = "adaptive_table.v1", input_settings | narrow
    return NetworkConfig(
        Component(input_name, input_settings),
        Component(settings.model, network),
        Component(head_name, head),
        settings.reading.context or "carried",
    )


def check_network(settings: IdSettings, family: str) -> None:
    """Check `[network]` before anything is read.

    Raises:
        SettingsError: a setting that this family lacks, or values that do not go together.
    """
    own = {field.name for field in fields(FAMILIES.get(family).Config)} - {"input_size"}
    known = [*sorted(own), *OUTSIDE]
    for name in settings.network:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {family}", hint=suggest(name, known)
            )
    plan = plan_id_run(
        family=family,
        elements=1 << 20,
        documents=1,
        vocab_size=3,
        context=seen_context(settings, family),
        seconds=60.0,
        epochs=None,
        steps=None,
        speed=1.0,
    )
    asked = replace(settings, model=family, network=own_network(plan.network, settings.network))
    with torch.device("meta"):
        build_network(network_config(asked, 3))


def decided_settings(bundle: IdBundle) -> dict[str, Any]:
    """The settings that a network decides, by name: those that `network_config` reads."""
    encoder, config = bundle.encoder, bundle.config
    inputs = {"embedding_size": "embedding_size", "dropout": "input_dropout"}
    known, head = config.input.settings, config.head.settings
    return {
        "model": config.model.name,
        "encoding": encoder.name,
        "encoder": dict(encoder.settings),
        "network": {
            "input": config.input.name.partition(".")[0].removeprefix("adaptive_"),
            **{ours: known[theirs] for theirs, ours in inputs.items() if theirs in known},
            **config.model.settings,
            "head_bias": bool(head.get("bias", True)),
            **{name: head[name] for name in ("shortlist", "tail_size") if name in head},
        },
        "reading": {"context": config.context},
    }
