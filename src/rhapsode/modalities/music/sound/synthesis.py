"""Sound of a score by the package's own synthesiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError
from rhapsode.modalities.music.sound.timbres import VOICES, drum_row, voice_of, voice_table

RATE = 44_100
# Hours of a piece at most: a damaged file can claim weeks, and an hour takes 3 GB.
LONGEST = 2
# Seconds after the last note.
TAIL = 2.0
CEILING = 10 ** (-1.2 / 20)
LOUDNESS = 10 ** (-19 / 20)
_ROOM = 0.006


def seconds_of(score: Score, tick_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Times of ticks in seconds from the beginning."""
    starts = np.array([0, *(tempo.start for tempo in score.tempos)], np.float64)
    quarters = np.array([120.0, *(tempo.quarters for tempo in score.tempos)])
    passed = np.cumsum(np.diff(starts, append=starts[-1]) * 60 / (score.ticks * quarters))
    passed = np.concatenate(([0.0], passed[:-1]))
    part_N = np.searchsorted(starts, tick_N, "right") - 1
    seconds_N: NDArray[np.float64] = passed[part_N] + (tick_N - starts[part_N]) * 60 / (
        score.ticks * quarters[part_N]
    )
    return seconds_N


def sounding_ends(score: Score) -> NDArray[np.int64]:
    """Ticks at which the notes end, held by the pedal.

    A pedal holds a note until it is lifted or the same key is struck again.
    """
    notes = score.notes
    end_N = notes.start_N + notes.length_N
    for track in {pedal.track for pedal in score.pedals}:
        pedals = sorted((p.start, p.start + p.length) for p in score.pedals if p.track == track)
        begins, lifts = np.array(pedals).T
        own = np.flatnonzero(notes.track_N == track)
        place = np.searchsorted(begins, end_N[own], "right") - 1
        held = (place >= 0) & (end_N[own] < lifts[place])
        end_N[own[held]] = lifts[place[held]]
    order_N = np.lexsort((notes.start_N, notes.pitch_N, notes.track_N))
    key_N = notes.track_N[order_N] * 128 + notes.pitch_N[order_N]
    following_N = np.append(notes.start_N[order_N][1:], 0)
    same_N = np.append(key_N[1:] == key_N[:-1], False)
    struck_N = np.where(same_N, following_N, np.iinfo(np.int64).max)
    own_N = (notes.start_N + notes.length_N)[order_N]
    end_N[order_N] = np.maximum(own_N, np.minimum(end_N[order_N], struck_N))
    return end_N


def check_length(seconds: float) -> None:
    """Check that a piece is not too long to be rendered.

    Raises:
        DataError: it lasts longer than two hours.
    """
    if seconds > LONGEST * 3600:
        raise DataError(
            f"the piece lasts {seconds / 3600:,.1f} hours",
            hint=f"at most {LONGEST} hours are rendered; choose a faster tempo",
        )


def synthesise(score: Score) -> NDArray[np.float32]:
    """Render a score in stereo at 44,100 samples a second.

    Returns:
        Shape (2, samples), peaks at most -1 dB below full scale.

    Raises:
        DataError: the piece lasts longer than two hours.
    """
    from rhapsode.modalities.music.sound.oscillators import add_drums, add_notes, add_room

    notes = score.notes
    begin_N = seconds_of(score, notes.start_N)
    end_N = seconds_of(score, sounding_ends(score))
    last = max(score.seconds(score.end), float(end_N.max(initial=0.0)))
    check_length(last)
    sound_2T = np.zeros((2, round((last + TAIL) * RATE)), np.float32)
    gain_N = 0.06 + 0.94 * (notes.velocity_N / 127.0) ** 1.7
    first_N = np.rint(begin_N * RATE).astype(np.int64)
    samples_N = np.maximum(1, np.rint((end_N - begin_N) * RATE).astype(np.int64))
    drum_N = np.array([track.drums for track in score.tracks], bool)[notes.track_N]
    names = list(VOICES)
    voices = np.array([names.index(voice_of(track.program)) for track in score.tracks])
    places = _places(score)
    tone = np.flatnonzero(~drum_N)
    if len(tone):
        pitch_N = notes.pitch_N[tone].astype(np.float64)
        place_N = places[notes.track_N[tone]] + (pitch_N - 60) / 160
        tone_NK = np.stack(
            (
                440 * 2 ** ((pitch_N - 69) / 12),
                gain_N[tone],
                notes.velocity_N[tone] / 127.0,
                np.clip(place_N, -0.8, 0.8),
            ),
            axis=1,
        )
        voice_N = voices[notes.track_N[tone]]
        span_N2 = np.stack((first_N[tone], samples_N[tone]), axis=1)
        add_notes(sound_2T, span_N2, tone_NK, voice_N, voice_table())
    drum = np.flatnonzero(drum_N)
    if len(drum):
        rows = {pitch: drum_row(pitch) for pitch in set(notes.pitch_N[drum].tolist())}
        drum_NK = np.array([rows[pitch] for pitch in notes.pitch_N[drum].tolist()])
        add_drums(sound_2T, first_N[drum], gain_N[drum], drum_NK)
    add_room(sound_2T, _ROOM)
    return finished(sound_2T)


def finished(sound_2T: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a sound to the usual loudness, in place.

    Peaks are limited, and the end fades out.
    """
    from rhapsode.modalities.music.sound.oscillators import limit

    level = loudness(sound_2T)
    if level > 0:
        sound_2T *= np.float32(LOUDNESS / level)
    limit(sound_2T, CEILING)
    fade = min(sound_2T.shape[1], RATE // 5)
    sound_2T[:, sound_2T.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound_2T


def loudness(sound_2T: NDArray[np.float32]) -> float:
    """Root mean square of the louder parts of a sound.

    Stretches of 0.1 s count that are at most 20 dB below the loudest.
    """
    size = RATE // 10
    count = sound_2T.shape[1] // size
    if not count:
        return float(np.sqrt(np.mean(sound_2T**2))) if sound_2T.size else 0.0
    power = np.square(sound_2T[:, : count * size]).reshape(2, count, size).mean((0, 2))
    return float(np.sqrt(power[power >= 0.01 * power.max()].mean()))


def _places(score: Score) -> NDArray[np.float64]:
    """Positions of the tracks between left and right; basses stay in the middle."""
    used = sorted(set(score.notes.track_N.tolist()))
    high = [t for t in used if voice_of(score.tracks[t].program) != "bass"]
    high = [track for track in high if not score.tracks[track].drums]
    place = np.zeros(len(score.tracks))
    if len(high) > 1:
        # From the middle outwards, in turns.
        order = np.arange(1, len(high) + 1) // 2 * np.where(np.arange(len(high)) % 2, 1, -1)
        place[high] = order / max(1, np.abs(order).max()) * 0.45
    return place
