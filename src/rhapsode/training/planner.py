"""Settings for a corpus and a budget, interpolated from measured runs on small corpora, with reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rhapsode.config import SeenContext

__all__ = ["CLASSIC_LENGTH", "Plan", "family_settings", "machine_speed", "plan_run"]

CLASSIC_LENGTH = 128

_STEP = 1024
# Multiply-adds a second in training on two cores with fast bfloat16 (430 GFLOP/s; 200 in float32), measured for an LSTM
# of 512; and how much of that the families reach that have no such kernel. What settings were measured at, a minute of it
# being a minute here, other machines' minutes are turned into.
_RATE = 9.0e10
_SHARE = {"lstm": 1.0, "awd": 1.0, "gru": 0.45, "rnn": 0.45, "tcn": 0.8, "transformer": 0.6}
_LSTMS = ("lstm", "awd_lstm", "lstm_skip")
# Vocabularies from which on the table is the larger part of a network, and pays twice where it is also the head.
_LARGE = 6000


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
    kind = family.partition(".")[0]
    length = max(2, elements // max(1, documents))
    if context.kind == "fresh":
        # All of a usual document in one step, and about as many elements a step as with windows.
        window = 64 * math.ceil(2 * length / 64)
        batch = max(4, min(64, _STEP // length, documents))
    else:
        window = context.size if context.kind == "window" else 128 if kind == "tcn" else 64
        rows = max(16, min(64, 2048 // window)) if context.kind == "window" else 16
        batch = max(1, min(rows, elements // window))
    size = _width(elements, None if seconds is None else seconds * speed)
    if vocab_size > 2000:
        size = min(size, 512)
    if hidden_size is not None:
        size = hidden_size
    work = _work(kind, size, vocab_size)
    rate = _RATE * _SHARE.get(kind.partition("_")[0], 0.6) * speed
    if epochs is not None:
        seen = epochs
    elif steps is not None:
        seen = steps * batch * window / max(1, elements)
    else:
        seen = (seconds or 0.0) * rate / work / max(1, elements)
    network, learning_rate, about = _family(
        kind, size, vocab_size, window, _dropout(seen, size, vocab_size)
    )
    if context.kind == "fresh" and kind in (*_LSTMS, "gru"):
        network |= {"chrono": length, "chrono_share": 0.25}
        learning_rate = min(learning_rate, 4e-3)
    updates = seen * elements / max(1, batch * window)
    averaging = _averaging(updates) if kind in _LSTMS else 0.0
    timed = f" in {seconds:.0f} s" if seconds is not None else ""
    reasons = (
        f"{about}: for {elements:,} elements{timed}",
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
    if vocab_size > _LARGE:
        share = 0.1 + 0.07 * seen
    return round(min(0.4, max(0.0, share)), 2)


def _averaging(updates: float) -> float:
    """Decay of the average of the weights: over about the last tenth of a run, so that the schedule's end counts most."""
    return 0.0 if updates < 500 else round(1.0 - 10.0 / min(updates, 20_000), 5)


def _work(kind: str, size: int, vocab_size: int) -> float:
    """Multiply-adds to learn from one element, about."""
    inner = {
        "lstm": 4 * size * (size + 64),
        "awd_lstm": 4 * size * (size + 64),
        "lstm_skip": 4 * size * (size + 64),
        "gru": 3 * size * (size + 64),
        "rnn": size * (size + 64),
        "tcn": 12 * 3 * (size // 2) ** 2,
    }.get(kind, 4 * 12 * (size * 3 // 8) ** 2)
    return 3.0 * (inner + size * vocab_size)


def _family(
    kind: str, size: int, vocab_size: int, window: int, dropout: float
) -> tuple[dict[str, Any], float, str]:
    """Settings of a family, its learning rate, and the choice in words."""
    embedding = 64 if vocab_size <= 512 else 128 if vocab_size <= 8000 else 256
    # A minute wants more updates rather than more layers: measured at 2 and 4 layers of 128 and 192.
    short = size <= 384
    if kind == "transformer_classic":
        width = 128 if short else 192
        network = {
            "embedding_size": width,
            "num_layers": 2,
            "num_heads": width // 32,
            "length": window,
            "dropout": round(dropout / 2, 2),
        }
        return network, 1e-3, f"2 layers of {width}"
    if kind == "transformer":
        width = 128 if short else 192
        layers = 2 if short else 3
        network = {
            "embedding_size": width,
            "num_layers": layers,
            "num_heads": width // 32,
            "window": window,
            "dropout": round(dropout / 2, 2),
        }
        return network, 3e-3, f"{layers} layers of {width}"
    if kind == "tcn":
        channels = 128 if short else 192
        network = {
            "embedding_size": embedding,
            "hidden_size": channels,
            "num_layers": 5,
            "dropout": round(dropout / 2, 2),
        }
        return network, 2e-3, f"5 blocks of {channels} channels"
    network = {
        "embedding_size": embedding,
        "hidden_size": size,
        "num_layers": 1,
        "dropout": dropout,
    }
    if kind not in _LSTMS:
        return network, 1e-3 if kind == "rnn" else 4e-3 if size <= 384 else 3e-3, f"{size} units"
    if vocab_size > _LARGE and kind != "lstm_skip":  # whose features are wider than the table
        network |= {"embedding_size": size, "tied": True, "input_dropout": round(dropout / 2, 2)}
        return network, 4e-3, f"{size} units, one table for input and output"
    # What was best at 256 to 768 units lies about on a line.
    return network, round(min(8e-3, 2.3 / size), 4), f"{size} units"


def family_settings(family: str, recurrent: Mapping[str, Any], window: int) -> dict[str, Any]:
    """Settings of a family of about the size of a recurrent network.

    Arguments:
        family: full name.
        recurrent: those of the recurrent network.
        window: steps that one update reads.
    """
    kind = family.partition(".")[0]
    if kind in (*_LSTMS, "gru", "rnn"):
        return dict(recurrent)
    found, _, _ = _family(kind, recurrent["hidden_size"], 2, window, recurrent["dropout"])
    return found


def _width(elements: int, seconds: float | None) -> int:
    """Hidden units: more with time (seconds of the machine that was measured on), fewer for a small corpus that would soon be learnt by heart."""
    minutes = (seconds if seconds is not None else 180.0) / 60
    by_time = 128 * round(max(1.0, min(6.0, 3.0 + math.log2(max(minutes, 0.1)) * 0.9)))
    by_corpus = 128 if elements < 50_000 else 256 if elements < 250_000 else 768
    return min(by_time, by_corpus)
