"""Settings for a corpus and a budget, interpolated from measured runs on small corpora, with reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rhapsode.config import SeenContext
from rhapsode.models.families import FAMILIES, LARGE_VOCABULARY, PlanRequest

_STEP = 1024
# Multiply-adds a second in training on two cores with fast bfloat16 (430 GFLOP/s; 200 in float32), measured for an LSTM
# of 512; families say how much of that they reach. What settings were measured at, a minute of it being a minute here,
# other machines' minutes are turned into.
_RATE = 9.0e10


@dataclass(frozen=True)
class Plan:
    """What a run will use where nothing else was asked for.

    Arguments:
        network: settings of the input module and the family.
        training: batch_size, window, learning_rate.
        reasons: why, a line each.
    """

    network: Mapping[str, Any]
    training: Mapping[str, Any]
    reasons: tuple[str, ...]


def plan_run(
    *,
    family: str,
    elements: int,
    documents: int,
    vocab_size: int,
    context: SeenContext,
    seconds: float | None,
    epochs: float | None,
    steps: int | None,
    speed: float,
    hidden_size: int | None = None,
) -> Plan:
    """A plan for one corpus.

    Arguments:
        family: full name of the model.
        elements: of the training share.
        documents: of the training share.
        vocab_size: V.
        context: what the model sees of the past.
        seconds: the budget, or None when epochs or steps rule.
        epochs: passes asked for.
        steps: updates asked for.
        speed: of the machine, as `machine_speed` tells it.
        hidden_size: units that were asked for, to which the rest is fitted; None to choose them.
    """
    kind = FAMILIES.get(family)
    length = max(2, elements // max(1, documents))
    if context.kind == "fresh":
        # All of a usual document in one step, and about as many elements a step as with windows.
        window = 64 * math.ceil(2 * length / 64)
        batch = max(4, min(64, _STEP // length, documents))
    else:
        window = context.size if context.kind == "window" else kind.default_window
        rows = max(16, min(64, 2048 // window)) if context.kind == "window" else 16
        batch = max(1, min(rows, elements // window))
    size = _width(elements, None if seconds is None else seconds * speed)
    if vocab_size > 2000:
        size = min(size, 512)
    if hidden_size is not None:
        size = hidden_size
    # Multiply-adds to learn from one element, about.
    work = 3.0 * (kind.inner_cost(size) + size * vocab_size)
    rate = _RATE * kind.training_rate * speed
    if epochs is not None:
        seen = epochs
    elif steps is not None:
        seen = steps * batch * window / max(1, elements)
    else:
        seen = (seconds or 0.0) * rate / work / max(1, elements)
    dropout = _dropout(seen, size, vocab_size)
    planned = kind.plan(PlanRequest(size, vocab_size, window, dropout))
    network, learning_rate = dict(planned.network), planned.learning_rate
    if context.kind == "fresh" and kind.remembers_documents:
        network |= {"chrono": length, "chrono_share": 0.25}
        learning_rate = min(learning_rate, kind.largest_fresh_rate)
    updates = seen * elements / max(1, batch * window)
    averaging = _averaging(updates) if kind.averages else 0.0
    timed = f" in {seconds:.0f} s" if seconds is not None else ""
    reasons = (
        f"{planned.reason}: for {elements:,} elements{timed}",
        *_reasons(context, documents, length, network),
        f"dropout {network.get('dropout', 0):g}: about {seen:.1f} passes are expected",
        *([f"weights averaged over {1 / (1 - averaging):.0f} updates"] if averaging else []),
    )
    training = {
        "batch_size": batch,
        "window": window,
        "learning_rate": learning_rate,
        "averaging": averaging,
    }
    return Plan(network, training, reasons)


def machine_speed(rates: Mapping[str, float], threads: int = 1) -> float:
    """How fast a machine trains, as a share of the one that settings were measured on.

    In steps of a factor of the square root of two, so that a moment's disturbance seldom changes a plan; and where one
    thread alone does better than its part of all, others were at work while all were measured.

    Arguments:
        rates: measured matmul rates, GFLOP/s, as `matmul_rates` gives them.
        threads: that train.
    """
    half, single = rates["bfloat16"], max(1e-3, rates["float32"])
    share = half / 430 if half > 1.5 * single else 0.6 * single / 200
    together = rates.get("float32_one_thread", 0.0) * (1 + 0.9 * (threads - 1))
    share *= max(1.0, together / single)
    return float(2 ** (round(2 * math.log2(max(0.05, min(64.0, share)))) / 2))


def _reasons(
    context: SeenContext, documents: int, length: int, network: Mapping[str, Any]
) -> Iterator[str]:
    """Why documents are read as they are."""
    if context.kind == "fresh":
        memory = ", a quarter of the units set to remember one" if "chrono" in network else ""
        yield f"each document afresh{memory}: {documents:,} of about {length:,} elements"


def _dropout(seen: float, size: int, vocab_size: int) -> float:
    """Share to drop: more passes and wider layers learn by heart sooner, and so do rare elements."""
    share = 0.036 * seen * size / 512
    if vocab_size > LARGE_VOCABULARY:
        share = 0.1 + 0.07 * seen
    return round(min(0.4, max(0.0, share)), 2)


def _averaging(updates: float) -> float:
    """Decay of the average of the weights: over about the last tenth of a run, so that the schedule's end counts most."""
    return 0.0 if updates < 500 else round(1.0 - 10.0 / min(updates, 20_000), 5)


def _width(elements: int, seconds: float | None) -> int:
    """Hidden units: more with time (seconds of the machine that was measured on), fewer for a small corpus that would soon be learnt by heart."""
    minutes = (seconds if seconds is not None else 180.0) / 60
    by_time = 128 * round(max(1.0, min(6.0, 3.0 + math.log2(max(minutes, 0.1)) * 0.9)))
    by_corpus = 128 if elements < 50_000 else 256 if elements < 250_000 else 768
    return min(by_time, by_corpus)
