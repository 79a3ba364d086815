"""Music as frames: pitches that sound in steps of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping
from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import END_ID
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.contract import (
    LINE,
    Ids,
    MusicEncoder,
    SnapReport,
    Table,
    dropped_of,
    pitch_name,
    pitch_range,
    rounded,
    shifts,
    sounding,
)
from rhapsode.encoding.music.score import DEFAULT_TICKS, Notes, Score, Track
from rhapsode.encoding.state_machine import Contexts, FiniteContexts, FiniteGrammar, Grammar
from rhapsode.errors import SettingsError

STEP_ID = 2
_RANKS = 8
NOT_KEPT = ("tempos", "metres", "keys", "chords", "pedals")


@dataclass(frozen=True)
class FrameSettings:
    """Settings of `frames.v1`."""

    grid: Annotated[int, Meta(ge=1, le=96)] = 4
    """Steps a quarter note: 1 for quarters, 4 for sixteenths."""
    lowest: Annotated[int, Meta(ge=0, le=127)] | None = None
    """Lowest MIDI pitch; lower notes are dropped. Null: the scores decide it."""
    highest: Annotated[int, Meta(ge=0, le=127)] | None = None
    """Highest MIDI pitch; higher notes are dropped. Null: the scores decide it."""

    def __post_init__(self) -> None:
        low, high = self.range
        if low > high:
            raise SettingsError(
                f"the lowest pitch {low} lies above the highest {high}", where="[encoder] lowest"
            )

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest pitch, the widest where they are null."""
        return (
            0 if self.lowest is None else self.lowest,
            127 if self.highest is None else self.highest,
        )


class FrameEncoder(MusicEncoder):
    """Encoder of the pitches in each step of a grid.

    A line of the notation is a step, its pitches from the highest down. Notes that last for several
    steps stand in each of them, and a pitch in consecutive steps is one note: repeated notes are
    joined. Tracks, velocities and all but notes are lost, drums are left out. Every set of pitches
    has exactly one sequence, which the grammar enforces, so that probabilities of sequences are
    those of sets.
    """

    Settings = FrameSettings
    name = "frames.v1"
    line_feeds = True
    _known: FrameSettings

    @classmethod
    def fixed(cls, settings: FrameSettings) -> tuple[str, ...]:
        low, high = settings.range
        return (LINE, *(pitch_name(pitch) for pitch in range(high, low - 1, -1)))

    @classmethod
    def for_scores(cls, scores: Iterable[Score], settings: Mapping[str, Any]) -> Self:
        return cls.of_names({}, in_range(cls.Settings, scores, settings))

    @property
    def grid(self) -> int:
        """Steps a quarter note."""
        return self._known.grid

    def fields(self) -> tuple[tuple[str, ...], Table]:
        kind_V = np.where(self.pitch_V >= 0, 2, 0)
        kind_V[STEP_ID] = 1
        return ("end", "time", "pitch"), kind_V

    def elements(self, score: Score) -> Ids:
        notes = score.notes.select(self._kept_N(score))
        start_N, end_N = spans_of(notes, self.grid, score.ticks)
        steps = int(rounded(np.array(score.end), self.grid, score.ticks))
        steps = max(steps, int(end_N.max(initial=0)))
        note_N, step_N = expanded(start_N, end_N - start_N)
        key_N = np.unique(step_N * 128 + 127 - notes.pitch_N[note_N])
        step_N, down_N = key_N >> 7, key_N & 127
        ids_N = np.full(len(key_N) + steps, STEP_ID, dtype=np.uint16)
        ids_N[np.arange(len(key_N)) + step_N] = down_N - (127 - self._known.range[1]) + STEP_ID + 1
        return ids_N

    def score_of(self, ids: AnyIds) -> Score:
        ids_N = np.asarray(ids, dtype=np.int64)
        step_N = np.cumsum(ids_N == STEP_ID)
        pitch_N = self.pitch_V[ids_N] if len(ids_N) else ids_N
        notes_N = pitch_N >= 0
        steps = int(step_N[-1]) if len(ids_N) else 0
        steps = max(steps, int(step_N[notes_N].max(initial=-1)) + 1)
        return _joined(step_N[notes_N], pitch_N[notes_N], steps, self.grid)

    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        kept_N = self._kept_N(score)
        notes = score.notes.select(kept_N)
        start_N, end_N = spans_of(notes, self.grid, score.ticks)
        snapped = self.score_of(self.elements(score))
        apart = int((~sounding(score.notes, score)).sum())
        report = SnapReport(
            notes=len(snapped.notes),
            lengths=int(((end_N - start_N) * score.ticks != notes.length_N * self.grid).sum()),
            velocities=int((notes.velocity_N != 80).sum()),
            dropped={
                "drums": apart,
                "notes out of range": int((~kept_N).sum()) - apart,
                "joined notes": int(kept_N.sum()) - len(snapped.notes),
                **dropped_of(score, *NOT_KEPT),
            },
            **shifts(notes.start_N / score.ticks, start_N / self.grid),
        )
        return snapped, report

    def _kept_N(self, score: Score) -> NDArray[np.bool_]:
        pitch_N = score.notes.pitch_N
        low, high = self._known.range
        within_N = (pitch_N >= low) & (pitch_N <= high)
        return sounding(score.notes, score) & within_N

    @cached_property
    def _grammar(self) -> FiniteGrammar:
        # State 0 is the beginning of a step, state i the i-th pitch from above.
        low, high = self._known.range
        pitches = high - low + 1
        next_SV = np.repeat(np.arange(pitches + 1)[:, None], self.vocab_size, axis=1)
        first = STEP_ID + 1
        next_SV[:, first : first + pitches] = np.arange(1, pitches + 1)
        next_SV[:, [END_ID, STEP_ID]] = 0
        allowed_SV = np.zeros(next_SV.shape, dtype=np.bool_)
        allowed_SV[:, STEP_ID] = True
        allowed_SV[0, END_ID] = True
        order = np.arange(1, pitches + 1)
        allowed_SV[:, first : first + pitches] = order > np.arange(pitches + 1)[:, None]
        return FiniteGrammar(GrammarTable(next_SV.astype(np.int32), allowed_SV))

    def grammar(self) -> Grammar:
        """Pitches descend within a step, and a piece ends after a step."""
        return self._grammar

    def contexts(self) -> Contexts:
        """Pitches of the step so far, and its place in the quarter."""
        rank_S, beat_S = np.divmod(np.arange((_RANKS + 1) * self.grid), self.grid)
        next_SV = np.repeat(np.arange(len(rank_S))[:, None], self.vocab_size, axis=1)
        higher_S = np.minimum(rank_S + 1, _RANKS) * self.grid + beat_S
        next_SV[:, self.pitch_V >= 0] = higher_S[:, None]
        next_SV[:, STEP_ID] = (beat_S + 1) % self.grid
        next_SV[:, END_ID] = 0
        sizes = (_RANKS + 1, self.grid)
        values_SC = np.stack((rank_S, beat_S), axis=1)
        return FiniteContexts(ContextsTable(next_SV.astype(np.int32), values_SC, sizes))


