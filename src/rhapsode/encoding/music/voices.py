"""Music as voices, each with a cell a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import END_ID, UNKNOWN_TEXT, IncrementalDecoder
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.contract import (
    Ids,
    MusicEncoder,
    SnapReport,
    Table,
    dropped_of,
    pitch_name,
    rounded,
    shifts,
    sounding,
)
from rhapsode.encoding.music.pitch_frames import (
    NOT_KEPT,
    FrameSettings,
    expanded,
    in_range,
    score_ticks,
    spans_of,
)
from rhapsode.encoding.music.score import Notes, Score, Track
from rhapsode.encoding.state_machine import Contexts, FiniteContexts, FiniteGrammar, Grammar

HOLD, REST = "hold", "rest"
HOLD_ID, REST_ID, FIRST_ID = 2, 3, 4
_SILENT = -1


@dataclass(frozen=True)
class VoiceSettings(FrameSettings):
    """Settings of `voices.v1`."""

    voices: Annotated[int, Meta(ge=1, le=8)] = 4
    """Number of voices, from the highest down."""
    join: bool = False
    """Join repeated notes of a voice to one, for sources that do not tell repeated from held
    notes."""


class VoiceEncoder(MusicEncoder):
    """Encoder of voices, one element for each voice and step.

    A line of the notation is a step, with the voices in order of tracks. An element is a pitch that
    begins, a rest that begins, or `hold`, which prolongs either; before the first step all voices
    rest. Where a piece has another number of tracks, the voices are the pitches that sound, from
    the highest down. Every matrix of cells has exactly one sequence.
    """

    Settings = VoiceSettings
    name = "voices.v1"
    _known: VoiceSettings

    @classmethod
    def fixed(cls, settings: VoiceSettings) -> tuple[str, ...]:
        low, high = settings.range
        return (HOLD, REST, *(pitch_name(pitch) for pitch in range(high, low - 1, -1)))

    @classmethod
    def for_scores(cls, scores: Iterable[Score], settings: Mapping[str, Any]) -> Self:
        return cls.of_names({}, in_range(cls.Settings, scores, settings))

    @property
    def voices(self) -> int:
        """Number of voices."""
        return self._known.voices

    @property
    def grid(self) -> int:
        """Steps a quarter note."""
        return self._known.grid

    def decoder(self) -> IncrementalDecoder:
        return _Cells(("", UNKNOWN_TEXT, *self.vocabulary), self.voices)

    def fields(self) -> tuple[tuple[str, ...], Table]:
        kind_V = np.where(self.pitch_V >= 0, 3, 0)
        kind_V[HOLD_ID], kind_V[REST_ID] = 1, 2
        return ("end", "hold", "rest", "pitch"), kind_V

    def elements(self, score: Score) -> Ids:
        ids_TK, _ = self._cells(score)
        return ids_TK.reshape(-1).astype(np.uint16)

    def _cells(self, score: Score) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Elements by step and voice, (T, K), and indexes of the notes that have a voice."""
        notes = score.notes
        low, high = self._known.range
        within_N = (notes.pitch_N >= low) & (notes.pitch_N <= high)
        chosen_N = np.flatnonzero(sounding(notes, score) & within_N)
        chosen = notes.select(chosen_N)
        spans = spans_of(chosen, self.grid, score.ticks)
        steps = int(rounded(np.array(score.end), self.grid, score.ticks))
        steps = max(steps, int(spans[1].max(initial=0)))
        drums_K = np.array([track.drums for track in score.tracks], dtype=np.bool_)
        place_TK = np.full((steps, self.voices), _SILENT)
        if (~drums_K).sum() == self.voices:
            _place_tracks(place_TK, (np.cumsum(~drums_K) - 1)[chosen.track_N], chosen, *spans)
        else:
            _place_ranks(place_TK, chosen, *spans)
        pitch_TK = np.append(chosen.pitch_N, 0).astype(np.int64)[place_TK]
        pitch_TK[place_TK == _SILENT] = _SILENT
        told_TK = pitch_TK if self._known.join else place_TK
        held_TK = np.diff(told_TK, axis=0, prepend=_SILENT) == 0
        ids_TK = np.where(pitch_TK >= 0, FIRST_ID + high - pitch_TK, REST_ID)
        ids_TK[held_TK] = HOLD_ID
        return ids_TK, chosen_N[np.unique(place_TK[place_TK >= 0])]

    def score_of(self, ids: AnyIds) -> Score:
        ids_N = np.asarray(ids, dtype=np.int64)
        cells_N = (ids_N == HOLD_ID) | (ids_N == REST_ID)
        ids_N = ids_N[cells_N | (self.pitch_V[ids_N] >= 0)] if len(ids_N) else ids_N
        steps = -(-len(ids_N) // self.voices)
        whole_N = np.full(steps * self.voices, HOLD_ID)
        whole_N[: len(ids_N)] = ids_N
        return self._score(whole_N.reshape(steps, self.voices))

    def _score(self, ids_TK: NDArray[np.int64]) -> Score:
        steps = len(ids_TK)
        ticks = score_ticks(self.grid)
        # Voice after voice; a change begins wherever a cell is not held, and at each voice's start.
        ids_N = ids_TK.T.reshape(-1)
        change_N = ids_N != HOLD_ID
        change_N[:: max(1, steps)] = True
        begin_N = np.flatnonzero(change_N)
        end_N = np.append(begin_N[1:], len(ids_N))[: len(begin_N)]
        pitch_N = self.pitch_V[ids_N[begin_N]] if len(begin_N) else begin_N
        note_N = pitch_N >= 0
        step = ticks // self.grid
        notes = Notes.of(
            begin_N[note_N] % max(1, steps) * step,
            (end_N - begin_N)[note_N] * step,
            pitch_N[note_N],
            track=begin_N[note_N] // max(1, steps),
        )
        tracks = (Track(),) * self.voices
        return Score(ticks=ticks, notes=notes, tracks=tracks, end=steps * step)

    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        ids_TK, remaining_N = self._cells(score)
        snapped = self._score(ids_TK)
        notes = score.notes.select(remaining_N)
        start_N, end_N = spans_of(notes, self.grid, score.ticks)
        apart = int((~sounding(score.notes, score)).sum())
        report = SnapReport(
            notes=len(snapped.notes),
            lengths=int(((end_N - start_N) * score.ticks != notes.length_N * self.grid).sum()),
            velocities=int((notes.velocity_N != 80).sum()),
            dropped={
                "drums": apart,
                "notes without a voice": len(score.notes) - apart - len(notes),
                **dropped_of(score, *NOT_KEPT),
            },
            **shifts(notes.start_N / score.ticks, start_N / self.grid),
        )
        return snapped, report

    @cached_property
    def _walk(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """The voice of each state, the voices that rest as bits, and transitions, (S, V)."""
        voices = self.voices
        voice_S, rests_S = np.divmod(np.arange(voices << voices), 1 << voices)
        # State 0: the first voice is next, and all rest; a bit stands for a voice that sounds.
        bit_S = 1 << voice_S
        after_S = (voice_S + 1) % voices << voices
        next_SV = np.repeat(np.arange(len(voice_S))[:, None], self.vocab_size, axis=1)
        next_SV[:, HOLD_ID] = after_S + rests_S
        next_SV[:, REST_ID] = after_S + (rests_S & ~bit_S)
        next_SV[:, self.pitch_V >= 0] = (after_S + (rests_S | bit_S))[:, None]
        next_SV[:, END_ID] = 0
        return voice_S, rests_S & bit_S, next_SV.astype(np.int32)

    def _pitch_of(self, voice: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The automaton of one voice, which begins no pitch that it sounds already.

        A state is the next voice and the pitch of this one, 0 while it rests.

        Returns:
            Transitions and allowed elements, (S, V).
        """
        pitch_V = np.flatnonzero(self.pitch_V >= 0)
        next_S, now_S = np.divmod(np.arange(self.voices * (len(pitch_V) + 1)), len(pitch_V) + 1)
        own_S = next_S == voice
        after_S = (next_S + 1) % self.voices * (len(pitch_V) + 1)
        next_SV = np.repeat(np.arange(len(now_S))[:, None], self.vocab_size, axis=1)
        next_SV[:, END_ID] = 0
        next_SV[:, HOLD_ID] = after_S + now_S
        next_SV[:, REST_ID] = after_S + np.where(own_S, 0, now_S)
        allowed_SV = np.ones(next_SV.shape, dtype=np.bool_)
        for number, element in enumerate(pitch_V, 1):
            next_SV[:, element] = after_S + np.where(own_S, number, now_S)
            allowed_SV[:, element] = ~own_S | (now_S != number)
        return next_SV, allowed_SV

    def grammar(self) -> Grammar:
        """No rest follows a rest, and all voices are equally long.

        If repeated notes are joined, no voice begins the pitch that it sounds.
        """
        voice_S, sounds_S, next_SV = self._walk
        allowed_SV = np.zeros(next_SV.shape, dtype=np.bool_)
        allowed_SV[:, HOLD_ID] = True
        allowed_SV[:, REST_ID] = sounds_S > 0
        allowed_SV[:, self.pitch_V >= 0] = True
        allowed_SV[:, END_ID] = voice_S == 0
        automata = [(next_SV.astype(np.int64), allowed_SV)]
        if self._known.join:
            automata += map(self._pitch_of, range(self.voices))
        return FiniteGrammar(GrammarTable.of_several(automata))

    def contexts(self) -> Contexts:
        """The voice, the step within the quarter, and whether the voice sounds."""
        voice_S, sounds_S, next_SV = self._walk
        states, grid = len(voice_S), self.grid
        # The step advances with the first voice of each step.
        last_SV = (voice_S == self.voices - 1)[:, None] & (voice_S[next_SV] == 0)
        beats = np.arange(grid)[:, None, None]
        later = np.where(last_SV, (beats + 1) % grid, beats)
        later[:, :, END_ID] = 0
        whole_SV = (later * states + next_SV).reshape(grid * states, -1).astype(np.int32)
        values_SC = np.stack(
            (
                np.tile(voice_S, grid),
                np.repeat(np.arange(grid), states),
                np.tile(sounds_S > 0, grid),
            ),
            axis=1,
        )
        sizes = (self.voices, grid, 2)
        return FiniteContexts(ContextsTable(whole_SV, values_SC.astype(np.int64), sizes))


class _Cells(IncrementalDecoder):
    """Lines of as many names as there are voices."""

    def __init__(self, texts: Sequence[str], voices: int) -> None:
        self._texts = texts
        self._voices = voices
        self._read = 0

    def feed(self, ids: AnyIds) -> str:
        parts: list[str] = []
        for element in ids:
            if not self._texts[element]:
                continue
            if self._read:
                parts.append("\n" if self._read % self._voices == 0 else " ")
            parts.append(self._texts[element])
            self._read += 1
        return "".join(parts)

    def finish(self) -> str:
        return ""


def _place_tracks(
    place_TK: NDArray[np.int64],
    voice_N: NDArray[np.int64],
    notes: Notes,
    start_N: NDArray[np.int64],
    end_N: NDArray[np.int64],
) -> None:
    """Write the note of each cell, voices being tracks.

    Of notes of a voice that begin together the highest remains, and the next note ends it.
    """
    order_N = np.lexsort((notes.pitch_N, start_N, voice_N))
    voice_N, start_N, end_N = voice_N[order_N], start_N[order_N], end_N[order_N]
    same_N = np.append(voice_N[1:] == voice_N[:-1], False)[: len(order_N)]
    following_N = np.where(same_N, np.append(start_N[1:], 0)[: len(order_N)], end_N)
    length_N = np.minimum(end_N, following_N) - start_N
    note_N, step_N = expanded(start_N, length_N)
    place_TK[step_N, voice_N[note_N]] = order_N[note_N]


def _place_ranks(
    place_TK: NDArray[np.int64], notes: Notes, start_N: NDArray[np.int64], end_N: NDArray[np.int64]
) -> None:
    """Write the note of each cell, voices being sounding pitches from the highest down."""
    note_N, step_N = expanded(start_N, end_N - start_N)
    pitch_N = notes.pitch_N[note_N].astype(np.int64)
    order_N = np.lexsort((-start_N[note_N], -pitch_N, step_N))
    note_N, step_N, pitch_N = note_N[order_N], step_N[order_N], pitch_N[order_N]
    # The latest of notes of the same pitch remains.
    _, first_N = np.unique(step_N * 128 + 127 - pitch_N, return_index=True)
    note_N, step_N = note_N[first_N], step_N[first_N]
    rank_N = np.arange(len(step_N)) - np.searchsorted(step_N, step_N)
    within_N = rank_N < place_TK.shape[1]
    place_TK[step_N[within_N], rank_N[within_N]] = note_N[within_N]
