"""The draw: Philox as published, uniforms that depend on their place alone, and exact inversion."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.bundle import draw
from rhapsode.config import GenerateSettings
from rhapsode.generation import ELEMENT_LANE, Context, chain_of, uniforms
from rhapsode.generation.draw import XTC_LANE, philox
from tests.contracts.filter_contract import logits, probabilities

PROVE = settings(derandomize=True, deadline=None, max_examples=150)
JUST_BELOW_ONE = float(np.nextafter(1.0, 0.0))
UNIFORM = st.sampled_from([0.0, 1e-300, 2.0**-53, 0.5, JUST_BELOW_ONE]) | st.floats(
    0, 1, exclude_max=True, allow_subnormal=False
)

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        0xFFFFFFFF_FFFFFFFF,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0_A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(
    counter: tuple[int, ...], key: int, words: tuple[int, ...]
):
    found = philox(np.array([counter, (9, 9, 9, 9), counter], dtype=np.uint64), key)
    assert found.dtype == np.uint64
    assert found[0].tolist() == list(words)
    assert found[2].tolist() == list(words)
    assert found[1].tolist() != list(words)


def one(seed: int, sequence: int, position: int, lane: int = ELEMENT_LANE) -> float:
    (uniform,) = uniforms(seed, np.array([sequence]), np.array([position]), lane)
    return float(uniform)


def test_the_first_uniform_of_seed_zero_is_made_of_the_published_words():
    assert one(0, 0, 0) == ((0x6627E8D5 >> 5) * 2**26 + (0xE169C58D >> 6)) / 2**53


@pytest.mark.parametrize(
    ("seed", "sequence", "position", "lane", "uniform"),
    [
        (0, 0, 1, 0, 0.9722412032044762),
        (0, 1, 0, 0, 0.5166791672979152),
        (1, 0, 0, 0, 0.8902591757080309),
        (0, 0, 0, 1, 0.17893146779634694),
        (42, 3, 1000, 0, 0.32451856148038216),
        (9223372036854775807, 4294967295, 4294967301, 2, 0.126515686124827),
    ],
)
def test_uniforms_never_change_between_releases(
    seed: int, sequence: int, position: int, lane: int, uniform: float
):
    assert one(seed, sequence, position, lane) == uniform


def test_a_uniform_belongs_to_seed_sequence_position_and_lane():
    seeds = (0, 1, 2**32, 2**63 - 1, 2**64 - 1)
    sequences = (0, 1, 2, 2**31, 2**32 - 1)
    positions = (0, 1, 2, 1000, 2**32, 2**40)
    lanes = (0, 1, 2)
    found = {
        one(seed, sequence, position, lane)
        for seed, sequence, position, lane in itertools.product(seeds, sequences, positions, lanes)
    }
    assert len(found) == len(seeds) * len(sequences) * len(positions) * len(lanes)


@PROVE
@given(
    seed=st.integers(0, 2**64 - 1),
    places=st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**62)), min_size=1, max_size=8
    ),
)
def test_a_uniform_does_not_depend_on_its_company(seed: int, places: list[tuple[int, int]]):
    sequence_B, position_B = (
        np.array(column, dtype=np.int64) for column in zip(*places, strict=True)
    )
    together_B = uniforms(seed, sequence_B, position_B)
    assert ((together_B >= 0) & (together_B < 1)).all()
    assert (together_B * 2.0**53 == np.floor(together_B * 2.0**53)).all()
    assert together_B.tolist() == [one(seed, *place) for place in places]


SAMPLES = 100_000


@pytest.fixture(scope="module", params=["positions", "sequences"])
def sample_N(request: pytest.FixtureRequest) -> np.ndarray:
    """Uniforms along one sequence, and the first uniforms of many."""
    running_N = np.arange(SAMPLES, dtype=np.int64)
    still_N = np.full(SAMPLES, 3, dtype=np.int64)
    if request.param == "positions":
        return uniforms(42, still_N, running_N)
    return uniforms(42, running_N, still_N)


def chi_square_is_plausible(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether counts are within four and a half deviations of what they should be."""
    statistic = ((found - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    return abs(statistic - freedom) < 4.5 * np.sqrt(2 * freedom)


def test_uniforms_are_uniform(sample_N: np.ndarray):
    assert sample_N.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * SAMPLES))
    assert sample_N.var() == pytest.approx(1 / 12, abs=4 / np.sqrt(180 * SAMPLES))
    for bins in (2, 10, 256, 1000):
        found = np.bincount((sample_N * bins).astype(np.int64), minlength=bins)
        assert chi_square_is_plausible(found, np.full(bins, SAMPLES / bins))
    assert len(np.unique(sample_N)) == SAMPLES


