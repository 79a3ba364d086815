"""Music as chords: all voices at the steps where one changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import from_mapping
from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import END_ID
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.contract import Ids, MusicEncoder, SnapReport, Table, pitch_name
from rhapsode.encoding.music.score import Score
from rhapsode.encoding.music.voices import HOLD_ID, REST, REST_ID, VoiceEncoder, VoiceSettings
from rhapsode.encoding.state_machine import Contexts, FiniteContexts, FiniteGrammar, Grammar
from rhapsode.errors import SettingsError

FIRST_ID = 2


@dataclass(frozen=True)
class ChordSettings(VoiceSettings):
    """Settings of `chords.v1`."""

    join: bool = True
    """Join repeated notes of a voice to one; this encoding has no other way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.join:
            raise SettingsError(
                "chords join repeated notes", where="[encoder] join", hint="use the encoding voices"
            )


class ChordEncoder(MusicEncoder):
    """Encoder of voices that often move together.

    A line of the notation is a step. It begins with the position of the step in its quarter note.
    If a voice changes there, the pitches of all voices follow in order of tracks, held ones too, so
    that the last few elements tell the whole chord. Repeated notes are joined.

    A sequence that writes a chord again where nothing changes has the same score as one that does
    not. Probabilities of canonical sequences therefore sum to at most one.
    """

    Settings = ChordSettings
    name = "chords.v1"
    openings = ("step:",)
    _known: ChordSettings

    @classmethod
    def fixed(cls, settings: ChordSettings) -> tuple[str, ...]:
        low, high = settings.range
        positions = (f"step:{position}" for position in range(settings.grid))
        return (*positions, REST, *(pitch_name(pitch) for pitch in range(high, low - 1, -1)))

    @classmethod
    def for_scores(cls, scores: Iterable[Score], settings: Mapping[str, Any]) -> Self:
        asked = from_mapping(cls.Settings, settings, where="[encoder]")
        cells = VoiceEncoder.for_scores(scores, asdict(asked))
        return cls.learn((), cells.settings)

    @cached_property
    def _cells(self) -> VoiceEncoder:
        """The encoder of cells, whose voices these are."""
        known = {each.name for each in fields(VoiceSettings)}
        own = {name: value for name, value in asdict(self._known).items() if name in known}
        return VoiceEncoder.learn((), own)

    @property
    def voices(self) -> int:
        """Number of voices."""
        return self._known.voices

    @property
    def grid(self) -> int:
        """Steps a quarter note."""
        return self._known.grid

    @property
    def _rest(self) -> int:
        return FIRST_ID + self.grid

    def fields(self) -> tuple[tuple[str, ...], Table]:
        kind_V = np.where(self.pitch_V >= 0, 3, 0)
        kind_V[FIRST_ID : self._rest] = 1
        kind_V[self._rest] = 2
        return ("end", "time", "rest", "pitch"), kind_V

    def elements(self, score: Score) -> Ids:
        cell_TK = self._cells.elements(score).astype(np.int64).reshape(-1, self.voices)
        steps = len(cell_TK)
        changes_TK = cell_TK != HOLD_ID
        # The step in which the element of each cell was written last; all voices rest before.
        written_TK = np.where(changes_TK, np.arange(steps)[:, None], -1)
        written_TK = np.maximum.accumulate(written_TK, axis=0) if steps else written_TK
        last_TK = np.take_along_axis(cell_TK, np.maximum(written_TK, 0), axis=0)
        pitch_TK = np.where(written_TK < 0, REST_ID, last_TK) - REST_ID + self._rest
        written_T = changes_TK.any(axis=1)
        size_T = 1 + self.voices * written_T
        begin_T = np.cumsum(size_T) - size_T
        ids_N = np.zeros(int(size_T.sum()), dtype=np.uint16)
        ids_N[begin_T] = FIRST_ID + np.arange(steps) % self.grid
        places_MK = begin_T[written_T][:, None] + np.arange(1, self.voices + 1)
        ids_N[places_MK] = pitch_TK[written_T]
        return ids_N

    def score_of(self, ids: AnyIds) -> Score:
        silent = [REST_ID] * self.voices
        sounding, rows = silent, list[list[int]]()
        chord: list[int] | None = None

        def close() -> None:
            nonlocal sounding
            if chord is None:
                return
            now = [*chord, *sounding[len(chord) :]]
            pairs = zip(sounding, now, strict=True)
            rows.append([HOLD_ID if one == other else other for one, other in pairs])
            sounding = now

        for element in np.asarray(ids, dtype=np.int64).tolist():
            if FIRST_ID <= element < self._rest:
                close()
                chord = []
            elif element >= self._rest and chord is not None and len(chord) < self.voices:
                chord.append(element - self._rest + REST_ID)
        close()
        return self._cells.score_of(np.array(rows, dtype=np.int64).reshape(-1))

    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        return self._cells.snap(score)

    @cached_property
    def _walk(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Position and voices written of each state, and transitions, (S, V).

        State 0 is the beginning; a state follows for each position and number of voices.
        """
        voices, grid = self.voices, self.grid
        position_S, written_S = np.divmod(np.arange(grid * (voices + 1)), voices + 1)
        # The beginning is as the end of the last position.
        position_S = np.append(grid - 1, position_S)
        written_S = np.append(voices, written_S)
        own_S = np.arange(len(position_S))
        next_SV = np.repeat(own_S[:, None], self.vocab_size, axis=1)
        for position in range(grid):
            next_SV[:, FIRST_ID + position] = 1 + position * (voices + 1)
        next_SV[:, self._rest :] = np.where(written_S < voices, own_S + 1, own_S)[:, None]
        next_SV[:, END_ID] = 0
        return position_S, written_S, next_SV.astype(np.int32)

    @cached_property
    def _grammar(self) -> FiniteGrammar:
        position_S, written_S, next_SV = self._walk
        allowed_SV = np.zeros(next_SV.shape, dtype=np.bool_)
        complete_S = (written_S == 0) | (written_S == self.voices)
        following_S = FIRST_ID + (position_S + 1) % self.grid
        allowed_SV[complete_S, following_S[complete_S]] = True
        allowed_SV[complete_S, END_ID] = True
        allowed_SV[:, self._rest : self._rest + 1 + self._pitches] = (written_S < self.voices)[
            :, None
        ]
        return FiniteGrammar(GrammarTable(next_SV, allowed_SV))

    @property
    def _pitches(self) -> int:
        low, high = self._known.range
        return high - low + 1

    def grammar(self) -> Grammar:
        """Positions in turn, after each no voice or all of them."""
        return self._grammar

    def contexts(self) -> Contexts:
        """The position of the step, and how many voices it has."""
        position_S, written_S, next_SV = self._walk
        values_SC = np.stack((position_S, written_S), axis=1)
        sizes = (self.grid, self.voices + 1)
        return FiniteContexts(ContextsTable(next_SV, values_SC, sizes))
