"""The reference filters: the contract, the oracle, extremes through whole chains, and settings in words."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.config import GenerateSettings
from rhapsode.errors import SettingsError
from rhapsode.generation import FILTERS, STEPS, Chain, Context, Filter, chain_of
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.repeats import Dry, Frequency, NoRepeatNgram, Presence, Repetition
from rhapsode.generation.filters.temperature import DynamicTemperature, Temperature
from rhapsode.generation.filters.truncation import (
    Epsilon,
    Eta,
    MinP,
    Mirostat,
    TopK,
    TopNSigma,
    TopP,
    Typical,
    Xtc,
)
from tests.contracts.filter_contract import (
    ORACLE,
    PROVE,
    VOCAB_SIZE,
    ChainContract,
    FilterContract,
    context_of,
    logits,
    probabilities,
)


class TestTemperature(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        Temperature(value) for value in (0.0, 1e-6, 1e-5, 0.01, 0.5, 1.0, 2.0, 1e6)
    ]


class TestDynamicTemperature(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        DynamicTemperature(0.0, 0.0),
        DynamicTemperature(0.0, 1e-6),
        DynamicTemperature(0.0, 1e6, 0.01),
        DynamicTemperature(0.5, 1.5),
        DynamicTemperature(1e-5, 3.0, 100.0),
    ]


class TestTopK(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [TopK(k) for k in (0, 1, 2, 5, 6, 7, 10**9)]


class TestTopP(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        TopP(p) for p in (0.0, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-12, 1.0)
    ]


class TestMinP(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [MinP(m) for m in (0.0, 1e-30, 0.05, 0.5, 1.0)]


class TestTypical(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [Typical(p) for p in (0.0, 1e-12, 0.2, 0.95, 1.0)]
    monotone = False


class TestEpsilon(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [Epsilon(e) for e in (0.0, 1e-30, 0.0003, 0.3, 0.999)]


class TestEta(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [Eta(e) for e in (0.0, 1e-30, 0.0003, 0.3, 0.999)]


class TestTopNSigma(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [TopNSigma(n) for n in (0.0, 1e-9, 0.5, 1.0, 1000.0)]


class TestXtc(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        Xtc(0.0, 0.1),
        Xtc(1.0, 0.0),
        Xtc(1.0, 0.1),
        Xtc(0.5, 0.2),
        Xtc(1.0, 0.1, (0, 3)),
        Xtc(1.0, 1.0),
    ]
    monotone = False


class TestMirostat(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        Mirostat(tau, eta) for tau, eta in ((0.0, 0.1), (1e-9, 1.0), (0.7, 1.0), (5.0, 0.1))
    ]


class TestRepetition(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        *(Repetition(r) for r in (0.01, 0.5, 1.0, 1.1, 100.0)),
        Repetition(1.3, 3, (0, 2)),
    ]


class TestFrequency(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        *(Frequency(f) for f in (-2.0, -0.1, 0.0, 0.5, 2.0)),
        Frequency(0.5, 3, (1,)),
    ]


class TestPresence(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        *(Presence(p) for p in (-2.0, -0.1, 0.0, 0.5, 2.0)),
        Presence(0.5, 1),
    ]


class TestNoRepeatNgram(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [NoRepeatNgram(n) for n in (0, 1, 2, 3, 2**31 - 1)]


class TestDry(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        Dry(0.0),
        Dry(0.8),
        Dry(1e-30, 1.0, 1),
        Dry(1e6, 1e6, 1),
        Dry(0.8, 1.75, 1, (0, 3)),
        Dry(0.8, 1.75, 2**31 - 1),
    ]


class TestSuppress(FilterContract):
    filters: ClassVar[Sequence[Filter]] = [
        Suppress(elements, VOCAB_SIZE) for elements in ((), (1,), (5, 1, 1), (1, 2, 3, 4, 5))
    ]
    monotone = False


class TestChain(ChainContract):
    def filtered(
        self,
        logits_TBV: Sequence[np.ndarray],
        contexts_T: Sequence[Context],
        steps: Sequence[tuple[str, Any]],
    ) -> np.ndarray:
        vocab_size = logits_TBV[0].shape[1]
        chain = Chain([self.step(name, value, vocab_size) for name, value in steps])
        states = chain.init(len(logits_TBV[0]))
        for logits_BV, context in zip(logits_TBV, contexts_T, strict=True):
            after_BV, states = chain.apply(logits_BV, context, states)
        return after_BV

    def step(self, name: str, value: Any, vocab_size: int) -> Filter:
        if name == "suppress":
            return Suppress(tuple(value), vocab_size)
        return FILTERS.get(name)(**value) if isinstance(value, dict) else FILTERS.get(name)(value)


def test_every_step_has_literal_outcomes_also_in_a_batch_and_behind_a_removal():
    assert set(STEPS) <= {full.partition(".")[0] for full in FILTERS.names()}
    alone = [{name for name, _ in case["steps"]} for case in ORACLE]
    assert {"suppress", *STEPS} <= set().union(*alone)
    batches = [case for case in ORACLE if len(case["expected"]) > 1]
    assert set(STEPS) <= {name for case in batches for name, _ in case["steps"]}


def apply(chain: Chain, logits_BV: np.ndarray) -> np.ndarray:
    rows = len(logits_BV)
    after_BV, _ = chain.apply(logits_BV, context_of(rows), chain.init(rows))
    return after_BV


@PROVE
@given(
    logits_BV=logits(),
    temperature=st.sampled_from([0.0, 1e-6, 1e-5, 0.3, 1.0, 7.0, 1e6]),
    top_k=st.integers(0, 8),
    top_p=st.sampled_from([0.0, 1e-9, 0.3, 0.7, 1 - 1e-9, 1.0]),
    suppressed=st.lists(st.integers(1, VOCAB_SIZE - 1), max_size=5),
)
def test_a_whole_chain_always_leaves_a_distribution(
    logits_BV: np.ndarray, temperature: float, top_k: int, top_p: float, suppressed: list[int]
):
    asked = GenerateSettings(temperature=temperature, top_k=top_k, top_p=top_p)
    chain = chain_of(asked, vocab_size=VOCAB_SIZE, suppressed=suppressed)
    given_BV = logits_BV.copy()
    given_BV.flags.writeable = False
    after_BV = apply(chain, given_BV)
    assert after_BV.dtype == np.float32
    kept_BV = np.isfinite(after_BV)
    assert kept_BV.any(axis=1).all()
    assert not kept_BV[:, suppressed].any()
    if top_k:
        assert kept_BV.sum(axis=1).max() <= top_k
    if temperature < 1e-5:
        assert kept_BV.sum(axis=1).tolist() == [1] * len(logits_BV)
    share_BV = probabilities(after_BV)
    assert np.isfinite(share_BV).all()
    np.testing.assert_allclose(share_BV.sum(axis=1), 1.0)


@PROVE
@given(logits_BV=logits(), p=st.floats(0.01, 0.99, allow_subnormal=False))
def test_top_p_keeps_the_smallest_set_with_that_mass(logits_BV: np.ndarray, p: float):
    after_BV = apply(Chain([TopP(p)]), logits_BV)
    for share_V, kept_V in zip(probabilities(logits_BV), np.isfinite(after_BV), strict=True):
        assert share_V[kept_V].sum() >= p - 1e-9
        assert share_V[kept_V].sum() - share_V[kept_V].min() < p + 1e-9


@PROVE
@given(logits_BV=logits(), k=st.integers(1, VOCAB_SIZE))
def test_top_k_keeps_exactly_k_of_what_is_left_and_their_logits(logits_BV: np.ndarray, k: int):
    after_BV = apply(Chain([TopK(k)]), logits_BV)
    for before_V, after_V in zip(logits_BV, after_BV, strict=True):
        kept_V = np.isfinite(after_V)
        assert kept_V.sum() == min(k, np.isfinite(before_V).sum())
        np.testing.assert_array_equal(after_V[kept_V], before_V[kept_V])
        best = sorted(range(VOCAB_SIZE), key=lambda element: (-before_V[element], element))[:k]
        assert set(np.flatnonzero(kept_V)) <= set(best)


def test_a_probability_of_1e_30_is_kept_and_weighed():
    logits_BV = np.log(np.array([[1.0, 1e-30]])).astype(np.float32)
    asked = GenerateSettings(temperature=2.0)
    after_BV = apply(chain_of(asked, vocab_size=2, suppressed=()), logits_BV)
    assert probabilities(after_BV)[0, 1] == pytest.approx(1e-15, rel=1e-4)


def test_an_empty_chain_changes_nothing():
    logits_BV = np.array([[1.0, 2.0]], dtype=np.float32)
    np.testing.assert_array_equal(apply(Chain([]), logits_BV), logits_BV)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Temperature(-0.1), "temperature -0.1"),
        (lambda: Temperature(float("nan")), "temperature nan"),
        (lambda: Temperature(float("inf")), "temperature inf"),
        (lambda: TopK(-1), "top_k -1 is negative"),
        (lambda: TopP(-0.1), "top_p -0.1 is not between 0 and 1"),
        (lambda: TopP(1.5), "top_p 1.5 is not between 0 and 1"),
        (lambda: TopP(float("nan")), "top_p nan is not between 0 and 1"),
        (lambda: Suppress((0, 1, 2), 3), "every element is suppressed"),
    ],
)
def test_values_out_of_range_are_refused(build: Any, message: str):
    with pytest.raises(SettingsError) as caught:
        build()
    assert message in str(caught.value)