def test_neighbouring_uniforms_are_independent(sample_N: np.ndarray):
    for apart in (1, 2, 4):
        pair = np.corrcoef(sample_N[:-apart], sample_N[apart:])[0, 1]
        assert abs(pair) < 4 / np.sqrt(SAMPLES)
    cells = (sample_N[:-1:2] * 16).astype(int) * 16 + (sample_N[1::2] * 16).astype(int)
    found = np.bincount(cells, minlength=256)
    assert chi_square_is_plausible(found, np.full(256, len(cells) / 256))


def test_the_low_bits_are_random_too(sample_N: np.ndarray):
    words_N = (sample_N * 2.0**53).astype(np.uint64)
    for bit in range(53):
        ones = int(((words_N >> np.uint64(bit)) & np.uint64(1)).sum())
        assert abs(ones - SAMPLES / 2) < 4.5 * np.sqrt(SAMPLES / 4)


@pytest.mark.parametrize(
    ("uniform", "element"),
    [
        (0.0, 0),
        (0.0999, 0),
        (0.1001, 1),
        (0.2999, 1),
        (0.3001, 2),
        (0.5999, 2),
        (0.6001, 3),
        (JUST_BELOW_ONE, 3),
    ],
)
def test_inversion_at_literal_places(uniform: float, element: int):
    logits_BV = np.log(np.array([[0.1, 0.2, 0.3, 0.4]])).astype(np.float32)
    assert draw(logits_BV, np.array([uniform])).tolist() == [element]
    assert draw(logits_BV + np.float32(100), np.array([uniform])).tolist() == [element]


@pytest.mark.parametrize(
    ("uniform", "element"),
    [
        (0.0, 1),
        (float(np.nextafter(0.25, 0)), 1),
        (0.25, 3),
        (float(np.nextafter(0.5, 0)), 3),
        (0.5, 4),
        (0.75, 6),
        (JUST_BELOW_ONE, 6),
    ],
)
def test_inversion_is_exact_at_the_edges(uniform: float, element: int):
    gap = -np.inf
    logits_BV = np.array([[gap, 2, gap, 2, 2, gap, 2, gap, gap]], dtype=np.float32)
    assert draw(logits_BV, np.array([uniform])).tolist() == [element]


def test_a_uniform_that_was_rounded_to_one_draws_the_last_candidate():
    logits_BV = np.array([[0, 1, -np.inf, 0, -np.inf]], dtype=np.float32)
    assert draw(logits_BV, np.array([1.0])).tolist() == [3]


@PROVE
@given(
    logits_BV=logits(),
    data=st.data(),
)
def test_nothing_without_probability_is_ever_drawn(logits_BV: np.ndarray, data):
    rows = len(logits_BV)
    order = data.draw(st.permutations(range(logits_BV.shape[1])))
    logits_BV = logits_BV[:, order]
    uniform_B = np.array(data.draw(st.lists(UNIFORM, min_size=rows, max_size=rows)))
    logits_BV.flags.writeable = False
    element_B = draw(logits_BV, uniform_B)
    assert element_B.dtype == np.int64
    share_BV = probabilities(logits_BV)
    for row, element in enumerate(element_B):
        assert share_BV[row, element] > 0
        below = share_BV[row, :element].sum()
        assert below <= uniform_B[row] + 1e-12
        assert uniform_B[row] <= below + share_BV[row, element] + 1e-12


@PROVE
@given(
    logits_BV=logits(rows=1),
    first=UNIFORM,
    second=UNIFORM,
)
def test_a_larger_uniform_never_draws_a_lower_id(
    logits_BV: np.ndarray, first: float, second: float
):
    low, high = draw(
        np.repeat(logits_BV, 2, axis=0), np.array([min(first, second), max(first, second)])
    )
    assert low <= high


def test_a_vocabulary_of_one():
    assert draw(np.array([[-7.0]], dtype=np.float32), np.array([0.3])).tolist() == [0]


