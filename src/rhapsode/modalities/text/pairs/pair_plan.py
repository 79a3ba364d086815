"""The network of a model of pairs: plan and components."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np

from rhapsode.bundle import Component, IdBundle, NetworkConfig, SourceReader
from rhapsode.config import suggest
from rhapsode.errors import SettingsError
from rhapsode.modalities.contract import Planned, RunRequest
from rhapsode.modalities.text.corpus import TextCorpus
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.pairs.pair_order import agreement_of_order
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.models.families import FAMILIES, embedding_width

# Units of the layers of the output, and pairs of the training split from which on the wider are
# used.
NARROW, WIDE, MANY_PAIRS = 192, 256, 30_000
# Elements of inputs and outputs in one update, about, and the fewest and most pairs.
UPDATE, FEWEST_ROWS, MOST_ROWS = 2000, 16, 128
# Elements of an output in one update, at most.
MOST_WINDOW = 1024
# Elements of outputs a second, relative to a model without inputs that reads documents afresh. Of
# the speed on carried text, 0.28 (CMUDict) and 0.33 (Finnish forms) were measured.
SPEED = 0.43
# Agreement of the order of outputs and inputs from which on a window that moves forward is used.
IN_ORDER = 0.45


def pair_request(
    corpus: TextCorpus, request: RunRequest[TrainSettings]
) -> RunRequest[TrainSettings]:
    """The request with sizes that suit pairs, where they were left open."""
    settings = request.settings
    pairs = len(corpus.train.starts)
    network = dict(settings.network)
    config = FAMILIES.get(settings.model).Config
    if "hidden_size" in {field.name for field in fields(config)}:
        network = {"hidden_size": WIDE if pairs >= MANY_PAIRS else NARROW, **network}
    training = settings.training
    if training.window is None:
        window = 64 * math.ceil(longest_output(corpus) / 64)
        training = replace(training, window=min(window, MOST_WINDOW))
    if training.batch_size is None and request.accelerator is None:
        length = max(1, len(corpus.train) // pairs)
        rows = max(FEWEST_ROWS, min(MOST_ROWS, UPDATE // length, pairs))
        training = replace(training, batch_size=rows)
    if request.base is not None:
        network = dict(settings.network)
    settings = replace(settings, network=network, training=training)
    return replace(request, settings=settings, speed=SPEED * request.speed)


def longest_output(corpus: TextCorpus) -> int:
    """Elements of the longest output of the training split, its end included."""
    spans = np.diff(corpus.train.starts, append=len(corpus.train))
    return int(spans.max(initial=1))


def planned_pairs(
    planned: Planned[TrainSettings, TextCorpus, IdBundle], *, based: bool
) -> Planned[TrainSettings, TextCorpus, IdBundle]:
    """The plan with the components that read the inputs.

    Arguments:
        planned: the plan of a model of the outputs alone.
        based: True if a base model decides the components.
    """
    corpus, settings, bundle = planned.corpus, planned.settings, planned.bundle
    assert corpus.source_encoder is not None
    facts = TextFacts(
        bundle.facts.counts_V,
        source=corpus.source_encoder,
        longest=longest_output(corpus) - 1,
    )
    bundle, plan = replace(bundle, facts=facts), planned.plan
    if not based:
        crossing = bundle.config.model.name.startswith("transformer")
        attention, reason = chosen_attention(settings.pairs.attention, corpus, crossing=crossing)
        settings = replace(settings, pairs=replace(settings.pairs, attention=attention))
        plan = replace(plan, reasons=(*plan.reasons, *reason))
        config = replace(bundle.config, source=source_reader(settings, bundle.config, facts))
        bundle = replace(bundle, network=config)
    pairs = settings.pairs
    resolved = replace(
        settings,
        pairs=replace(
            pairs,
            source_encoding=corpus.source_encoder.name,
            source_encoder=corpus.source_encoder.settings,
        ),
    )
    return replace(planned, settings=resolved, bundle=bundle, plan=plan)


def chosen_attention(
    asked: str, corpus: TextCorpus, *, crossing: bool
) -> tuple[str, tuple[str, ...]]:
    """The kind of attention, and why.

    Arguments:
        asked: the setting.
        corpus: of pairs.
        crossing: True for a transformer.
    """
    if asked != "auto":
        return asked, ()
    if crossing:
        return "layers", ()
    agreement = agreement_of_order(corpus.train)
    if agreement < IN_ORDER:
        return "dot", ()
    reason = (
        f"attention by a window that moves forward: outputs follow the order of inputs "
        f"(agreement {agreement:.2f})"
    )
    return "gaussian_window", (reason,)


def source_reader(settings: TrainSettings, config: NetworkConfig, facts: TextFacts) -> SourceReader:
    """The components that read the inputs, by `[pairs]`.

    Raises:
        SettingsError: an unknown kind of attention.
    """
    pairs, family = settings.pairs, dict(config.model.settings)
    assert facts.source is not None
    crossing = config.model.name.startswith("transformer")
    width = int(config.input.settings.get("embedding_size", WIDE))
    dropout = float(family.get("dropout", 0.0))
    encoder: dict[str, Any] = {"vocab_size": facts.source.vocab_size, "dropout": dropout}
    if pairs.source_model == "transformer" or (pairs.source_model == "auto" and crossing):
        name = "transformer.v1"
        encoder |= {
            "hidden_size": pairs.source_size or width,
            "num_layers": pairs.source_layers or int(family.get("num_layers", 2)),
            "num_heads": int(family.get("num_heads", 4)),
        }
    else:
        name = "bidirectional.v1"
        encoder |= {
            "embedding_size": embedding_width(facts.source.vocab_size),
            "hidden_size": pairs.source_size or max(1, int(family.get("hidden_size", width)) // 2),
            "num_layers": pairs.source_layers or 1,
        }
    attention = attention_of(pairs.attention)
    if attention is None:
        return SourceReader(Component(name, encoder))
    sizes = {} if attention.startswith("gaussian") else {"attention_size": pairs.attention_size}
    above = None
    if pairs.layers_above:
        above = Component(config.model.name, {**family, "num_layers": pairs.layers_above})
    return SourceReader(Component(name, encoder), Component(attention, sizes), above)


def attention_of(name: str) -> str | None:
    """Full name of a mechanism; None for attention in every layer.

    Raises:
        SettingsError: an unknown kind of attention.
    """
    from rhapsode.models.attention.contract import ATTENTIONS

    if name == "layers":
        return None
    known = [*ATTENTIONS.words(), "layers"]
    if name.partition(".")[0] not in known:
        raise SettingsError(
            f"there is no attention {name!r}",
            where="[pairs] attention",
            hint=suggest(name, known),
        )
    return ATTENTIONS.full_name(name)