Settings = TypeVar("Settings", bound=FrameSettings)


def in_range(
    kind: type[Settings], scores: Iterable[Score], settings: Mapping[str, Any]
) -> Settings:
    """Settings with a range; without one, that of scores in all keys."""
    known = from_mapping(kind, settings, where="[encoder]")
    low, high = pitch_range(scores)
    return replace(
        known,
        lowest=low if known.lowest is None else known.lowest,
        highest=high if known.highest is None else known.highest,
    )


def roll_score(frames: Iterable[Sequence[int]], grid: int, **parts: object) -> Score:
    """The score of a roll: pitches that sound in each step.

    Arguments:
        frames: the pitches of each step, in any order.
        grid: steps a quarter note.
        parts: further fields of the score.
    """
    sets = [sorted(set(frame)) for frame in frames]
    step_N = np.repeat(np.arange(len(sets)), [len(frame) for frame in sets])
    pitch_N = np.array([pitch for frame in sets for pitch in frame], dtype=np.int64)
    return _joined(step_N, pitch_N, len(sets), grid, **parts)


def score_ticks(grid: int) -> int:
    """Ticks a quarter of scores on a grid, a multiple of it."""
    return math.lcm(DEFAULT_TICKS, grid)


def _joined(
    step_N: NDArray[np.int64], pitch_N: NDArray[np.int64], steps: int, grid: int, **parts: object
) -> Score:
    """The score in which a pitch in consecutive steps is one note."""
    key_N = np.unique(pitch_N * (steps + 1) + step_N)
    first_N = np.diff(key_N, prepend=-2) != 1
    start_N = key_N[first_N]
    # No run crosses to the next pitch: the last step is always silent.
    last_N = key_N[np.append(first_N[1:], True)] if len(key_N) else key_N
    ticks = score_ticks(grid)
    step = ticks // grid
    notes = Notes.of(
        start_N % (steps + 1) * step, (last_N - start_N + 1) * step, start_N // (steps + 1)
    )
    whole: dict[str, object] = {"ticks": ticks, "notes": notes, "tracks": (Track(),)}
    return Score(**{**whole, "end": steps * step, **parts})  # type: ignore[arg-type]


def expanded(
    start_N: NDArray[np.int64], length_N: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every step of every note: indexes of notes, and steps."""
    note_N = np.repeat(np.arange(len(start_N)), length_N)
    within_N = np.arange(len(note_N)) - np.repeat(np.cumsum(length_N) - length_N, length_N)
    return note_N, start_N[note_N] + within_N


def spans_of(notes: Notes, grid: int, ticks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First step of each note, and the step after its last."""
    start_N = rounded(notes.start_N, grid, ticks)
    end_N = rounded(notes.start_N + notes.length_N, grid, ticks)
    return start_N, np.maximum(end_N, start_N + 1)
