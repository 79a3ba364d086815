"""Small scores, and measures of their sound."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import Metre, Notes, Score, Tempo, Track

RATE = 44_100
TICKS = 480


def melody(
    pitches: Sequence[int],
    program: int = 0,
    *,
    length: int = TICKS,
    velocity: int = 90,
    drums: bool = False,
    quarters: float = 120.0,
) -> Score:
    """Notes one after the other."""
    starts = np.arange(len(pitches)) * length
    return Score(
        ticks=TICKS,
        notes=Notes.of(starts, length, list(pitches), velocity),
        tracks=(Track(program, drums),),
        tempos=(Tempo(0, quarters),),
        metres=(Metre(0, 4, 4),),
    )


def band(bars: int = 16) -> Score:
    """A melody, chords, a bass and drums."""
    rows = []
    for bar in range(bars):
        root, begin = (57, 53, 60, 55)[bar % 4], bar * 4 * TICKS
        rows += [(begin + beat * TICKS, TICKS - 30, root - 12, 80, 1) for beat in range(4)]
        rows += [(begin, 4 * TICKS - 20, root + step, 55, 2) for step in (0, 4, 7)]
        rows += [
            (begin + half * TICKS // 2, TICKS // 2, root + (12, 16, 19, 24)[half % 4], 70, 0)
            for half in range(8)
        ]
        rows += [(begin + half * TICKS // 2, 60, 42, 60, 3) for half in range(8)]
        rows += [(begin + beat * TICKS, 60, (36, 38)[beat % 2], 100, 3) for beat in range(4)]
    return Score(
        ticks=TICKS,
        notes=Notes.of(*np.array(rows).T),
        tracks=(Track(73), Track(33), Track(0), Track(0, drums=True)),
        tempos=(Tempo(0, 112.0),),
        metres=(Metre(0, 4, 4),),
        title="Four chords",
    )


def decibels(sound: NDArray[np.float32]) -> float:
    """Root mean square, in decibels below full scale."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


def peak(sound: NDArray[np.float32]) -> float:
    """Largest absolute value, in decibels below full scale."""
    return float(20 * np.log10(np.abs(sound).max() + 1e-20))


def strongest(sound_T: NDArray[np.float32]) -> float:
    """Hertz of the strongest peak of the spectrum, between the lines of the transform."""
    window = np.hanning(len(sound_T))
    power = np.abs(np.fft.rfft(sound_T * window, 4 * len(sound_T)))
    at = int(power[1:-1].argmax()) + 1
    before, here, after = np.log(power[at - 1 : at + 2] + 1e-20)
    return float(
        (at + (before - after) / (2 * (before - 2 * here + after))) * RATE / (4 * len(sound_T))
    )


def hertz(pitch: int) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)
