"""Chords of voices: the same scores as cells, all voices where one changes."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given

from rhapsode.encoding.music import ChordEncoder, VoiceEncoder
from rhapsode.encoding.music.score import Notes, Score, Track
from rhapsode.errors import SettingsError
from tests.contracts.contexts_contract import ContextsContract
from tests.contracts.grammar_contract import GrammarContract
from tests.encoding.music.music_contract import MusicEncoderContract, prove_music
from tests.encoding.music.scores import as_values, scores

SMALL = {"voices": 3, "lowest": 50, "highest": 60}


class TestChords(MusicEncoderContract):
    encoding = "chords.v1"
    exact_walks = False

    def normalised(self, text: str) -> str:
        names = self.learn(text)._names(text)
        return " ".join(names).replace(" step:", "\nstep:")


class TestTwoVoices(TestChords):
    settings: ClassVar[dict[str, Any]] = {"voices": 2, "grid": 3}


class TestChordGrammar(GrammarContract):
    def make(self):
        return ChordEncoder.learn((), SMALL).grammar()


class TestChordContexts(ContextsContract):
    def make(self):
        return ChordEncoder.learn((), SMALL).contexts()


@prove_music
@given(score=scores())
def test_chords_and_joined_voices_have_the_same_scores(score: Score):
    chords = ChordEncoder.for_scores([score], {})
    cells = VoiceEncoder.for_scores([score], {"join": True})
    assert as_values(chords.snap(score)[0]) == as_values(cells.snap(score)[0])
    assert as_values(chords.score_of(chords.elements(score))) == as_values(cells.snap(score)[0])


def test_all_voices_are_written_where_one_changes():
    score = Score(
        ticks=4,
        notes=Notes.of([0, 0, 2], [4, 4, 2], [72, 60, 62], 80, [0, 1, 1]),
        tracks=(Track(), Track()),
    )
    encoder = ChordEncoder.for_scores([score], {"voices": 2})
    assert encoder.notation(score) == "step:0 C5 C4\nstep:1\nstep:2 C5 D4\nstep:3"
    assert np.array_equal(encoder.encode(encoder.notation(score)), encoder.elements(score))


def test_repeated_notes_cannot_be_told():
    with pytest.raises(SettingsError, match="join repeated notes"):
        ChordEncoder.learn((), {"join": False})
