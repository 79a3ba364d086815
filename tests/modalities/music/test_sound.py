"""Sound of the synthesiser, measured: pitch, loudness, clipping, silence, length."""

from dataclasses import replace

import numpy as np
import pytest

from rhapsode.encoding.music.score import Notes, Pedal, Score, Tempo, Track
from rhapsode.errors import DataError
from rhapsode.modalities.music.sound.oscillators import limit
from rhapsode.modalities.music.sound.synthesis import (
    RATE,
    TAIL,
    seconds_of,
    sounding_ends,
    synthesise,
)
from rhapsode.modalities.music.sound.timbres import VOICES, drum_row, voice_of
from tests.modalities.music.listening import (
    TICKS,
    band,
    decibels,
    hertz,
    melody,
    peak,
    strongest,
)

SCALE = (48, 50, 52, 53, 55, 57, 59, 60, 67, 72, 79)
PROGRAMS = [next(p for p in range(128) if voice_of(p) == name) for name in VOICES]


def test_every_program_has_a_voice() -> None:
    assert {voice_of(program) for program in range(128)} == set(VOICES)


@pytest.mark.parametrize("program", PROGRAMS, ids=list(VOICES))
def test_the_strongest_frequency_of_every_note_is_its_own(program: int) -> None:
    sound_2T = synthesise(melody(SCALE, program, length=2 * TICKS))
    for place, pitch in enumerate(SCALE):
        for channel in range(2):
            part_T = sound_2T[channel, place * RATE + RATE // 4 : place * RATE + 3 * RATE // 4]
            cents = 1200 * np.log2(strongest(part_T) / hertz(pitch))
            assert abs(cents) < 12, (pitch, cents)


@pytest.mark.parametrize("program", PROGRAMS, ids=list(VOICES))
def test_kinds_of_instruments_are_about_equally_loud(program: int) -> None:
    both = melody((64,) * 8, 0, length=TICKS)
    later = Notes.of(np.arange(8, 16) * TICKS, TICKS, 64, 90, 1)
    notes = Notes.of(
        *(
            np.concatenate((getattr(both.notes, name), getattr(later, name)))
            for name in ("start_N", "length_N", "pitch_N", "velocity_N", "track_N")
        )
    )
    sound_2T = synthesise(replace(both, notes=notes, tracks=(Track(0), Track(program))))
    piano, other = sound_2T[:, : 4 * RATE], sound_2T[:, 4 * RATE : 8 * RATE]
    assert abs(decibels(other) - decibels(piano)) < 6


def test_nothing_clips_and_the_loudness_is_usual() -> None:
    for score in (band(4), melody((60,), velocity=1), melody((60, 64, 67), velocity=127)):
        sound_2T = synthesise(score)
        assert np.isfinite(sound_2T).all()
        assert peak(sound_2T) <= -1
        assert -26 < decibels(sound_2T[:, : round(score.seconds(score.end) * RATE)]) < -15


def test_the_loudest_chord_does_not_clip() -> None:
    pitches = np.arange(21, 109)
    score = Score(
        ticks=TICKS,
        notes=Notes.of(np.repeat((0, 4 * TICKS), 88), TICKS, np.tile(pitches, 2), 127),
    )
    sound_2T = synthesise(score)
    assert peak(sound_2T) <= -1


def test_rests_are_silent_and_the_end_fades() -> None:
    score = melody((60,), length=TICKS)
    later = Notes.of([0, 16 * TICKS], TICKS, 60, 90)
    sound_2T = synthesise(replace(score, notes=later))
    assert decibels(sound_2T[:, 4 * RATE : 7 * RATE]) < -75
    assert decibels(sound_2T[:, 8 * RATE : 9 * RATE]) > -30
    assert np.abs(sound_2T[:, -10:]).max() < 1e-4
    assert not synthesise(Score(end=8 * TICKS, ticks=TICKS)).any()


def test_the_length_is_that_of_the_score_and_a_tail() -> None:
    for quarters in (60.0, 200.0):
        score = melody((60, 62, 64, 65), quarters=quarters)
        sound_2T = synthesise(score)
        assert sound_2T.shape == (2, round((4 * 60 / quarters + TAIL) * RATE))


def test_notes_begin_at_their_times() -> None:
    score = melody((84, 84, 84, 84), 24, length=2 * TICKS)
    short = replace(score.notes, length_N=np.full(4, TICKS // 8))
    score = replace(score, notes=short, tempos=(Tempo(0, 120.0), Tempo(2 * TICKS, 60.0)))
    loud_T = np.abs(synthesise(score)).max(0)
    for second in (1.0, 3.0, 5.0):
        at = round(second * RATE)
        before, after = loud_T[at - RATE // 50 : at].max(), loud_T[at : at + RATE // 50].max()
        assert after > 20 * before


def test_loud_notes_are_louder_and_brighter() -> None:
    soft_loud = replace(melody((60, 60), length=2 * TICKS))
    notes = replace(soft_loud.notes, velocity_N=np.array([30, 120], np.uint8))
    sound_2T = synthesise(replace(soft_loud, notes=notes))
    soft, loud = sound_2T[0, : RATE // 2], sound_2T[0, RATE : 3 * RATE // 2]
    assert decibels(loud) > decibels(soft) + 10

    def centre(sound_T: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound_T)) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centre(loud) > 1.2 * centre(soft)


def test_a_pedal_holds_notes_until_it_is_lifted_or_the_key_is_struck_again() -> None:
    score = replace(
        melody((60, 62, 60), length=TICKS // 2), pedals=(Pedal(0, 8 * TICKS),), end=16 * TICKS
    )
    assert sounding_ends(score).tolist() == [TICKS, 8 * TICKS, 8 * TICKS]
    assert sounding_ends(replace(score, pedals=())).tolist() == [240, 480, 720]
    held, dry = synthesise(score), synthesise(replace(score, pedals=()))
    late = slice(2 * RATE, 3 * RATE)
    assert decibels(held[:, late]) > decibels(dry[:, late]) + 20


def test_times_are_those_of_the_score() -> None:
    random = np.random.default_rng(3)
    starts = np.sort(random.integers(0, 9000, 40))
    tempos = tuple(
        Tempo(int(at), float(q)) for at, q in zip(starts, random.uniform(40, 200, 40), strict=True)
    )
    for score in (replace(melody(SCALE), tempos=tempos), replace(melody(SCALE), tempos=())):
        ticks = random.integers(0, 12_000, 50)
        expected = [score.seconds(int(tick)) for tick in ticks]
        np.testing.assert_allclose(seconds_of(score, ticks), expected, atol=1e-9)


def test_drums_sound_where_they_should() -> None:
    low, high = (
        strongest(synthesise(melody((pitch,) * 4, drums=True))[0, : 2 * RATE]) for pitch in (36, 42)
    )
    assert low < 110
    assert high > 4000
    for pitch in range(128):
        assert len(drum_row(pitch)) == 8
    sound_2T = synthesise(melody(range(27, 88), drums=True, length=TICKS // 2))
    assert peak(sound_2T) <= -1
    for place in range(27 - 27, 87 - 27):
        stroke = sound_2T[:, place * RATE // 4 : (place + 1) * RATE // 4]
        assert decibels(stroke) > -55, place + 27


def test_both_channels_sound_and_mono_loses_little() -> None:
    sound_2T = synthesise(band(2))
    assert abs(decibels(sound_2T[0]) - decibels(sound_2T[1])) < 3
    assert decibels(sound_2T.mean(0)) > decibels(sound_2T) - 3
    assert not np.array_equal(sound_2T[0], sound_2T[1])


def test_the_same_score_gives_the_same_sound() -> None:
    np.testing.assert_array_equal(synthesise(band(1)), synthesise(band(1)))


def test_extreme_scores_sound() -> None:
    for pitches, length in (((0, 127), TICKS), ((60,), 1), ((60,), 400 * TICKS)):
        for program in PROGRAMS:
            sound_2T = synthesise(melody(pitches, program, length=length, quarters=240))
            assert np.isfinite(sound_2T).all()
            assert peak(sound_2T) <= -1


def test_weeks_of_music_are_refused() -> None:
    with pytest.raises(DataError, match="hours"):
        synthesise(Score(ticks=1, end=1 << 28))


def test_a_limiter_lowers_peaks_and_nothing_else() -> None:
    random = np.random.default_rng(1)
    quiet_2T = (0.1 * random.standard_normal((2, 20_000))).astype(np.float32)
    loud_2T = quiet_2T.copy()
    loud_2T[:, 9000:9100] *= 40
    limited_2T = loud_2T.copy()
    limit(limited_2T, 0.8)
    assert np.abs(limited_2T).max() <= 0.8 + 1e-6
    np.testing.assert_allclose(limited_2T[:, :8700], loud_2T[:, :8700], rtol=1e-5)
    ratio = limited_2T[0] / loud_2T[0]
    assert np.abs(np.diff(ratio)).max() < 0.02  # no step, hence no click


@pytest.mark.parametrize("kind", ["organ", "strings", "brass", "choir", "lead"])
def test_notes_begin_and_end_without_clicks(kind: str) -> None:
    sound_2T = synthesise(melody((57, 57, 60, 64), PROGRAMS[list(VOICES).index(kind)]))
    for sound_T in sound_2T:
        spectrum = np.fft.rfft(sound_T)
        spectrum[np.fft.rfftfreq(len(sound_T), 1 / RATE) < 7000] = 0
        assert peak(np.fft.irfft(spectrum, len(sound_T)).astype(np.float32)) < -70


def test_struck_strings_die_away_and_bowed_ones_do_not() -> None:
    for program, low, high in ((0, -25, -12), (24, -35, -15), (40, -5, 1), (19, -1, 1)):
        sound_2T = synthesise(melody((60,), program, length=8 * TICKS))
        early, late = (sound_2T[:, round(t * RATE) : round((t + 0.2) * RATE)] for t in (0.2, 3.5))
        assert low < decibels(late) - decibels(early) < high
