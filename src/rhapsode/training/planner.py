"""Settings for a corpus and a budget, interpolated from measured runs on small corpora, with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Plan", "plan_run"]

# Elements a second of an LSTM's training on two cores, times its multiply-adds per element: about constant.
_ASSUMED_RATE = 9.0e10


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
    vocab_size: int,
    seconds: float | None,
    epochs: float | None,
    steps: int | None,
    fast: bool,
) -> Plan:
    """A plan for one corpus.

    Arguments:
        family: full name of the model.
        elements: of the training share.
        vocab_size: V.
        seconds: the budget, or None when epochs or steps rule.
        epochs: passes asked for.
        steps: updates asked for.
        fast: whether the machine has fast bfloat16 products.
    """
    transformer = family.startswith("transformer")
    window = 128 if transformer else 64
    batch = max(1, min(16, elements // window))
    rate = _ASSUMED_RATE * (1.0 if fast else 0.6)

    def expected_epochs(hidden: int) -> float:
        if epochs is not None:
            return epochs
        if steps is not None:
            return steps * batch * window / elements
        assert seconds is not None
        work = 3 * 4 * hidden * (hidden + 64) + 3 * hidden * vocab_size
        return seconds * rate / work / elements

    size = _width(elements, seconds)
    seen = expected_epochs(size)
    dropout = round(min(0.4, max(0.0, 0.03 * seen)), 2)
    embedding = 64 if vocab_size <= 512 else 128
    reasons = [
        f"{size} units: for {elements:,} elements" + (f" in {seconds:.0f} s" if seconds else "")
    ]
    reasons.append(f"dropout {dropout:g}: about {seen:.1f} passes are expected")
    training: dict[str, Any] = {
        "batch_size": batch,
        "window": window,
        "learning_rate": 4e-3 if size <= 384 else 3e-3,
    }
    if transformer:
        width = 192 if size >= 384 else 128
        network: dict[str, Any] = {
            "embedding_size": width,
            "num_layers": 4,
            "num_heads": width // 32,
            "window": window,
            "dropout": round(dropout / 2, 2),
        }
        training["learning_rate"] = 2e-3
        reasons[0] = f"4 layers of {width}: for {elements:,} elements"
    else:
        network = {
            "embedding_size": embedding,
            "hidden_size": size,
            "num_layers": 1,
            "dropout": dropout,
        }
    return Plan(network, training, tuple(reasons))


def _width(elements: int, seconds: float | None) -> int:
    """Hidden units: more with time, fewer for a small corpus that would soon be learnt by heart."""
    minutes = (seconds if seconds is not None else 180.0) / 60
    by_time = 128 * round(max(1.0, min(6.0, 3.0 + math.log2(max(minutes, 0.1)) * 0.9)))
    by_corpus = 128 if elements < 50_000 else 256 if elements < 250_000 else 768
    return min(by_time, by_corpus)
