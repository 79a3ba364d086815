"""Laws of every encoder of music: round trips, snapping, grammars, transposition."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rhapsode.encoding import END_ID, UNKNOWN_ID
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from tests.contracts.encoder_contract import EncoderContract
from tests.encoding.brackets import walk
from tests.encoding.music.scores import as_values, scores, shifted

prove_music = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)


class MusicEncoderContract(EncoderContract):
    """A subclass names the encoding and its settings."""

    walks = 400
    exact_walks = True
    """Whether sequences that the grammar allows are those of scores."""
    walk_length = 60

    def normalised(self, text: str) -> str:
        return " ".join(self.learn(text)._names(text))

    def encoder_for(self, *pieces: Score) -> MusicEncoder:
        """The encoder of some scores."""
        first = self.learn()
        assert isinstance(first, MusicEncoder)
        return type(first).for_scores(pieces, self.settings)

    @prove_music
    @given(score=scores())
    def test_a_decoded_score_is_the_snapped_score(self, score: Score):
        encoder = self.encoder_for(score)
        snapped, report = encoder.snap(score)
        assert as_values(encoder.score_of(encoder.elements(score))) == as_values(snapped)
        assert report.notes == len(snapped.notes)
        assert str(report)

    @prove_music
    @given(score=scores())
    def test_snapping_again_changes_nothing(self, score: Score):
        encoder = self.encoder_for(score)
        snapped, _ = encoder.snap(score)
        again, report = encoder.snap(snapped)
        assert as_values(again) == as_values(snapped)
        assert (report.moved, report.lengths, report.velocities) == (0, 0, 0)
        np.testing.assert_array_equal(encoder.elements(snapped), encoder.elements(score))

    @prove_music
    @given(score=scores())
    def test_the_notation_is_the_score(self, score: Score):
        encoder = self.encoder_for(score)
        ids_N = encoder.elements(score)
        text = encoder.notation(score)
        np.testing.assert_array_equal(encoder.encode(text), ids_N)
        assert encoder.decode(ids_N) == text
        assert as_values(encoder.score(text)) == as_values(encoder.score_of(ids_N))

    @prove_music
    @given(score=scores())
    def test_the_grammar_accepts_every_score(self, score: Score):
        encoder = self.encoder_for(score)
        ids_N = encoder.elements(score).astype(np.int64)
        assert END_ID not in ids_N
        assert UNKNOWN_ID not in ids_N
        grammar = encoder.grammar()
        if grammar is None:
            return
        whole_1T = np.append(ids_N, END_ID)[None]
        allowed_1V = grammar.allowed_BV(grammar.init(1))
        allowed_1TV, _ = grammar.masks(whole_1T, grammar.init(1))
        allowed_TV = np.concatenate((allowed_1V, allowed_1TV[0]))
        refused = np.flatnonzero(~allowed_TV[np.arange(whole_1T.shape[1]), whole_1T[0]])
        names = (
            [encoder.label(element) for element in whole_1T[0, : refused[0] + 1]]
            if len(refused)
            else []
        )
        assert not names

    def test_random_walks_decode(self):
        self.walk_and_decode(self.walks, seed=0)

    @pytest.mark.slow
    def test_ten_thousand_random_walks_decode(self):
        self.walk_and_decode(10_000, seed=1)

    def walk_and_decode(self, count: int, seed: int) -> None:
        encoder = self.encoder_for()
        grammar = encoder.grammar()
        if grammar is None:
            return
        for ids_N in walk(grammar, self.walk_length, count, seed):
            assert UNKNOWN_ID not in ids_N
            prefix_N = ids_N[: np.append(ids_N, END_ID).tolist().index(END_ID)]
            finished = self.finished(encoder, prefix_N)
            score = encoder.score_of(finished)
            again_N = encoder.elements(score)
            if self.exact_walks:
                np.testing.assert_array_equal(again_N, finished)
            assert as_values(encoder.score_of(again_N)) == as_values(encoder.snap(score)[0])

    def finished(self, encoder: MusicEncoder, ids_N: np.ndarray) -> np.ndarray:
        """A prefix, completed by its first end that the grammar finds: breadth first."""
        grammar = encoder.grammar()
        assert grammar is not None
        if not len(ids_N):
            return ids_N
        state = grammar.advance(ids_N[None], grammar.init(1))
        for _ in range(20):
            allowed_V = grammar.allowed_BV(state)[0]
            if allowed_V[END_ID]:
                return ids_N
            follower = self.nearest(encoder, np.flatnonzero(allowed_V))
            ids_N = np.append(ids_N, follower)
            state = grammar.advance(np.array([[follower]]), state)
        raise AssertionError("no end is near")

    def nearest(self, encoder: MusicEncoder, allowed: np.ndarray) -> int:
        """The element that leads to an end."""
        return int(allowed[0])

    @prove_music
    @given(score=scores(), semitones=st.integers(-6, 6))
    def test_transposed_elements_are_those_of_the_transposed_score(
        self, score: Score, semitones: int
    ):
        encoder = self.encoder_for(score)
        moved = self.shifted(score, semitones)
        found = encoder.transposed(encoder.elements(score), semitones)
        assert found is not None
        np.testing.assert_array_equal(found, encoder.elements(moved))

    def shifted(self, score: Score, semitones: int) -> Score:
        return replace(shifted(score, semitones), keys=(), chords=())

    @prove_music
    @given(score=scores())
    def test_transposition_ends_at_the_range(self, score: Score):
        assume(len(score.notes))
        encoder = self.encoder_for(score)
        ids_N = encoder.elements(score)
        assume((encoder.pitch_V[ids_N] >= 0).any())
        assert encoder.transposed(ids_N, 120) is None
        assert encoder.transposed(ids_N, -120) is None

    @prove_music
    @given(data=st.data())
    def test_any_elements_have_a_score(self, data: Any):
        encoder = self.encoder_for()
        element = st.integers(0, encoder.vocab_size - 1)
        encoder.score_of(np.array(data.draw(st.lists(element, max_size=30)), dtype=np.int64))

    def test_kinds_of_elements_are_named(self):
        encoder = self.encoder_for()
        names, kind_V = encoder.fields()
        assert kind_V.shape == (encoder.vocab_size,)
        assert set(kind_V.tolist()) <= set(range(len(names)))
        assert kind_V[END_ID] == 0
