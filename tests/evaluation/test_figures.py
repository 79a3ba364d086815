"""Figures: the sum over a text equals the sum one element at a time, and every measure is its formula."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SeenContext, parse_context
from rhapsode.data import Document, ElementStore, write_store
from rhapsode.evaluation import (
    Protocol,
    baselines_of,
    evaluate_store,
    figures_of,
    in_context,
    total_loss,
)
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
PROTOCOL = Protocol("test", "validation", "to be told", "none", "its own")
MODEL = Markov.random(5)
CARRIED = parse_context("carried")
TEXTS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(
    lambda ids: np.array(ids, dtype=np.uint8)
)


def loss_of(
    model: Markov,
    elements_N: np.ndarray,
    context: SeenContext = CARRIED,
    *,
    starts: Sequence[int] = (0,),
    lanes: int = 1,
    **sizes: int,
) -> tuple[float, int]:
    """What a sweep finds: nats, and how many elements were scored."""
    begins = np.array(starts, dtype=np.int64)
    return total_loss(model, in_context(elements_N, begins, context, lanes=lanes, **sizes), context)


def noise(count: int, vocab_size: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, vocab_size, count).astype(np.uint8)


@PROVE
@given(elements_N=TEXTS, window=st.integers(1, 70))
def test_the_plain_pass_equals_one_element_at_a_time(elements_N: np.ndarray, window: int):
    total, count = loss_of(MODEL, elements_N, window=window)
    assert count == len(elements_N)
    assert total == pytest.approx(MODEL.loss(elements_N.tolist()), abs=1e-10)


@PROVE
@given(
    elements_N=TEXTS,
    lanes=st.integers(1, 70),
    window=st.integers(1, 20),
    warm_up=st.integers(2, 30),
)
def test_lanes_behind_a_warm_up_that_covers_the_memory_equal_the_plain_pass(
    elements_N: np.ndarray, lanes: int, window: int, warm_up: int
):
    total, count = loss_of(MODEL, elements_N, lanes=lanes, window=window, warm_up=warm_up)
    assert count == len(elements_N)
    assert total == pytest.approx(MODEL.loss(elements_N.tolist()), abs=1e-10)


def test_lanes_without_a_warm_up_lose_their_past():
    elements_N = noise(40)
    total, _ = loss_of(MODEL, elements_N, lanes=4, window=7, warm_up=0)
    expected = 0.0
    for start in range(0, 40, 10):
        before = (0, int(elements_N[start - 1]) if start else 0)
        expected += MODEL.loss(elements_N[start : start + 10].tolist(), before)
    assert total == pytest.approx(expected, abs=1e-10)
    assert total != pytest.approx(MODEL.loss(elements_N.tolist()), abs=1e-3)


def test_nothing_to_score_is_nothing():
    for context in ("carried", "fresh", "window:3"):
        assert loss_of(MODEL, noise(0), parse_context(context)) == (0.0, 0)


@PROVE
@given(elements_N=TEXTS, size=st.integers(1, 70))
def test_a_window_sees_so_many_elements_and_no_more(elements_N: np.ndarray, size: int):
    total, count = loss_of(MODEL, elements_N, SeenContext("window", size))
    ids = elements_N.tolist()
    expected = MODEL.loss(ids[:size])
    for place in range(size, len(ids)):
        earlier = ids[place - 2] if size > 1 else 0
        expected += MODEL.loss(ids[place : place + 1], (earlier, ids[place - 1]))
    assert count == len(ids)
    assert total == pytest.approx(expected, abs=1e-10)


def test_a_part_of_the_windows_gives_an_estimate():
    elements_N = noise(3000)
    total, count = loss_of(MODEL, elements_N, SeenContext("window", 4), every=7)
    whole, _ = loss_of(MODEL, elements_N, SeenContext("window", 4))
    assert count == 4 + -(-(3000 - 4) // 7)
    assert total / count == pytest.approx(whole / 3000, rel=0.1)


@PROVE
@given(
    documents=st.lists(st.lists(st.integers(0, 4), max_size=14), min_size=1, max_size=8),
    window=st.integers(1, 20),
)
def test_fresh_documents_begin_at_the_beginning(documents: list[list[int]], window: int):
    elements_N = np.array([element for ids in documents for element in ids], dtype=np.uint8)
    starts = np.cumsum([0, *map(len, documents[:-1])]).tolist()
    total, count = loss_of(MODEL, elements_N, SeenContext("fresh"), starts=starts, window=window)
    assert count == len(elements_N)
    assert total == pytest.approx(sum(MODEL.loss(ids) for ids in documents), abs=1e-10)


@pytest.mark.parametrize("vocab_size", [2, 5, 258])
def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(vocab_size: int):
    elements_N = np.random.default_rng(1).integers(0, vocab_size, 1000).astype(np.uint16)
    model = Markov(np.ones((vocab_size,) * 3))
    total, count = loss_of(model, elements_N)
    figures = figures_of(
        total, count, bytes=1, characters=1, unknown=0, baselines={}, protocol=PROTOCOL
    )
    assert figures.perplexity == pytest.approx(vocab_size, rel=1e-9)
    assert figures.loss == pytest.approx(
        baselines_of(np.bincount(elements_N, minlength=vocab_size), np.ones(vocab_size))["uniform"]
    )


def test_figures_are_their_formulae():
    figures = figures_of(
        100 * math.log(2),
        40,
        bytes=50,
        characters=25,
        unknown=10,
        baselines={"uniform": 3.0},
        protocol=PROTOCOL,
    )
    assert figures.loss == pytest.approx(2.5 * math.log(2))
    assert figures.perplexity == pytest.approx(2**2.5)
    assert figures.bits_per_byte == pytest.approx(2.0)
    assert figures.bits_per_character == pytest.approx(4.0)
    assert figures.elements == 40
    assert figures.unknown_rate == 0.25
    assert figures.protocol == PROTOCOL
    plain = json.loads(json.dumps(figures.to_mapping()))
    assert plain["baselines"] == {"uniform": 3.0}
    assert set(plain["protocol"]) == {
        "split",
        "selected_on",
        "context",
        "normalisation",
        "unknown_cost",
    }


def test_figures_of_a_source_without_text_have_no_bits():
    figures = figures_of(1.0, 1, bytes=0, characters=0, unknown=0, baselines={}, protocol=PROTOCOL)
    assert figures.bits_per_byte is None
    assert figures.bits_per_character is None


def test_a_hopeless_model_still_has_a_perplexity():
    figures = figures_of(1e6, 1, bytes=1, characters=1, unknown=0, baselines={}, protocol=PROTOCOL)
    assert math.isfinite(figures.perplexity)
    assert figures.loss == 1e6


def test_floors_by_hand():
    baselines = baselines_of(np.array([1, 0, 2, 1]), np.array([1, 0, 5, 2]))
    assert baselines["uniform"] == pytest.approx(math.log(4))
    share = np.array([2, 1, 6, 3]) / 12
    expected = -(2 * math.log(share[2]) + math.log(share[3]) + math.log(share[0])) / 4
    assert baselines["unigram"] == pytest.approx(expected)
    assert baselines["ngram"] is None
    assert baselines["ngram_reason"]


@PROVE
@given(elements_N=TEXTS, counts=st.lists(st.integers(0, 1000), min_size=5, max_size=5))
def test_the_unigram_floor_is_the_loss_of_a_unigram_model(
    elements_N: np.ndarray, counts: list[int]
):
    baselines = baselines_of(np.bincount(elements_N, minlength=len(counts)), np.array(counts))
    model = Markov(np.broadcast_to(np.array(counts) + 1.0, (5, 5, 5)))
    total, count = loss_of(model, elements_N)
    assert baselines["unigram"] == pytest.approx(total / count, abs=1e-10)


def test_the_unigram_floor_is_lowest_for_its_own_counts():
    elements_N = noise(5000)
    own = np.bincount(elements_N, minlength=5)
    assert baselines_of(own, own)["unigram"] < baselines_of(own, own[::-1])["unigram"]


def store_of(folder: Path, text: str) -> ElementStore:
    def encode(text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") + 1 for letter in text], dtype=np.uint8)

    return write_store(
        folder, [Document(text, "a"), Document("ab", "b")], encode, vocab_size=5, unknown_id=1
    )


def test_a_store_is_swept_once(tmp_path: Path):
    store = store_of(tmp_path / "s", "abcdabcabd")
    figures, _ = evaluate_store(MODEL, store, np.ones(5, dtype=np.int64), PROTOCOL, CARRIED)
    ids = [1, 2, 3, 4, 1, 2, 3, 1, 2, 4, 0, 1, 2, 0]
    assert figures.elements == len(ids) == 14
    assert figures.loss == pytest.approx(MODEL.loss(ids) / 14, abs=1e-6)
    assert figures.perplexity == pytest.approx(math.exp(figures.loss))
    assert figures.bits_per_character == pytest.approx(MODEL.loss(ids) / math.log(2) / 12)
    assert figures.bits_per_byte == figures.bits_per_character
    assert figures.unknown_rate == pytest.approx(4 / 14)
    assert figures.baselines["uniform"] == pytest.approx(math.log(5))
    assert figures.protocol.context == "carried, one pass in order"
    assert (figures.protocol.split, figures.protocol.selected_on) == ("test", "validation")
    assert (figures.protocol.normalisation, figures.protocol.unknown_cost) == ("none", "its own")


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("fresh", "fresh: every document from the zero state"),
        ("window:3", "window:3: every element from the 3 before it"),
    ],
)
def test_a_store_is_swept_as_the_model_was_trained(tmp_path: Path, context: str, words: str):
    store = store_of(tmp_path / "s", "abcdabcabd")
    counts = np.ones(5, dtype=np.int64)
    figures, _ = evaluate_store(MODEL, store, counts, PROTOCOL, parse_context(context))
    first, second = [1, 2, 3, 4, 1, 2, 3, 1, 2, 4, 0], [1, 2, 0]
    parts = [first, second] if context == "fresh" else [first + second]
    assert figures.loss == pytest.approx(sum(map(MODEL.loss, parts)) / 14, abs=1e-6)
    assert figures.protocol.context == words


def test_a_long_store_is_swept_in_parts_and_says_so(tmp_path: Path):
    letters = np.random.default_rng(2).choice(list("abcd"), 200_100)
    store = store_of(tmp_path / "s", "".join(letters))
    figures, _ = evaluate_store(MODEL, store, np.ones(5, dtype=np.int64), PROTOCOL, CARRIED)
    assert figures.elements == len(store)
    expected = MODEL.loss(store.elements_N.tolist()) / len(store)
    assert figures.loss == pytest.approx(expected, abs=1e-6)
    assert "13 parts in parallel" in figures.protocol.context
    assert "warm-up context" in figures.protocol.context
