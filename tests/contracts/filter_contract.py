"""What every filter keeps whatever the logits, and the literal outcomes that every form of a chain must give."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.generation import Context, Filter

ORACLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "oracle" / "filters.json").read_text(encoding="utf-8")
)["cases"]

PROVE = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)

VOCAB_SIZE = 6
LOGIT = (
    st.sampled_from([0.0, 1.0, -1.0, 3.0, 1e4, -1e4, math.log(1e-30), -np.inf])
    | st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
    | st.floats(-3, 3, width=32, allow_subnormal=False)
)

CANDIDATE = LOGIT.filter(np.isfinite)
ROW = (
    st.tuples(CANDIDATE, *[LOGIT] * (VOCAB_SIZE - 1))
    | CANDIDATE.map(lambda logit: (logit,) * VOCAB_SIZE)
    | CANDIDATE.map(lambda logit: (logit,) + (-np.inf,) * (VOCAB_SIZE - 1))
)
# Strategies are made once: making one takes longer than drawing from it.
IDS = st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=8)
IDS_OFTEN_REPEATED = IDS | st.lists(st.integers(0, 1), max_size=8)
SEQUENCE, SEED = st.integers(0, 9), st.integers(0, 3)


def logits(rows: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Logits (B, V) in which element 0 is always a candidate: ties, extremes, gaps, all equal, one left."""
    return st.lists(ROW, min_size=1, max_size=rows).map(
        lambda drawn: np.array(drawn, dtype=np.float32)
    )


def context_of(rows: int, position: int = 0) -> Context:
    """A context in which nothing has been written."""
    nothing = (np.empty(0, dtype=np.int64),) * rows
    return Context(
        nothing,
        nothing,
        np.full(rows, position, dtype=np.int64),
        np.arange(rows, dtype=np.int64),
        seed=0,
    )


@st.composite
def contexts(draw: st.DrawFn, rows: int) -> Context:
    """A context in which something has been read and written, of another length in every row."""
    texts = [
        tuple(np.array(draw(IDS_OFTEN_REPEATED), dtype=np.int64) for _ in range(rows))
        for _ in range(2)
    ]
    position_B = np.array([len(output) for output in texts[1]], dtype=np.int64)
    sequence_B = np.array(draw(st.lists(SEQUENCE, min_size=rows, max_size=rows)), dtype=np.int64)
    return Context(texts[0], texts[1], position_B, sequence_B, draw(SEED))


def rows_of(context: Context, rows_R: Sequence[int]) -> Context:
    """Some rows of a context."""
    picked_R = np.array(rows_R, dtype=np.int64)
    return Context(
        tuple(context.prompt[row] for row in rows_R),
        tuple(context.output[row] for row in rows_R),
        context.position_B[picked_R],
        context.sequence_B[picked_R],
        context.seed,
    )


def with_written(context: Context, elements: Sequence[int]) -> Context:
    """The context one element later."""
    output = tuple(
        np.append(written, element)
        for written, element in zip(context.output, elements, strict=True)
    )
    return Context(context.prompt, output, context.position_B + 1, context.sequence_B, context.seed)


def probabilities(logits_BV: np.ndarray) -> np.ndarray:
    """The distribution that logits stand for, float64."""
    wide_BV = logits_BV.astype(np.float64)
    weight_BV = np.exp(wide_BV - wide_BV.max(axis=1, keepdims=True))
    return weight_BV / weight_BV.sum(axis=1, keepdims=True)


