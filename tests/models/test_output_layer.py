"""The planned output layer: adaptive for many elements in order of frequency, full otherwise, and as it was asked for."""

from typing import Any

import numpy as np
import pytest

from rhapsode.models.output_layer import LEAST_VOCABULARY, OutputLayer, plan_output_layer
from tests.training.test_planner import plan

ZIPF_V = (1e7 / np.arange(1, 10_001)).astype(np.int64)


def layer(counts_V: Any = ZIPF_V, *, accelerated: bool = False, **asked: Any) -> OutputLayer:
    return plan_output_layer(counts_V, asked, accelerated=accelerated)


def test_a_large_vocabulary_in_order_of_frequency_gets_a_tail() -> None:
    found = layer()
    short = found.shortlist
    assert 0 < short < 10_000
    assert found.rare == pytest.approx(ZIPF_V[short:].sum() / ZIPF_V.sum())
    assert found.cost(512) < 0.3 * OutputLayer.full(10_000).cost(512)
    assert OutputLayer.full(10_000).cost(512) == 512 * 10_000


@pytest.mark.parametrize(
    ("counts_V", "accelerated", "asked"),
    [
        (ZIPF_V[: LEAST_VOCABULARY - 1], False, {}),
        (ZIPF_V[::-1], False, {}),
        (ZIPF_V, True, {}),
        (ZIPF_V, False, {"shortlist": 0}),
        (ZIPF_V, False, {"shortlist": 10_000}),
    ],
)
def test_anything_else_is_full(counts_V: Any, accelerated: bool, asked: dict[str, Any]) -> None:
    found = layer(counts_V, accelerated=accelerated, **asked)
    assert found == OutputLayer.full(len(counts_V))
    assert not found.settings
    assert found.reason is None


@pytest.mark.parametrize("counts_V", [ZIPF_V[:500], ZIPF_V[::-1]])
def test_a_tail_that_was_asked_for_is_given_wherever_it_is(counts_V: Any) -> None:
    found = layer(counts_V, accelerated=True, shortlist=100, tail_size=24)
    assert found.settings == {"shortlist": 100, "tail_size": 24}


def test_the_plan_says_so_and_expects_more_passes() -> None:
    facts = {"vocab_size": 10_000, "seconds": 600.0}
    full, adaptive = plan(**facts), plan(**facts, output=layer())
    assert adaptive.network.items() >= layer().settings.items()
    assert layer().reason in adaptive.reasons
    passes = [
        next(float(line.split("about ")[1].split()[0]) for line in each.reasons if "passes" in line)
        for each in (full, adaptive)
    ]
    assert passes[1] > 1.5 * passes[0]
