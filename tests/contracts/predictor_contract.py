"""What every predictor proves, whatever computes it: reading in one call or in many is the same, scores are the
log-probabilities that it would have given one by one, rows never meet, forked rows go on alike.

An engine claims the contract with a subclass that makes a predictor::

    class TestCompiledPredictor(PredictorContract):
        def make(self): ...

Nothing here needs torch.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.data import Batch

ROWS = 3
TIME = 9
# Engines read long texts in chunks: these end just behind, and far from, the likely ends of one.
LONG = (257, 1025, 1500)

few_examples = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors],
)
cut_lists = st.lists(st.booleans(), min_size=TIME - 1, max_size=TIME - 1)
reset_grids = st.lists(
    st.lists(st.booleans(), min_size=TIME, max_size=TIME), min_size=ROWS, max_size=ROWS
)


def log_softmax(logits_BV: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities (nats)."""
    shifted_BV = logits_BV.astype(np.float64) - logits_BV.max(axis=-1, keepdims=True)
    return shifted_BV - np.log(np.exp(shifted_BV).sum(axis=-1, keepdims=True))


def batch_of(ids_BT: NDArray[np.int64], reset_BT: NDArray[np.bool_] | None = None) -> Batch:
    """Every element but the first as the target of the one before it."""
    weights_BT = np.ones(ids_BT[:, 1:].shape, dtype=np.float32)
    return Batch(ids_BT[:, :-1], ids_BT[:, 1:], weights_BT, reset_BT)