class FilterContract:
    """A subclass lists filters for a vocabulary of `VOCAB_SIZE` elements that leave element 0 alone when it can.

    Where a filter looks at more than how likely an element is, `monotone` is False.
    """

    filters: ClassVar[Sequence[Filter]]
    monotone: ClassVar[bool] = True

    def applied(
        self, step: Filter, logits_BV: np.ndarray, context: Context | None = None
    ) -> np.ndarray:
        """One application from a fresh state, to logits that cannot be written to."""
        given_BV = logits_BV.copy()
        given_BV.flags.writeable = False
        rows = len(logits_BV)
        after_BV, _ = step.apply(given_BV, context or context_of(rows), step.init(rows))
        np.testing.assert_array_equal(given_BV, logits_BV)
        return after_BV

    @PROVE
    @given(logits_BV=logits(), data=st.data())
    def test_what_comes_out_can_be_drawn_from(self, logits_BV: np.ndarray, data):
        context = data.draw(contexts(len(logits_BV)))
        for step in self.filters:
            after_BV = self.applied(step, logits_BV, context)
            assert after_BV.dtype == np.float32
            assert after_BV.shape == logits_BV.shape
            assert not np.isnan(after_BV).any()
            assert not np.isposinf(after_BV).any()
            assert np.isfinite(after_BV).any(axis=1).all()

    @PROVE
    @given(logits_BV=logits(), data=st.data())
    def test_what_was_removed_stays_removed(self, logits_BV: np.ndarray, data):
        context = data.draw(contexts(len(logits_BV)))
        for step in self.filters:
            after_BV = self.applied(step, logits_BV, context)
            assert np.isneginf(after_BV[np.isneginf(logits_BV)]).all()

    @PROVE
    @given(logits_BV=logits(), data=st.data())
    def test_rows_do_not_see_each_other(self, logits_BV: np.ndarray, data):
        context = data.draw(contexts(len(logits_BV)))
        for step in self.filters:
            together_BV = self.applied(step, logits_BV, context)
            for row, alone_V in enumerate(together_BV):
                np.testing.assert_array_equal(
                    self.applied(step, logits_BV[row : row + 1], rows_of(context, [row])),
                    alone_V[None],
                )

    @PROVE
    @given(logits_BV=logits())
    def test_a_likelier_candidate_is_never_removed_before_a_less_likely_one(
        self, logits_BV: np.ndarray
    ):
        if not self.monotone:
            return
        for step in self.filters:
            for before_V, after_V in zip(logits_BV, self.applied(step, logits_BV), strict=True):
                kept = np.isfinite(after_V)
                if not kept.all():
                    assert before_V[kept].min() >= before_V[~kept].max()
                order = np.argsort(-before_V[kept], kind="stable")
                assert (np.diff(after_V[kept][order]) <= 0).all()

    @PROVE
    @given(logits_BV=logits(), data=st.data())
    def test_a_state_is_selected_and_forked_with_its_rows(self, logits_BV: np.ndarray, data):
        rows = len(logits_BV)
        rows_R = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=4))
        first = data.draw(contexts(rows))
        element = st.integers(0, VOCAB_SIZE - 1)
        two, three, other = (
            data.draw(st.lists(element, min_size=rows, max_size=rows)) for _ in range(3)
        )
        second = with_written(first, two)
        third, elsewhere = with_written(second, three), with_written(second, other)
        for step in self.filters:
            _, state = step.apply(logits_BV, first, step.init(rows))
            _, state = step.apply(logits_BV, second, state)
            twin = step.fork(state)
            picked = step.select(step.fork(twin), np.array(rows_R, dtype=np.int64))
            expected_BV, _ = step.apply(logits_BV, third, state)
            # What one copy goes through, another does not see.
            step.apply(logits_BV, elsewhere, step.fork(twin))
            step.apply(
                logits_BV[rows_R], rows_of(elsewhere, rows_R), step.select(twin, np.array(rows_R))
            )
            again_BV, _ = step.apply(logits_BV, third, twin)
            np.testing.assert_array_equal(again_BV, expected_BV)
            picked_RV, _ = step.apply(logits_BV[rows_R], rows_of(third, rows_R), picked)
            np.testing.assert_array_equal(picked_RV, expected_BV[rows_R])

    def test_every_filter_says_what_it_does(self):
        for step in self.filters:
            assert step.explain().startswith(step.name)
            assert step.explain().isprintable()


class ChainContract:
    """A subclass applies a chain, given as (name, argument) pairs in order, in its own way.

    An argument is a value, or the filter's arguments by name.
    """

    def filtered(
        self,
        logits_TBV: Sequence[np.ndarray],
        contexts_T: Sequence[Context],
        steps: Sequence[tuple[str, Any]],
    ) -> np.ndarray:
        """Logits after the chain at the last of several choices, -inf where an element was removed."""
        raise NotImplementedError

    @pytest.mark.parametrize("case", ORACLE, ids=lambda case: case["name"])
    def test_the_outcome_is_the_literal_one(self, case: dict[str, Any]):
        choices = [*case.get("before", []), case]
        logits_TBV = [logits_of(choice) for choice in choices]
        rows = len(logits_TBV[0])
        texts = [
            tuple(np.array(ids, dtype=np.int64) for ids in case.get(part, [[]] * rows))
            for part in ("prompt", "output")
        ]
        context = Context(
            texts[0],
            texts[1],
            np.array(case.get("position", [0] * rows), dtype=np.int64),
            np.array(case.get("sequence", range(rows)), dtype=np.int64),
            case.get("seed", 0),
        )
        contexts_T = [context]
        for choice in choices[:-1]:
            contexts_T.append(with_written(contexts_T[-1], choice["chosen"]))
        expected_BV = np.array(case["expected"])
        steps = [(name, value) for name, value in case["steps"]]
        after_BV = self.filtered(logits_TBV, contexts_T, steps)
        if not case.get("underflow"):
            np.testing.assert_array_equal(np.isneginf(after_BV), expected_BV == 0)
        np.testing.assert_allclose(
            probabilities(after_BV), expected_BV, rtol=case.get("rtol", 2e-6), atol=0
        )


def logits_of(choice: dict[str, Any]) -> np.ndarray:
    """The logits of one choice of the oracle."""
    if "logits" in choice:
        rows = [[-np.inf if z is None else z for z in row] for row in choice["logits"]]
        return np.array(rows, dtype=np.float32)
    with np.errstate(divide="ignore"):
        return np.log(np.array(choice["probabilities"])).astype(np.float32)
