"""Music as a performance: keys that go down and up in time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.encoding.automata import GrammarTable
from rhapsode.encoding.contract import END_ID
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.contract import (
    Ids,
    MusicEncoder,
    SnapReport,
    Table,
    dropped_of,
    pitch_name,
    shifts,
    sounding,
)
from rhapsode.encoding.music.notes.bars import seconds_at
from rhapsode.encoding.music.score import Notes, Pedal, Score, Track
from rhapsode.encoding.state_machine import FiniteGrammar, Grammar
from rhapsode.errors import SettingsError

Ints = NDArray[np.int64]

STEPS_PER_SECOND = 100
LONGEST_SHIFT = 100
# At 120 quarters a minute, a step of 10 ms is a whole number of ticks.
_TICKS = 500
_STEP = 10
_UP, _DOWN = "pedal:up", "pedal:down"
# Beginnings of names by kind, in order of id.
_HEADS = ("", "shift:", "off:", "pedal:", "vel:", "on:")


@dataclass(frozen=True)
class PerformanceSettings:
    """Settings of `performance.v1`."""

    lowest: Annotated[int, Meta(ge=0, le=127)] = 21
    """Lowest MIDI pitch; lower notes are dropped."""
    highest: Annotated[int, Meta(ge=0, le=127)] = 108
    """Highest MIDI pitch; higher notes are dropped."""
    velocities: bool = True
    """Keep 32 levels of loudness."""
    pedal: bool = True
    """Keep the sustain pedal."""

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise SettingsError(
                f"the lowest pitch {self.lowest} lies above the highest {self.highest}",
                where="[encoder] lowest",
            )


class PerformanceEncoder(MusicEncoder):
    """Encoder of keys going down and up, in steps of 10 ms.

    `shift:30` waits for 30 steps, `on:C4` and `off:C4` press and release a key, `vel:20` tells the
    loudness of the keys from there on. Bars, tempo and tracks are lost, drums are left out. At one
    time keys go up, from the highest to the lowest, then the pedal moves, then keys go down from
    the highest to the lowest. A key that is down goes up before it goes down again.
    """

    Settings = PerformanceSettings
    name = "performance.v1"
    openings = ("shift:",)
    _known: PerformanceSettings

    @classmethod
    def fixed(cls, settings: PerformanceSettings) -> tuple[str, ...]:
        pitches = range(settings.highest, settings.lowest - 1, -1)
        return (
            *(f"shift:{steps}" for steps in range(1, LONGEST_SHIFT + 1)),
            *(f"off:{pitch_name(pitch)}" for pitch in pitches),
            *((_UP, _DOWN) if settings.pedal else ()),
            *((f"vel:{level}" for level in range(32)) if settings.velocities else ()),
            *(f"on:{pitch_name(pitch)}" for pitch in pitches),
        )

    @cached_property
    def pitch_V(self) -> Table:
        """MIDI pitch of elements of keys, (V,); -1 for others."""
        pitch_V = np.full(self.vocab_size, -1)
        for begin in (self._first("off:"), self._first("on:")):
            pitch_V[begin : begin + self._keys] = self._known.highest - np.arange(self._keys)
        return pitch_V

    @property
    def _keys(self) -> int:
        return self._known.highest - self._known.lowest + 1

    def _first(self, head: str) -> int:
        """Id of the first element whose name begins so."""
        return self._begins[head]

    @cached_property
    def _begins(self) -> dict[str, int]:
        begins: dict[str, int] = {}
        for element, name in enumerate(self.vocabulary[: self._fixed], 2):
            begins.setdefault(name[: name.index(":") + 1], element)
        return begins

    @cached_property
    def _kind_V(self) -> Table:
        kind_V = np.zeros(self.vocab_size, dtype=np.int64)
        for kind, head in enumerate(_HEADS):
            if head in self._begins:
                kind_V[self._begins[head] : self._fixed + 2] = kind
        return kind_V

    def fields(self) -> tuple[tuple[str, ...], Table]:
        return ("end", "time", "release", "pedal", "velocity", "press"), self._kind_V

    def elements(self, score: Score) -> Ids:
        notes, start_N, end_N = self._spans(score)
        level_N = self._levels(notes)
        off, on = self._first("off:"), self._first("on:")
        down_N = self._known.highest - notes.pitch_N.astype(np.int64)
        pedal_M, pedal_ids = self._pedal_moves(score)
        time_R = np.concatenate((end_N, pedal_M, start_N))
        ids_R = np.concatenate((off + down_N, pedal_ids, on + down_N))
        # Ids of one time ascend: off, pedal up, pedal down, on, each by descending pitch.
        order_R = np.lexsort((ids_R, time_R))
        quiet_R = np.full(len(end_N) + len(pedal_M), -1)
        level_R = np.concatenate((quiet_R, level_N))[order_R]
        time_R, ids_R = time_R[order_R], ids_R[order_R]
        total = max(int(_steps(score, np.array([score.end]))[0]), int(time_R.max(initial=0)))
        long_R, rest_R = np.divmod(np.diff(np.append(time_R, total), prepend=0), LONGEST_SHIFT)
        pressed = np.flatnonzero(level_R >= 0)
        loud_R = np.zeros(len(ids_R), dtype=np.bool_)
        if self._known.velocities:
            loud_R[pressed] = np.diff(level_R[pressed], prepend=self._level(80)) != 0
        size_R = long_R + (rest_R > 0) + np.append(loud_R + 1, 0)
        end_R = np.cumsum(size_R)
        shift = self._first("shift:") - 1
        ids_N = np.full(int(end_R[-1]), shift + LONGEST_SHIFT, dtype=np.uint16)
        some_R = rest_R > 0
        ids_N[(end_R - size_R + long_R)[some_R]] = shift + rest_R[some_R]
        ids_N[end_R[:-1] - 1] = ids_R
        if loud_R.any():
            ids_N[end_R[:-1][loud_R] - 2] = self._first("vel:") + level_R[loud_R]
        return ids_N

    def _spans(self, score: Score) -> tuple[Notes, Ints, Ints]:
        """Notes with their first steps, and the steps after their last; they do not overlap."""
        notes = score.notes
        within_N = (notes.pitch_N >= self._known.lowest) & (notes.pitch_N <= self._known.highest)
        notes = notes.select(sounding(notes, score) & within_N)
        start_N = _steps(score, notes.start_N)
        end_N = np.maximum(_steps(score, notes.start_N + notes.length_N), start_N + 1)
        order_N = np.lexsort((-notes.velocity_N.astype(np.int64), -end_N, start_N, notes.pitch_N))
        key_N = notes.pitch_N[order_N].astype(np.int64) << 40 | start_N[order_N]
        order_N = order_N[np.diff(key_N, prepend=-1) != 0]
        notes, start_N, end_N = notes.select(order_N), start_N[order_N], end_N[order_N]
        same_N = notes.pitch_N[1:] == notes.pitch_N[:-1]
        end_N[:-1] = np.where(same_N, np.minimum(end_N[:-1], start_N[1:]), end_N[:-1])
        return notes, start_N, end_N

    def _level(self, velocity: int) -> int:
        return (velocity - 1) // 4

    def _levels(self, notes: Notes) -> Ints:
        return (notes.velocity_N.astype(np.int64) - 1) // 4

    def _pedal_moves(self, score: Score) -> tuple[Ints, Ints]:
        """Steps at which the pedal moves, and elements."""
        times: list[int] = []
        if self._known.pedal:
            starts = np.array([pedal.start for pedal in score.pedals], dtype=np.int64)
            lengths = np.array([pedal.length for pedal in score.pedals], dtype=np.int64)
            begins = _steps(score, starts)
            ends = np.maximum(_steps(score, starts + lengths), begins + 1)
            for begin, end in sorted(zip(begins.tolist(), ends.tolist(), strict=True)):
                if times and begin < times[-1]:
                    times[-1] = max(times[-1], end)
                else:
                    times += [begin, end]
        up = self._first("pedal:") if times else 0
        ids = np.tile([up + 1, up], len(times) // 2)
        return np.array(times, dtype=np.int64), ids.astype(np.int64)

    def score_of(self, ids: AnyIds) -> Score:
        ids_N = np.asarray(ids, dtype=np.int64)
        kind_N = self._kind_V[ids_N] if len(ids_N) else ids_N
        shift_N = np.where(kind_N == 1, ids_N - self._first("shift:") + 1, 0)
        time_N = np.cumsum(shift_N)
        total = int(shift_N.sum())
        level_N = np.zeros(len(ids_N), dtype=np.int64) + self._level(80)
        if self._known.velocities:
            told = np.maximum.accumulate(np.where(kind_N == 4, np.arange(len(ids_N)), -1))
            value_N = ids_N[told] - self._first("vel:") if len(ids_N) else told
            level_N = np.where(told >= 0, value_N, level_N)
        moves = np.flatnonzero((kind_N == 2) | (kind_N == 5))
        pitch_M = self.pitch_V[ids_N[moves]] if len(moves) else moves
        moves = moves[np.argsort(pitch_M, kind="stable")]
        pitch_M = np.sort(pitch_M, kind="stable")
        time_M = time_N[moves]
        last_M = np.append(pitch_M[1:] != pitch_M[:-1], True)[: len(moves)]
        end_M = np.where(
            last_M, np.maximum(total, time_M + 1), np.append(time_M[1:], 0)[: len(moves)]
        )
        chosen = np.flatnonzero((kind_N[moves] == 5) & (end_M > time_M))
        notes = Notes.of(
            time_M[chosen] * _STEP,
            (end_M - time_M)[chosen] * _STEP,
            pitch_M[chosen],
            np.minimum(127, level_N[moves[chosen]] * 4 + 4),
        )
        pedals = self._pedals(ids_N[kind_N == 3], time_N[kind_N == 3], total)
        return Score(ticks=_TICKS, notes=notes, tracks=(Track(),), pedals=pedals, end=total * _STEP)

    def _pedals(self, ids_M: Ints, time_M: Ints, total: int) -> tuple[Pedal, ...]:
        pedals: list[Pedal] = []
        down: int | None = None
        up = self._first("pedal:") if len(ids_M) else 0
        for element, time in zip(ids_M.tolist(), time_M.tolist(), strict=True):
            if element != up:
                down = time if down is None else down
            elif down is not None:
                pedals += [Pedal(down * _STEP, (time - down) * _STEP)] if time > down else []
                down = None
        if down is not None and total > down:
            pedals.append(Pedal(down * _STEP, (total - down) * _STEP))
        return tuple(pedals)

    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        notes, start_N, end_N = self._spans(score)
        snapped = self.score_of(self.elements(score))
        before_N = seconds_at(score, notes.start_N)
        length_N = seconds_at(score, notes.start_N + notes.length_N) - before_N
        changed_N = np.abs((end_N - start_N) / STEPS_PER_SECOND - length_N) > 1e-6
        level_N = self._levels(notes)
        loud_N = np.minimum(127, level_N * 4 + 4) if self._known.velocities else level_N * 0 + 80
        apart = int((~sounding(score.notes, score)).sum())
        report = SnapReport(
            notes=len(snapped.notes),
            unit="seconds",
            lengths=int(changed_N.sum()),
            velocities=int((loud_N != notes.velocity_N).sum()),
            dropped={
                "drums": apart,
                "notes": len(score.notes) - apart - len(notes),
                "pedals": len(score.pedals) - len(snapped.pedals),
                **dropped_of(score, "tempos", "metres", "keys", "chords"),
            },
            **shifts(before_N, start_N / STEPS_PER_SECOND),
        )
        return snapped, report

    def transposition(self, semitones: int) -> Table:
        moved_V = np.arange(self.vocab_size)
        pitch_V = self.pitch_V + semitones
        within_V = (pitch_V >= self._known.lowest) & (pitch_V <= self._known.highest)
        return np.where(self.pitch_V < 0, moved_V, np.where(within_V, moved_V - semitones, -1))

    @cached_property
    def _table(self) -> GrammarTable:
        return _grammar(self._kind_V, self._keys)

    def grammar(self) -> Grammar:
        """Order within one time; the pedal moves up and down in turn.

        Keys that are up may go up.
        """
        return FiniteGrammar(self._table)


def _steps(score: Score, tick_N: Ints) -> Ints:
    """The nearest step of each tick."""
    seconds_N = seconds_at(score, tick_N)
    return np.floor(seconds_N * STEPS_PER_SECOND + 0.5 + 1e-7).astype(np.int64)


def _grammar(kind_V: Table, keys: int) -> GrammarTable:
    """The automaton; all states exist twice, the second time with the pedal down.

    States are: the beginning, after a shift, after the longest shift, the pedal having gone up or
    down, and for each key having gone up, having gone down, and loudness told after it.
    """
    start, short, longest, up, down, first = range(6)
    released, pressed, told = first, first + keys, first + 2 * keys
    # Loudness told before any key of this time, then after each.
    half = told + keys + 1
    vocab_size = len(kind_V)
    state_S = np.arange(half)
    allowed_SV = np.zeros((2, half, vocab_size), dtype=np.bool_)
    next_SV = np.repeat(state_S[:, None], vocab_size, axis=1)
    time, release, pedal, loud, press = (np.flatnonzero(kind_V == kind) for kind in range(1, 6))
    order_S = np.full(half, -1)
    order_S[released : released + keys] = order_S[pressed : pressed + keys] = np.arange(keys)
    order_S[told + 1 :] = np.arange(keys)
    on_S = (state_S >= pressed) & (state_S < told)
    told_S = state_S >= told
    off_S = (state_S >= released) & (state_S < pressed)
    waited_S = (state_S == short) | (state_S == longest)
    later = np.arange(keys) > order_S[:, None]
    allowed_SV[:, :, END_ID] = ~told_S
    allowed_SV[:, :, time] = (~told_S & (state_S != short))[:, None]
    allowed_SV[:, :, release] = (waited_S | off_S)[:, None] & later
    allowed_SV[:, :, press] = np.where((on_S | told_S)[:, None], later, True)
    full_S = (on_S | told_S) & (order_S == keys - 1)
    allowed_SV[:, :, loud] = (~told_S & ~full_S)[:, None]
    # Nothing leads to loudness after the lowest key.
    allowed_SV[:, told + keys, END_ID] = True
    next_SV[:, time] = short
    next_SV[:, time[-1]] = longest
    next_SV[:, release] = released + np.arange(keys)
    next_SV[:, press] = pressed + np.arange(keys)
    next_SV[:, loud] = np.where(on_S | told_S, told + 1 + order_S, told)[:, None]
    whole_SV = np.stack((next_SV, next_SV + half))
    whole_SV[:, :, END_ID] = start
    if len(pedal):
        moves_S = (state_S == start) | waited_S | off_S
        allowed_SV[1, :, pedal[0]] = moves_S
        allowed_SV[0, :, pedal[1]] = moves_S | (state_S == up)
        whole_SV[:, :, pedal[0]] = up
        whole_SV[:, :, pedal[1]] = down + half
    return GrammarTable(
        whole_SV.reshape(2 * half, -1).astype(np.int32), allowed_SV.reshape(2 * half, -1)
    )