class PredictorContract(ABC):
    """The suite. `tolerance` is what two ways to the same logits may differ by."""

    tolerance: ClassVar[float] = 1e-5

    @abstractmethod
    def make(self) -> Predictor:
        """A predictor whose distributions depend on what it has read."""

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[np.int64]:
        random = np.random.default_rng(seed)
        return random.integers(predictor.vocab_size, size=(rows, time), dtype=np.int64)

    def assert_close(self, found: NDArray[Any], wanted: NDArray[Any]) -> None:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=self.tolerance)

    def assert_goes_on_alike(self, predictor: Predictor, one: Any, other: Any, rows: int) -> None:
        more_BT = self.elements(predictor, 3, rows, seed=9)
        self.assert_close(predictor.advance(more_BT, one)[0], predictor.advance(more_BT, other)[0])

    def one_by_one(self, predictor: Predictor, ids_BT: NDArray[np.int64], state: Any) -> Any:
        """Log-probabilities (B, T, V) of what follows each element, and the state behind them."""
        following = []
        for t in range(ids_BT.shape[1]):
            logits_BV, state = predictor.advance(ids_BT[:, t : t + 1], state)
            following.append(log_softmax(logits_BV))
        return np.stack(following, axis=1), state

    def at_targets(self, log_prob_BTV: NDArray[Any], targets_BT: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(log_prob_BTV, targets_BT[..., None], axis=-1)[..., 0]

    # Distributions

    def test_the_distribution_is_over_the_vocabulary(self) -> None:
        predictor = self.make()
        for time in (1, TIME):
            logits_BV, _ = predictor.advance(self.elements(predictor, time), predictor.start(ROWS))
            assert logits_BV.shape == (ROWS, predictor.vocab_size)
            assert logits_BV.dtype == np.float32
            assert np.isfinite(logits_BV).all()

    def test_the_distribution_depends_on_what_was_read(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor, TIME, rows=8)
        logits_BV, _ = predictor.advance(ids_BT, predictor.start(8))
        assert len(np.unique(logits_BV.round(3), axis=0)) > 1

    def test_scores_of_all_elements_are_one_in_total(self) -> None:
        predictor = self.make()
        vocabulary = predictor.vocab_size
        ids_BT = np.repeat(self.elements(predictor, rows=1), vocabulary, axis=0)
        ids_BT[:, -1] = np.arange(vocabulary)
        scores_BT, _ = predictor.score(batch_of(ids_BT))
        assert np.exp(scores_BT[:, -1].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)

    # One call or many

    @few_examples
    @given(cuts=cut_lists)
    @example(cuts=[True] * (TIME - 1))
    def test_reading_at_once_equals_reading_in_pieces(self, cuts: list[bool]) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor)
        wanted_BV, behind = predictor.advance(ids_BT, predictor.start(ROWS))
        state = predictor.start(ROWS)
        ends = [t + 1 for t, cut in enumerate(cuts) if cut]
        for start, end in zip([0, *ends], [*ends, TIME], strict=True):
            logits_BV, state = predictor.advance(ids_BT[:, start:end], state)
        self.assert_close(logits_BV, wanted_BV)
        self.assert_goes_on_alike(predictor, state, behind, ROWS)

    @pytest.mark.parametrize("time", LONG)
    def test_a_long_text_at_once_equals_reading_in_pieces(self, time: int) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor, time, rows=2)
        wanted_BV, behind = predictor.advance(ids_BT, predictor.start(2))
        state = predictor.start(2)
        for start in range(0, time, 37):
            logits_BV, state = predictor.advance(ids_BT[:, start : start + 37], state)
        self.assert_close(logits_BV, wanted_BV)
        self.assert_goes_on_alike(predictor, state, behind, 2)

    # Scores

    @pytest.mark.parametrize("carried", [False, True])
    def test_a_score_is_the_log_probability_of_each_target(self, carried: bool) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor)
        before = predictor.start(ROWS)
        if carried:
            _, before = predictor.advance(self.elements(predictor, 5, seed=1), before)
        wanted_BTV, _ = self.one_by_one(predictor, ids_BT[:, :-1], before.fork())
        scores_BT, _ = predictor.score(batch_of(ids_BT), before if carried else None)
        assert scores_BT.shape == (ROWS, TIME - 1)
        assert scores_BT.dtype == np.float32
        self.assert_close(scores_BT, self.at_targets(wanted_BTV, ids_BT[:, 1:]))

    def test_scores_carry_on_from_batch_to_batch(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor, 3 * TIME)
        whole_BT, behind = predictor.score(batch_of(ids_BT))
        pieces, state = [], None
        for start, end in ((0, 1), (1, 8), (8, 20), (20, 3 * TIME - 1)):
            scores_BT, state = predictor.score(batch_of(ids_BT[:, start : end + 1]), state)
            pieces.append(scores_BT)
        self.assert_close(np.concatenate(pieces, axis=1), whole_BT)
        self.assert_goes_on_alike(predictor, state, behind, ROWS)

    def test_scoring_and_reading_share_their_states(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor)
        _, scored = predictor.score(batch_of(ids_BT))
        _, read = predictor.advance(ids_BT[:, :-1], predictor.start(ROWS))
        self.assert_goes_on_alike(predictor, scored, read, ROWS)

    def test_an_examined_batch_tells_of_the_distributions_it_was_scored_with(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor)
        wanted_BTV, _ = self.one_by_one(predictor, ids_BT[:, :-1], predictor.start(ROWS))
        examined, behind = predictor.examine(batch_of(ids_BT), None)
        scores_BT, scored = predictor.score(batch_of(ids_BT))
        self.assert_close(examined.log_prob_BT, scores_BT)
        self.assert_close(examined.top_log_prob_BT, wanted_BTV.max(axis=-1))
        self.assert_close(self.at_targets(wanted_BTV, examined.top_BT), wanted_BTV.max(axis=-1))
        entropy_BT = -(np.exp(wanted_BTV) * wanted_BTV).sum(axis=-1)
        np.testing.assert_allclose(examined.entropy_BT, entropy_BT, atol=1e-4)
        self.assert_goes_on_alike(predictor, behind, scored, ROWS)

    @few_examples
    @given(resets=reset_grids)
    @example(resets=[[True] * TIME] * ROWS)
    @example(resets=[[True] + [False] * (TIME - 1)] * ROWS)
    def test_a_reset_row_is_scored_as_from_the_start(self, resets: list[list[bool]]) -> None:
        predictor = self.make()
        ids_BT, reset_BT = self.elements(predictor, TIME + 1), np.array(resets)
        _, before = predictor.advance(self.elements(predictor, 4, seed=1), predictor.start(ROWS))
        scores_BT, behind = predictor.score(batch_of(ids_BT, reset_BT), before.fork())
        for row in range(ROWS):
            state = predictor.select(before, np.array([row]))
            for t in range(TIME):
                if reset_BT[row, t]:
                    state = predictor.start(1)
                logits_BV, state = predictor.advance(ids_BT[row : row + 1, t : t + 1], state)
                self.assert_close(scores_BT[row, t], log_softmax(logits_BV)[0, ids_BT[row, t + 1]])
            self.assert_goes_on_alike(
                predictor, predictor.select(behind, np.array([row])), state, 1
            )

    # Rows

    def test_rows_never_meet(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor)
        logits_BV, behind = predictor.advance(ids_BT, predictor.start(ROWS))
        scores_BT, _ = predictor.score(batch_of(ids_BT))
        for row in range(ROWS):
            alone_BT = ids_BT[row : row + 1]
            alone_BV, state = predictor.advance(alone_BT, predictor.start(1))
            self.assert_close(logits_BV[row], alone_BV[0])
            self.assert_close(scores_BT[row], predictor.score(batch_of(alone_BT))[0][0])
            self.assert_goes_on_alike(
                predictor, predictor.select(behind, np.array([row])), state, 1
            )

    @pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 0, 2, 1], [2], [0, 2]])
    def test_selected_rows_go_on_as_before(self, rows: list[int]) -> None:
        predictor, rows_R = self.make(), np.array(rows)
        _, state = predictor.advance(self.elements(predictor), predictor.start(ROWS))
        more_BT = self.elements(predictor, 4, seed=1)
        chosen = predictor.select(state, rows_R)
        wanted_BV, _ = predictor.advance(more_BT, state.fork())
        logits_BV, _ = predictor.advance(more_BT[rows_R], chosen)
        self.assert_close(logits_BV, wanted_BV[rows_R])

    def test_forks_go_on_alike_and_never_see_their_twin(self) -> None:
        predictor = self.make()
        _, state = predictor.advance(self.elements(predictor), predictor.start(ROWS))
        twin, third = state.fork(), state.fork()
        more_BT = self.elements(predictor, 4, seed=1)
        wanted_BV, _ = predictor.advance(more_BT, twin)
        predictor.advance(self.elements(predictor, 6, seed=2), third)
        self.assert_close(predictor.advance(more_BT, state)[0], wanted_BV)

    def test_copies_of_a_row_part_only_by_what_they_read(self) -> None:
        predictor = self.make()
        _, state = predictor.advance(self.elements(predictor, rows=1), predictor.start(1))
        twins = predictor.select(state, np.array([0, 0]))
        alike_BT = np.repeat(self.elements(predictor, 4, rows=1, seed=1), 2, axis=0)
        logits_BV, twins = predictor.advance(alike_BT, twins)
        self.assert_close(logits_BV[0], logits_BV[1])
        apart_BT = np.stack([np.zeros(3, np.int64), np.ones(3, np.int64)])
        logits_BV, _ = predictor.advance(apart_BT, twins)
        _, alone = predictor.advance(alike_BT[:1], state)
        self.assert_close(logits_BV[1:], predictor.advance(apart_BT[1:], alone)[0])