SHARES = [0.0, 0.2, 0.1, 0.3, 0.15, 0.25]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, SHARES),
        ({"temperature": 0.5}, [0.0, 0.04, 0.01, 0.09, 0.0225, 0.0625]),
        ({"temperature": 3.0}, np.cbrt(SHARES)),
        # The entropy is 1.5444 and its largest value log 5: the share of the way is 0.9596.
        ({"dynatemp_low": 0.5, "dynatemp_high": 1.0}, np.power(SHARES, 1 / 0.979791)),
        ({"top_k": 3}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        ({"top_p": 0.6}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        ({"temperature": 2.0, "top_k": 4, "top_p": 0.5}, [0.0, 0.0, 0.0, 0.3**0.5, 0.0, 0.5]),
        ({"min_p": 0.6}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        # Surprises 1.609 2.303 1.204 1.897 1.386 lie .065 .758 .340 .353 .158 from the entropy.
        ({"typical_p": 0.7}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        ({"typical_p": 0.4}, [0.0, 0.2, 0.0, 0.0, 0.0, 0.25]),
        ({"epsilon_cutoff": 0.16}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        # sqrt(0.5) exp(-1.5444) = 0.1509.
        ({"eta_cutoff": 0.5}, [0.0, 0.2, 0.0, 0.3, 0.0, 0.25]),
        # Finite logits deviate by 0.3823: the bound is a probability of 0.3 exp(-0.3823) = 0.2047.
        ({"top_n_sigma": 1.0}, [0.0, 0.0, 0.0, 0.3, 0.0, 0.25]),
        ({"xtc_probability": 1.0, "xtc_threshold": 0.18}, [0.0, 0.2, 0.1, 0.0, 0.15, 0.0]),
        # Half of the time from all five, half of the time without 0.3 and 0.25.
        (
            {"xtc_probability": 0.5, "xtc_threshold": 0.18},
            [0.0, 0.1 + 0.2 / 0.9, 0.05 + 0.1 / 0.9, 0.15, 0.075 + 0.15 / 0.9, 0.125],
        ),
        ({"mirostat_tau": 1.1}, [0.0, 0.0, 0.0, 0.3, 0.0, 0.25]),
        # Read: 3 3 2 1 3; written: 3 3 1.
        ({"repetition_penalty": 2.0}, [0.0, 0.04, 0.01, 0.09, 0.15, 0.25]),
        (
            {"frequency_penalty": 0.5},
            [0.0, 0.2 * np.exp(-0.5), 0.1, 0.3 * np.exp(-1), 0.15, 0.25],
        ),
        (
            {"presence_penalty": 0.5},
            [0.0, 0.2 * np.exp(-0.5), 0.1, 0.3 * np.exp(-0.5), 0.15, 0.25],
        ),
        ({"no_repeat_ngram": 2}, [0.0, 0.2, 0.1, 0.0, 0.15, 0.25]),
        (
            {"dry_multiplier": 0.5, "dry_allowed_length": 1},
            [0.0, 0.2, 0.1, 0.3 * np.exp(-0.5), 0.15, 0.25],
        ),
    ],
    ids=str,
)
def test_frequencies_are_the_exact_distribution(asked: dict[str, float], expected: list[float]):
    count = 40_000
    with np.errstate(divide="ignore"):
        logits_1V = np.log(np.array([SHARES])).astype(np.float32)
    chain = chain_of(GenerateSettings(**asked), vocab_size=6, suppressed=(0,))
    still_N = np.zeros(count, dtype=np.int64)
    context = Context(
        (np.array([3, 3, 2, 1, 3]),) * count,
        (np.array([3, 3, 1]),) * count,
        still_N,
        np.arange(count),
        seed=7,
    )
    filtered_NV, _ = chain.apply(np.repeat(logits_1V, count, axis=0), context, chain.init(count))
    uniform_N = uniforms(7, context.sequence_B, still_N)
    found_V = np.bincount(draw(filtered_NV, uniform_N), minlength=6)
    share_V = np.array(expected) / np.sum(expected)
    possible_V = share_V > 0
    assert found_V[~possible_V].sum() == 0
    assert chi_square_is_plausible(found_V[possible_V], share_V[possible_V] * count)


def test_the_coins_of_xtc_are_other_ones_than_the_draws():
    sequence_N, position_N = np.arange(10_000), np.zeros(10_000, dtype=np.int64)
    coins_N = uniforms(7, sequence_N, position_N, XTC_LANE)
    assert abs(np.corrcoef(coins_N, uniforms(7, sequence_N, position_N))[0, 1]) < 0.04
