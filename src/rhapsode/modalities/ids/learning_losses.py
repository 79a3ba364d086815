"""Losses of models that learn while they are scored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.bundle import IdBundle
from rhapsode.config import SeenContext
from rhapsode.data import Batch, ElementStore, document_spans, sweep, sweep_fresh, sweep_windows
from rhapsode.errors import SettingsError
from rhapsode.evaluation import total_loss, without_given
from rhapsode.log import log

if TYPE_CHECKING:
    from rhapsode.modalities.ids.model import IdModel


WINDOW = 512
# What a model that goes on learning may read for; it reads 50 to 1,000 elements a second.
DYNAMIC_SECONDS = 60.0
ADAPTING = (
    "one pass in order; counts and their weights follow what was read, the network's weights do not"
)


def batches_in_order(store: ElementStore, context: SeenContext, *, segment: int) -> Iterator[Batch]:
    """Batches that score every element once, in the order of the text.

    Arguments:
        store: elements to score; given elements get weight 0.
        context: past elements that the model sees. `carried` is one pass in order; `fresh` reads
            one document after the other, each from the zero state; `window:N` reads `segment`
            windows in parallel, each for one element.
        segment: elements of a batch; the first of `window:N` has N, the last of a text or document
            may have fewer.
    """
    elements_N, scored_N = store.elements_N, store.scored_N
    if context.kind == "fresh":
        for begin, end in document_spans(store.starts, len(store)).tolist():
            yield from sweep_fresh(
                elements_N[:end], np.array([begin]), rows=1, window=segment, scored_N=scored_N
            )
        return
    if context.kind == "window":
        batches = sweep_windows(elements_N, size=context.size, rows=segment)
    else:
        batches = sweep(elements_N, lanes=1, window=segment)
    yield from batches if scored_N is None else without_given(batches, scored_N)


def loss_adapting(model: IdModel, store: ElementStore) -> dict[str, Any]:
    """Loss of a model whose counts adapt, in order.

    Arguments:
        model: the model; it is not changed.
        store: elements to score.

    Raises:
        SettingsError: it has no counts that could adapt.
    """
    context = model.bundle.context
    batches = batches_in_order(store, context, segment=WINDOW)
    nats, count = total_loss(model.adapting, batches, context)
    loss = nats / count
    bits = nats / math.log(2)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_character": bits / store.characters if store.characters else None,
        "elements": count,
        "protocol": ADAPTING,
    }


def losses_while_learning(
    bundle: IdBundle, store: ElementStore, *, seconds: float = DYNAMIC_SECONDS
) -> dict[str, Any]:
    """Losses of a model that continues to learn, within a time limit.

    Arguments:
        bundle: the model; it is not changed.
        store: elements to score.
        seconds: about how long.

    Returns:
        `losses`: for "static" (over the same elements), "dynamic", "cache" and "both" `loss`,
        `perplexity` and `seconds`; `elements`, `of`, `settings`, and `protocol` by the same names.
        If learning diverged, "dynamic" and "both" are missing and `diverged` is the element. If no
        element was scored within the time limit, all are missing.
    """
    from rhapsode.bundle.adapting import AdaptSettings, adapted_losses
    from rhapsode.bundle.network import load_network

    if len(bundle.members) != 1:
        raise SettingsError(
            f"learning while scoring needs one network, this model has {len(bundle.members)}",
            where="dynamic",
        )
    if bundle.facts.grammar(bundle.encoder) is not None:
        raise SettingsError("learning while scoring does not support a grammar", where="dynamic")
    settings, context = AdaptSettings(), bundle.context
    log.info(f"learning while scoring: up to {seconds:.0f} s")
    found = adapted_losses(
        load_network(bundle),
        batches_in_order(store, context, segment=settings.segment),
        settings,
        carried=context.kind != "window",
        seconds=seconds,
    )
    count = len(found.positions_N)
    nats = found.nats if count else {}
    means = {name: float(nats_N.mean(dtype=np.float64)) for name, nats_N in nats.items()}
    losses = {
        name: {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "seconds": found.seconds[name],
        }
        for name, loss in means.items()
    }
    if found.diverged is not None:
        log.info(
            f"learning diverged at element {found.diverged:,} "
            f"(learning rate {settings.learning_rate:g}): its metrics are not reported"
        )
    whose = (
        "the model" if bundle.mixture is None else "the network alone, without the n-gram model,"
    )
    how = {
        "static": f"the same elements by {whose} without learning, in its own context, in order",
        "dynamic": (
            f"scored, then one step on every {settings.segment} elements: learning rate "
            f"{settings.learning_rate:g}, decay {settings.decay:g}, damping "
            f"{settings.damping:g}; mean squares of gradients from the text so far"
        ),
        "cache": (
            f"the last {settings.cache_size:,} features, theta {settings.theta:g}, "
            f"weight {settings.cache_share:g}"
        ),
        "both": "the same cache over the features of the model that learns",
    }
    part = "all" if count == store.scored else "the first"
    return {
        "losses": losses,
        "elements": count,
        "of": store.scored,
        "diverged": found.diverged,
        "settings": asdict(settings),
        "protocol": {
            "elements": f"{part} {count:,} of {store.scored:,}, within {seconds:.0f} s",
            **{name: how[name] for name in losses},
        },
    }
