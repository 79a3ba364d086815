"""Laws of every predictor, whatever computes it: reading in one call or in many is the same, scores are the
log-probabilities that it would have given one by one, rows never meet, forked rows go on alike.

A predictor of identifiers claims the contract with a subclass that makes one::

    class TestCompiledPredictor(PredictorContract):
        def make(self): ...

A predictor that sees the last N elements only sets `window`, one within a grammar draws its elements from that and sets
`restricted`. One of values claims `ValueContract`. Nothing here needs
torch.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rhapsode.bundle import Distribution, Predictor, log_softmax
from rhapsode.data import Batch
from rhapsode.errors import SettingsError

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


def batch_of(ids_BT: NDArray[np.int64], reset_BT: NDArray[np.bool_] | None = None) -> Batch:
    """Every element but the first as the target of the one before it."""
    weights_BT = np.ones(ids_BT[:, 1:].shape, dtype=np.float32)
    return Batch(ids_BT[:, :-1], ids_BT[:, 1:], weights_BT, reset_BT)


class AnyPredictorContract(ABC):
    """Laws of reading, for identifiers and for values. `tolerance` is what two ways to one number may differ by."""

    tolerance: ClassVar[float] = 1e-5

    @abstractmethod
    def make(self) -> Predictor:
        """A predictor whose distributions depend on what it has read."""

    @abstractmethod
    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[Any]:
        """Elements (B, T) or (B, T, K) that a predictor can read."""

    @abstractmethod
    def probes(self, predictor: Predictor) -> list[Any]:
        """Elements of one row at which distributions are compared."""

    def condition(self, predictor: Predictor, rows: int) -> Any:
        """A condition, where the predictor needs one; the same for every row."""
        return None

    def start(self, predictor: Predictor, rows: int) -> Any:
        return predictor.start(rows, self.condition(predictor, rows))

    def known(self, predictor: Predictor, rows: int, first: int, count: int) -> NDArray[Any] | None:
        """Covariates of some times, the same for every row; None where the predictor has none."""
        return None

    def read(
        self, predictor: Predictor, elements: NDArray[Any], state: Any, first: int = 0
    ) -> tuple[Distribution, Any]:
        """Read elements whose first one is that of time `first`."""
        rows, time = elements.shape[:2]
        return predictor.advance(elements, state, self.known(predictor, rows, first, time + 1))

    def log_probs(self, predictor: Predictor, following: Distribution) -> NDArray[np.float64]:
        """Log-probabilities (B, P) of the probes."""
        rows = len(following)
        return np.stack(
            [following.log_prob(np.array([probe] * rows)) for probe in self.probes(predictor)],
            axis=1,
        )

    def assert_close(self, found: NDArray[Any], wanted: NDArray[Any]) -> None:
        np.testing.assert_allclose(found, wanted, rtol=self.tolerance / 10, atol=self.tolerance)

    def assert_goes_on_alike(
        self, predictor: Predictor, one: Any, other: Any, rows: int, first: int = TIME
    ) -> None:
        more = self.elements(predictor, 3, rows, seed=9)
        found = [
            self.log_probs(predictor, self.read(predictor, more, each, first)[0])
            for each in (one.fork(), other.fork())
        ]
        self.assert_close(*found)

    # One call or many

    @few_examples
    @given(cuts=cut_lists)
    @example(cuts=[True] * (TIME - 1))
    def test_reading_at_once_equals_reading_in_pieces(self, cuts: list[bool]) -> None:
        predictor = self.make()
        elements = self.elements(predictor)
        following, behind = self.read(predictor, elements, self.start(predictor, ROWS))
        wanted_BP = self.log_probs(predictor, following)
        state = self.start(predictor, ROWS)
        ends = [t + 1 for t, cut in enumerate(cuts) if cut]
        for start, end in zip([0, *ends], [*ends, TIME], strict=True):
            following, state = self.read(predictor, elements[:, start:end], state, start)
        self.assert_close(self.log_probs(predictor, following), wanted_BP)
        self.assert_goes_on_alike(predictor, state, behind, ROWS)

    def test_the_distribution_depends_on_what_was_read(self) -> None:
        predictor = self.make()
        elements = self.elements(predictor, TIME, rows=8)
        following, _ = self.read(predictor, elements, self.start(predictor, 8))
        assert len(np.unique(self.log_probs(predictor, following).round(3), axis=0)) > 1

    # Rows

    @pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 0, 2, 1], [2], [0, 2]])
    def test_selected_rows_go_on_as_before(self, rows: list[int]) -> None:
        predictor, rows_R = self.make(), np.array(rows)
        _, state = self.read(predictor, self.elements(predictor), self.start(predictor, ROWS))
        more = self.elements(predictor, 4, seed=1)
        chosen = predictor.select(state, rows_R)
        following, _ = self.read(predictor, more, state.fork(), TIME)
        wanted_BP = self.log_probs(predictor, following)
        self.assert_close(self.log_probs(predictor, following.select(rows_R)), wanted_BP[rows_R])
        following, _ = self.read(predictor, more[rows_R], chosen, TIME)
        self.assert_close(self.log_probs(predictor, following), wanted_BP[rows_R])

    def test_joined_rows_go_on_as_before(self) -> None:
        predictor = self.make()
        elements = self.elements(predictor)
        _, whole = self.read(predictor, elements, self.start(predictor, ROWS))
        parts = [
            self.read(predictor, elements[rows], self.start(predictor, count))[1]
            for rows, count in ((slice(0, 1), 1), (slice(1, ROWS), ROWS - 1))
        ]
        self.assert_goes_on_alike(predictor, predictor.join(parts), whole, ROWS)

    def test_forks_go_on_alike_and_never_see_their_twin(self) -> None:
        predictor = self.make()
        _, state = self.read(predictor, self.elements(predictor), self.start(predictor, ROWS))
        twin, third = state.fork(), state.fork()
        more = self.elements(predictor, 4, seed=1)
        following, _ = self.read(predictor, more, twin, TIME)
        wanted_BP = self.log_probs(predictor, following)
        self.read(predictor, self.elements(predictor, 6, seed=2), third, TIME)
        following, _ = self.read(predictor, more, state, TIME)
        self.assert_close(self.log_probs(predictor, following), wanted_BP)

    def test_copies_of_a_row_part_only_by_what_they_read(self) -> None:
        predictor = self.make()
        _, state = self.read(predictor, self.elements(predictor, rows=1), self.start(predictor, 1))
        twins = predictor.select(state, np.array([0, 0]))
        one = self.elements(predictor, 4, rows=1, seed=1)
        following, twins = self.read(predictor, np.repeat(one, 2, axis=0), twins, TIME)
        told_BP = self.log_probs(predictor, following)
        self.assert_close(told_BP[0], told_BP[1])
        apart = self.elements(predictor, 3, rows=2, seed=4)
        following, _ = self.read(predictor, apart, twins, TIME + 4)
        told_BP = self.log_probs(predictor, following)
        _, alone = self.read(predictor, one, state, TIME)
        following, _ = self.read(predictor, apart[1:], alone, TIME + 4)
        self.assert_close(told_BP[1:], self.log_probs(predictor, following))

    # Draws

    def test_a_draw_does_not_depend_on_the_rows_beside_it(self) -> None:
        predictor = self.make()
        elements = self.elements(predictor)
        following, _ = self.read(predictor, elements, self.start(predictor, ROWS))
        uniforms_BK = np.random.default_rng(0).random((ROWS, predictor.element_size))
        drawn = following.sample(uniforms_BK).elements
        for row in range(ROWS):
            rows_1 = np.array([row])
            alone = following.select(rows_1).sample(uniforms_BK[rows_1]).elements
            np.testing.assert_allclose(alone[0], drawn[row], rtol=1e-6)


class PredictorContract(AnyPredictorContract):
    """The suite of predictors of identifiers.

    `window` is the number of elements that count, 0 where all do: such a predictor scores every batch from nothing.
    """

    window: ClassVar[int] = 0
    restricted: ClassVar[bool] = False
    spreads: ClassVar[bool] = True
    """False for counts alone, which give no distributions of a whole batch."""
    """Whether only some elements may follow."""

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[np.int64]:
        random = np.random.default_rng(seed)
        return random.integers(predictor.vocab_size, size=(rows, time), dtype=np.int64)

    def probes(self, predictor: Predictor) -> list[Any]:
        return list(range(predictor.vocab_size))

    def scored(self, predictor: Predictor, seed: int = 0) -> NDArray[np.int64]:
        """Elements of a batch to score, no longer than what counts."""
        return self.elements(predictor, min(TIME, self.window or TIME) + 1, seed=seed)

    def one_by_one(self, predictor: Predictor, ids_BT: NDArray[np.int64], state: Any) -> Any:
        """Log-probabilities (B, T, V) of what follows each element, and the state behind them."""
        following = []
        for t in range(ids_BT.shape[1]):
            found, state = predictor.advance(ids_BT[:, t : t + 1], state)
            following.append(log_softmax(found.logits_BV))
        return np.stack(following, axis=1), state

    def at_targets(self, log_prob_BTV: NDArray[Any], targets_BT: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(log_prob_BTV, targets_BT[..., None], axis=-1)[..., 0]

    # Distributions

    def test_the_distribution_is_over_the_vocabulary(self) -> None:
        predictor = self.make()
        for time in (1, TIME):
            following, _ = predictor.advance(self.elements(predictor, time), predictor.start(ROWS))
            assert following.logits_BV.shape == (ROWS, predictor.vocab_size)
            assert following.logits_BV.dtype == np.float32
            finite_BV = np.isfinite(following.logits_BV)
            assert finite_BV.any(axis=1).all()
            assert finite_BV.all() != self.restricted
            assert not np.isnan(following.logits_BV).any()
            np.testing.assert_array_equal(following.logits_BKV[:, 0], following.logits_BV)

    def test_log_probabilities_and_tables_are_those_of_the_logits(self) -> None:
        predictor = self.make()
        following, _ = predictor.advance(self.elements(predictor), predictor.start(ROWS))
        wanted_BV = log_softmax(following.logits_BV)
        self.assert_close(self.log_probs(predictor, following), wanted_BV)
        table = following.table(3)
        assert (np.diff(table.probabilities, axis=1) <= 0).all()
        taken = np.take_along_axis(wanted_BV, table.elements, axis=1)
        self.assert_close(table.probabilities, np.exp(taken))
        assert (table.probabilities[:, 0] >= np.exp(wanted_BV).max(axis=1) - 1e-12).all()

    def test_draws_follow_the_distribution(self) -> None:
        predictor = self.make()
        following, _ = predictor.advance(self.elements(predictor, rows=1), predictor.start(1))
        many = following.select(np.zeros(4000, dtype=np.int64))
        uniforms_B1 = (np.arange(4000)[:, None] + 0.5) / 4000
        drawn = many.sample(uniforms_B1)
        np.testing.assert_array_equal(drawn.elements, drawn.ids_BK[:, 0])
        shares_V = np.bincount(drawn.elements, minlength=predictor.vocab_size) / 4000
        wanted_V = np.exp(log_softmax(following.logits_BV))[0]
        np.testing.assert_allclose(shares_V, wanted_V, atol=1 / 4000 + 1e-6)
        greedy = many.sample(uniforms_B1, 0.0).elements
        assert (greedy == wanted_V.argmax()).all()

    def test_scores_of_all_elements_are_one_in_total(self) -> None:
        predictor = self.make()
        text_1T = self.scored(predictor)[:1]
        following, _ = predictor.advance(text_1T[:, :-1], predictor.start(1))
        candidates = np.flatnonzero(np.isfinite(following.logits_BV[0]))
        assert (len(candidates) < predictor.vocab_size) == self.restricted
        ids_BT = np.repeat(text_1T, len(candidates), axis=0)
        ids_BT[:, -1] = candidates
        scores_BT, _ = predictor.score(batch_of(ids_BT))
        assert np.exp(scores_BT[:, -1].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("time", LONG)
    def test_a_long_text_at_once_equals_reading_in_pieces(self, time: int) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor, time, rows=2)
        wanted, behind = predictor.advance(ids_BT, predictor.start(2))
        state = predictor.start(2)
        for start in range(0, time, 37):
            following, state = predictor.advance(ids_BT[:, start : start + 37], state)
        self.assert_close(following.logits_BV, wanted.logits_BV)
        self.assert_goes_on_alike(predictor, state, behind, 2)

    def test_histories_of_unequal_length_are_read_row_by_row(self) -> None:
        predictor = self.make()
        ids_BT = self.elements(predictor, TIME, rows=4)
        histories = [ids_BT[row, : (5, 2, TIME, 5)[row]] for row in range(4)]
        following, state = predictor.read(histories, predictor.start(4))
        more_BT = self.elements(predictor, 2, rows=4, seed=3)
        for row, history_T in enumerate(histories):
            alone, own = predictor.advance(history_T[None], predictor.start(1))
            self.assert_close(following.logits_BV[row], alone.logits_BV[0])
            self.assert_close(
                predictor.advance(more_BT[row : row + 1], own)[0].logits_BV,
                predictor.advance(more_BT[row : row + 1], predictor.select(state, np.array([row])))[
                    0
                ].logits_BV,
            )
        together, _ = predictor.advance(more_BT, state.fork())
        for row in range(4):
            own = predictor.select(state, np.array([row]))
            alone, _ = predictor.advance(more_BT[row : row + 1], own)
            self.assert_close(together.logits_BV[row], alone.logits_BV[0])

    # Scores

    @pytest.mark.parametrize("carried", [False, True])
    def test_a_score_is_the_log_probability_of_each_target(self, carried: bool) -> None:
        predictor = self.make()
        ids_BT = self.scored(predictor)
        before = predictor.start(ROWS)
        if carried:
            _, before = predictor.advance(self.elements(predictor, 5, seed=1), before)
        fresh = predictor.start(ROWS) if self.window else before
        wanted_BTV, _ = self.one_by_one(predictor, ids_BT[:, :-1], fresh.fork())
        scores_BT, _ = predictor.score(batch_of(ids_BT), before if carried else None)
        assert scores_BT.shape == ids_BT[:, 1:].shape
        assert scores_BT.dtype == np.float32
        self.assert_close(scores_BT, self.at_targets(wanted_BTV, ids_BT[:, 1:]))

    def test_scores_carry_on_from_batch_to_batch(self) -> None:
        predictor = self.make()
        if self.window:
            ids_BT = self.scored(predictor)
            first_BT, state = predictor.score(batch_of(ids_BT))
            assert state is None
            predictor.score(batch_of(self.scored(predictor, seed=1)), state)
            np.testing.assert_array_equal(predictor.score(batch_of(ids_BT))[0], first_BT)
            return
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
        ids_BT = self.scored(predictor)
        _, scored = predictor.score(batch_of(ids_BT))
        if self.window:
            assert scored is None
            return
        _, read = predictor.advance(ids_BT[:, :-1], predictor.start(ROWS))
        self.assert_goes_on_alike(predictor, scored, read, ROWS)

    def test_an_examined_batch_tells_of_the_distributions_it_was_scored_with(self) -> None:
        predictor = self.make()
        ids_BT = self.scored(predictor)
        wanted_BTV, _ = self.one_by_one(predictor, ids_BT[:, :-1], predictor.start(ROWS))
        examined, behind = predictor.examine(batch_of(ids_BT), None)
        scores_BT, scored = predictor.score(batch_of(ids_BT))
        self.assert_close(examined.log_prob_BT, scores_BT)
        self.assert_close(examined.top_log_prob_BT, wanted_BTV.max(axis=-1))
        self.assert_close(self.at_targets(wanted_BTV, examined.top_BT), wanted_BTV.max(axis=-1))
        finite_BTV = np.where(np.isneginf(wanted_BTV), 0, wanted_BTV)
        entropy_BT = -(np.exp(wanted_BTV) * finite_BTV).sum(axis=-1)
        np.testing.assert_allclose(examined.entropy_BT, entropy_BT, atol=1e-4)
        if self.window:
            assert behind is None
        else:
            self.assert_goes_on_alike(predictor, behind, scored, ROWS)

    def test_distributions_after_chosen_inputs_are_those_after_all(self) -> None:
        predictor = self.make()
        ids_BT = self.scored(predictor)
        if not self.spreads:
            with pytest.raises(SettingsError):
                predictor.distributions_where(batch_of(ids_BT), ids_BT[:, 1:] > 0)
            return
        wanted_BTV, after = self.one_by_one(predictor, ids_BT[:, :-1], predictor.start(ROWS))
        for share in (0.0, 0.4):
            where_BT = np.random.default_rng(2).random(ids_BT[:, 1:].shape) < share
            chosen_PV, behind = predictor.distributions_where(batch_of(ids_BT), where_BT)
            self.assert_close(chosen_PV, wanted_BTV[where_BT])
            if not self.window:
                self.assert_goes_on_alike(predictor, behind, after, ROWS)

    @few_examples
    @given(resets=reset_grids)
    @example(resets=[[True] * TIME] * ROWS)
    @example(resets=[[True] + [False] * (TIME - 1)] * ROWS)
    def test_a_reset_row_is_scored_as_from_the_start(self, resets: list[list[bool]]) -> None:
        predictor = self.make()
        ids_BT = self.scored(predictor)
        time = ids_BT.shape[1] - 1
        reset_BT = np.array(resets)[:, :time]
        before = predictor.start(ROWS)
        if not self.window:
            _, before = predictor.advance(self.elements(predictor, 4, seed=1), before)
        scores_BT, behind = predictor.score(batch_of(ids_BT, reset_BT), before.fork())
        for row in range(ROWS):
            state = predictor.select(before, np.array([row]))
            for t in range(time):
                if reset_BT[row, t]:
                    state = predictor.start(1)
                following, state = predictor.advance(ids_BT[row : row + 1, t : t + 1], state)
                wanted = log_softmax(following.logits_BV)[0, ids_BT[row, t + 1]]
                self.assert_close(scores_BT[row, t], wanted)
            if not self.window:
                self.assert_goes_on_alike(
                    predictor, predictor.select(behind, np.array([row])), state, 1
                )

    def test_rows_never_meet(self) -> None:
        predictor = self.make()
        ids_BT = self.scored(predictor)
        following, behind = predictor.advance(ids_BT, predictor.start(ROWS))
        scores_BT, _ = predictor.score(batch_of(ids_BT))
        for row in range(ROWS):
            alone_BT = ids_BT[row : row + 1]
            alone, state = predictor.advance(alone_BT, predictor.start(1))
            self.assert_close(following.logits_BV[row], alone.logits_BV[0])
            self.assert_close(scores_BT[row], predictor.score(batch_of(alone_BT))[0][0])
            self.assert_goes_on_alike(
                predictor, predictor.select(behind, np.array([row])), state, 1
            )

    def test_a_condition_is_refused(self) -> None:
        predictor = self.make()
        with pytest.raises(SettingsError, match="condition"):
            predictor.start(ROWS, np.zeros((ROWS, 2), dtype=np.float32))


class ValueContract(AnyPredictorContract):
    """The suite of predictors of values."""

    def test_reading_nothing_changes_nothing(self) -> None:
        predictor = self.make()
        values = self.elements(predictor)
        first, state = self.read(predictor, values, self.start(predictor, ROWS))
        wanted_BP = self.log_probs(predictor, first)
        for _ in range(2):
            again, state = self.read(predictor, values[:, :0], state, TIME)
            self.assert_close(self.log_probs(predictor, again), wanted_BP)

    def test_rows_never_meet(self) -> None:
        predictor = self.make()
        values = self.elements(predictor)
        following, state = self.read(predictor, values, self.start(predictor, ROWS))
        told_BP = self.log_probs(predictor, following)
        for row in range(ROWS):
            alone, own = self.read(predictor, values[row : row + 1], self.start(predictor, 1))
            self.assert_close(told_BP[row : row + 1], self.log_probs(predictor, alone))
            self.assert_goes_on_alike(predictor, predictor.select(state, np.array([row])), own, 1)

    def test_draws_are_inverted_uniforms_that_rise_with_them(self) -> None:
        predictor = self.make()
        values = self.elements(predictor, rows=1)
        following, _ = self.read(predictor, values, self.start(predictor, 1))
        many = following.select(np.zeros(99, dtype=np.int64))
        uniforms_BK = np.repeat(np.arange(1, 100)[:, None] / 100, predictor.element_size, axis=1)
        drawn_BK = many.sample(uniforms_BK).elements
        assert (np.diff(drawn_BK, axis=0) >= 0).all()
        table = following.table(3)
        np.testing.assert_allclose(table.probabilities, [0.25, 0.5, 0.75])
        assert table.elements.shape == (1, 3, predictor.element_size)
        assert (np.diff(table.elements, axis=1) >= 0).all()

    def test_filters_act_on_identifiers_only(self) -> None:
        predictor = self.make()
        values = self.elements(predictor)
        following, _ = self.read(predictor, values, self.start(predictor, ROWS))
        logits_BKV = following.logits_BKV
        uniforms_BK = np.full((ROWS, predictor.element_size), 0.3)
        if not predictor.vocab_size:
            assert logits_BKV is None
            assert following.sample(uniforms_BK).ids_BK is None
            with pytest.raises(SettingsError, match="predicts numbers"):
                _ = following.logits_BV
            return
        assert logits_BKV.shape == (ROWS, predictor.element_size, predictor.vocab_size)
        only_BKV = np.full_like(logits_BKV, -np.inf)
        only_BKV[..., 2] = 0.0
        drawn = following.sample(uniforms_BK, logits_BKV=only_BKV)
        assert (drawn.ids_BK == 2).all()

    def test_a_condition_is_needed(self) -> None:
        with pytest.raises(SettingsError, match="scale"):
            self.make().start(ROWS)
