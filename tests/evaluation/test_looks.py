"""Looks at single losses agree with what the model was built to be."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.bundle import Examined
from rhapsode.config import parse_context
from rhapsode.data import Batch, sweep_rows, sweep_strided
from rhapsode.evaluation import (
    calibration_of,
    context_losses,
    element_losses,
    in_context,
    interval_of,
    paired_difference,
    surprises,
    windowed_loss,
)
from rhapsode.modalities.text.spelling import CODE_POINTS, Speller
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
MODEL = Markov.random(5)
START = np.zeros(1, dtype=np.int64)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, count).astype(np.uint8)


@PROVE
@given(
    total=st.integers(0, 80), window=st.integers(1, 20), share=st.integers(1, 20), rows=st.integers(1, 5)
)  # fmt: skip
def test_a_strided_sweep_scores_every_element_once_behind_enough_others(
    total: int, window: int, share: int, rows: int
):
    stride = min(window, share)
    ids_N = noise(total)
    times = np.zeros(total, dtype=int)
    for batch in sweep_strided(ids_N, window=window, stride=stride, rows=rows):
        assert batch.positions_BT is not None
        for row, positions in enumerate(batch.positions_BT):
            for column in np.flatnonzero(batch.weights_BT[row]):
                times[positions[column]] += 1
                assert batch.targets[row, column] == ids_N[positions[column]]
                assert column >= min(positions[column], window - stride)
                before = ids_N[positions[column] - 1] if column else 0
                assert batch.inputs[row, column] == before
    assert (times == 1).all()


def test_the_windowed_loss_equals_reading_each_window_by_itself():
    ids_N = noise(50)
    total, count = windowed_loss(MODEL, ids_N, window=8, stride=4, rows=3)
    expected = MODEL.loss(ids_N[:8].tolist())
    for begin in range(4, 50 - 4, 4):
        ids = ids_N[begin : begin + 8].tolist()
        expected += MODEL.loss(ids) - MODEL.loss(ids[:4])
    assert count == 50
    assert total == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("context", ["carried", "fresh", "window:4"])
def test_single_losses_stand_where_their_elements_do(context: str):
    ids_N, seen = noise(60), parse_context(context)
    batches = in_context(ids_N, START, seen, lanes=1, window=7)
    nats_N = element_losses(MODEL, batches, seen, elements=60)
    ids = ids_N.tolist()
    expected = [MODEL.loss(ids[: n + 1]) - MODEL.loss(ids[:n]) for n in range(60)]
    np.testing.assert_allclose(nats_N, expected, atol=1e-5)


@pytest.mark.parametrize("context", ["carried", "fresh", "window:4"])
@pytest.mark.parametrize("lanes", [1, 7])
def test_what_is_given_is_read_and_not_scored(context: str, lanes: int):
    ids_N, seen = noise(100), parse_context(context)
    scored_N = np.random.default_rng(1).random(100) < 0.5
    sizes = {"lanes": lanes, "window": 5, "warm_up": 9}
    plain = in_context(ids_N, START, seen, **sizes)
    expected = element_losses(MODEL, plain, seen, elements=100)
    some = in_context(ids_N, START, seen, **sizes, scored_N=scored_N)
    found = element_losses(MODEL, some, seen, elements=100)
    np.testing.assert_array_equal(np.isnan(found), ~scored_N)
    np.testing.assert_array_equal(found[scored_N], expected[scored_N])


def test_windows_and_rows_leave_out_what_is_given():
    ids_N, scored_N = noise(50), np.arange(50) % 3 == 0
    total, count = windowed_loss(MODEL, ids_N, window=8, stride=4, scored_N=scored_N)
    other, rest = windowed_loss(MODEL, ids_N, window=8, stride=4, scored_N=~scored_N)
    whole, _ = windowed_loss(MODEL, ids_N, window=8, stride=4)
    assert (count, rest) == (17, 33)
    assert total + other == pytest.approx(whole, abs=1e-4)
    assert windowed_loss(MODEL, ids_N, window=8, stride=4, scored_N=scored_N & False) == (0.0, 0)
    seen = parse_context("carried")
    buckets = context_losses(MODEL, ids_N, seen, longest=50, scored_N=scored_N)
    assert sum(bucket.elements for bucket in buckets) == 17
    assert context_losses(MODEL, ids_N, seen, scored_N=scored_N & False) == []


def test_a_place_is_read_once_where_a_text_has_few():
    buckets = context_losses(MODEL, noise(50), parse_context("carried"), rows=64, longest=1024)
    assert sum(bucket.elements for bucket in buckets) == 50


def test_lanes_stand_where_their_elements_do():
    ids_N, seen = noise(100), parse_context("carried")
    plain = element_losses(MODEL, in_context(ids_N, START, seen, lanes=1), seen, elements=100)
    beside = in_context(ids_N, START, seen, lanes=7, window=5, warm_up=9)
    np.testing.assert_allclose(element_losses(MODEL, beside, seen, elements=100), plain, atol=1e-6)


def test_context_losses_follow_rows_from_the_zero_state():
    ids_N = noise(3000)
    buckets = context_losses(MODEL, ids_N, parse_context("carried"), rows=6, longest=700)
    begins = np.linspace(0, 3000 - 700, 6).astype(int)
    first = [MODEL.loss([int(ids_N[begin])]) for begin in begins]
    assert (buckets[0].least, buckets[0].most, buckets[0].elements) == (0, 0, 6)
    assert buckets[0].loss == pytest.approx(np.mean(first), abs=1e-5)
    assert sum(bucket.elements for bucket in buckets) == 6 * 700
    whole = sum(bucket.loss * bucket.elements for bucket in buckets)
    assert whole == pytest.approx(
        sum(MODEL.loss(ids_N[b : b + 700].tolist()) for b in begins), rel=1e-5
    )
    assert [offset for offset, _ in sweep_rows(ids_N, begins, length=700)] == [0, 512]


def test_an_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        interval = interval_of(generator.gamma(2.0, 1.5, 4000).astype(np.float32), START)
        assert interval is not None
        covered += interval.low < 3.0 < interval.high
    assert 0.90 < covered / 300 < 0.985
    assert interval_of(np.ones(100, dtype=np.float32), START) is None


def test_surprises_are_the_dearest_runs_and_do_not_overlap():
    nats_N = np.full(200, 1.0, dtype=np.float32)
    nats_N[50:54], nats_N[120:124], nats_N[90] = 9.0, 5.0, np.nan
    found = surprises(nats_N, START, width=4, most=3)
    assert [(run.begin, run.nats) for run in found[:2]] == [(50, 9.0), (120, 5.0)]
    assert all(not 90 - 4 < run.begin <= 90 for run in found)
    across = surprises(nats_N, np.array([0, 52]), width=4, most=1)
    assert across[0].begin in (48, 52)
    assert surprises(nats_N[:0], START) == []


def test_calibration_by_hand():
    batch = Batch(np.zeros((1, 4)), np.array([[1, 2, 1, 3]]), np.array([[1, 1, 1, 0.0]]))
    top = np.log(np.array([[0.9, 0.9, 0.3, 0.5]], dtype=np.float32))
    looks = Examined(top, np.array([[1, 1, 1, 3]]), top, np.full((1, 4), 0.5, np.float32))
    found = calibration_of([(batch, looks)])
    assert found is not None
    assert (found.elements, found.accuracy, found.entropy) == (3, pytest.approx(2 / 3), 0.5)
    assert found.ece == pytest.approx((abs(1 - 1.8) + abs(1 - 0.3)) / 3, abs=1e-6)
    assert [one.elements for one in found.bins] == [1, 2]
    assert calibration_of([]) is None


def test_a_paired_difference_sees_what_is_there_and_nothing_else():
    generator = np.random.default_rng(2)
    base = generator.gamma(5, 10, 80)
    characters = np.full(80, 50)
    worse = paired_difference(base + generator.normal(1, 1, 80), base, characters)
    assert worse.low is not None
    assert worse.p_value is not None
    assert 0 < worse.low < worse.mean
    assert worse.p_value < 0.001
    same = [
        paired_difference(base + generator.normal(0, 1, 80), base, characters).p_value or 0.0
        for _ in range(40)
    ]
    assert sum(p < 0.05 for p in same) <= 6
    assert paired_difference(base[:5], base[:5], characters[:5]).p_value is None


def test_spelling_is_a_distribution_over_words():
    speller = Speller([" the", "then", "hen", "a"])
    assert speller.nats([]) == 0.0
    assert speller.nats(["then"]) < speller.nats(["nteh"]) < speller.nats(["n\u2603eh"])
    twice = ["nteh", "a", "nteh"]
    assert speller.nats(Counter(twice)) == speller.nats(twice)
    assert speller.nats(["then", "a", "then"]) == pytest.approx(
        2 * speller.nats(["then"]) + speller.nats(["a"])
    )
    letters = "the an"
    short = [x + y for x in ["", *letters] for y in ["", *letters]]
    assert sum(math.exp(-speller.nats([word])) for word in {*short} - {""}) < 1
    plain = Speller(["a", "b"])
    assert plain.nats(["\u2603", "xy"]) == pytest.approx(3 * math.log(CODE_POINTS))
