"""Performances: keys and the pedal in steps of 10 ms, in one order."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given

from rhapsode.encoding.music import PerformanceEncoder
from rhapsode.encoding.music.score import Notes, Pedal, Score, Tempo
from rhapsode.errors import SettingsError
from tests.contracts.grammar_contract import GrammarContract
from tests.encoding.music.music_contract import MusicEncoderContract, prove_music
from tests.encoding.music.scores import scores


class TestPerformance(MusicEncoderContract):
    encoding = "performance.v1"
    exact_walks = False
    settings: ClassVar[dict[str, Any]] = {"lowest": 10, "highest": 115}

    def normalised(self, text: str) -> str:
        return super().normalised(text).replace(" shift:", "\nshift:")


class TestPlain(TestPerformance):
    settings: ClassVar[dict[str, Any]] = {
        "lowest": 10, "highest": 115, "velocities": False, "pedal": False,
    }  # fmt: skip


class TestPerformanceGrammar(GrammarContract):
    def make(self):
        return PerformanceEncoder.learn((), {"lowest": 60, "highest": 64}).grammar()


class TestGrammarWithoutPedal(GrammarContract):
    def make(self):
        settings = {"lowest": 60, "highest": 64, "pedal": False, "velocities": False}
        return PerformanceEncoder.learn((), settings).grammar()


@prove_music
@given(score=scores())
def test_times_stay_within_five_milliseconds(score: Score):
    encoder = PerformanceEncoder.learn((), {"lowest": 0, "highest": 127})
    _, report = encoder.snap(score)
    assert report.largest_shift <= 0.005 + 1e-6


def test_the_notation_of_a_short_piece():
    score = Score(
        ticks=480,
        notes=Notes.of(
            [0, 480, 480, 960], [480, 900, 480, 480], [60, 64, 67, 64], [80, 90, 50, 50]
        ),
        tempos=(Tempo(0, 60),),
        pedals=(Pedal(0, 480), Pedal(480, 480)),
    )
    encoder = PerformanceEncoder.learn((), {})
    assert encoder.notation(score).split("\n") == [
        "pedal:down on:C4",
        "shift:100 off:C4 pedal:up pedal:down vel:12 on:G4 vel:22 on:E4",
        "shift:100 off:G4 off:E4 pedal:up vel:12 on:E4",
        "shift:100 off:E4",
    ]
    snapped, report = encoder.snap(score)
    assert snapped.notes.length_N.tolist() == [1000, 1000, 1000, 1000]
    assert report.moved == 0
    assert len(snapped.pedals) == 2


def test_long_waits_are_several_shifts():
    encoder = PerformanceEncoder.learn((), {})
    text = "on:C4\nshift:100\nshift:100\nshift:50 off:C4"
    assert encoder.notation(encoder.score(text)) == text


def test_keys_left_down_end_with_the_piece():
    encoder = PerformanceEncoder.learn((), {})
    score = encoder.score("on:C4 shift:50 off:D4 on:E4 shift:50")
    np.testing.assert_array_equal(score.notes.length_N, [1000, 500])


def test_a_range_upside_down_is_refused():
    with pytest.raises(SettingsError, match="lies above"):
        PerformanceEncoder.learn((), {"lowest": 60, "highest": 59})
