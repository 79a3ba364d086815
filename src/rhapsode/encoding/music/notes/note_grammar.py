"""The grammar of notes as a finite automaton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.contract import END_ID
from rhapsode.encoding.music.notes.note_elements import Kind, NoteElements
from rhapsode.encoding.state_machine import ContextsTable, GrammarTable

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_ENTRIES = 1 << 22
"""States times elements; below it, positions are told apart exactly."""

_START, _HEADER, _DRUM_KIT, _OPEN, _SHORT, _AT, _CHORD, _TRACK, _PITCHED, _LOUD, _NOTE = range(11)
_STAGES = 4
# Of a bar that has begun: its element, its length, its key and its tempo were read last.
_BEGUN, _LIMITED, _KEYED, _TIMED = range(_STAGES)


@dataclass(frozen=True)
class _States:
    """Numbers of states, and what each remembers.

    Arguments:
        family_S: kind of the last element.
        bucket_S: the stretch of positions reached in the bar.
        track_S: the track.
        rank_S: number of the last note's track and pitch in canonical order; for a bar that has
            begun its positions, for instruments their number.
        stage_S: which parts of the current bar's head were read.
        first: number of the first state of each family.
        width: positions of a stretch.
    """

    family_S: Ints
    bucket_S: Ints
    track_S: Ints
    rank_S: Ints
    stage_S: Ints
    first: dict[int, int]
    width: int


class _Automaton:
    """Builder of the table.

    The state remembers the last note's track and pitch exactly, and positions in stretches, which
    are the shorter the fewer tracks and pitches there are: a position of a stretch that has begun
    may follow, unless it is its first. What a bar allows is exact until its first position.
    """

    def __init__(self, elements: NoteElements) -> None:
        limits = elements.limits
        self._elements = elements
        self._kind_V, self._value_V = elements.kind_V, elements.value_V
        self._pitches = elements.of_kind(Kind.PITCH)
        self._drums = elements.of_kind(Kind.DRUM)
        self._tracks = limits.tracks
        self._loud = limits.velocities
        self._bar = limits.bar
        self._pitched = self._tracks * len(self._pitches)
        self._ranks = self._pitched + len(self._drums)
        self._vocab_size = len(self._kind_V)
        width = 1
        while width < self._bar and self._size(width) * self._vocab_size > MOST_ENTRIES:
            width += 1
        self._states = self._numbered(width)

    def _blocks(self, width: int) -> list[tuple[int, tuple[int, ...]]]:
        """Families of states and the shapes of what they remember."""
        buckets = -(-self._bar // width)
        return [
            (_START, (1,)),
            (_HEADER, (self._tracks,)),
            (_DRUM_KIT, (1,)),
            (_OPEN, (_STAGES, self._bar)),
            (_SHORT, (self._bar,)),
            (_AT, (buckets,)),
            (_CHORD, (buckets,)),
            (_TRACK, (buckets, self._tracks + 1)),
            (_PITCHED, (buckets, self._pitched)),
            (_LOUD, (buckets, self._ranks if self._loud else 0)),
            (_NOTE, (buckets, self._ranks)),
        ]

    def _size(self, width: int) -> int:
        return sum(int(np.prod(shape)) for _, shape in self._blocks(width))

    def _numbered(self, width: int) -> _States:
        family, bucket, track, rank, stage = [], [], [], [], []
        first: dict[int, int] = {}
        count = 0
        for name, shape in self._blocks(width):
            first[name] = count
            size = int(np.prod(shape))
            count += size
            outer, inner = np.divmod(np.arange(size), max(1, shape[-1]))
            zero = np.zeros(size, np.int64)
            family.append(zero + name)
            bucket.append(outer if name >= _TRACK else inner if name >= _AT else zero)
            stage.append(outer if name == _OPEN else zero)
            # Lengths of bars, and numbers of instruments, begin with 1.
            rank.append(inner + (name in {_HEADER, _OPEN, _SHORT}))
            if name >= _PITCHED:
                inner = np.minimum(inner // len(self._pitches), self._tracks)
            track.append(inner if name >= _TRACK else zero)
        return _States(
            family_S=np.concatenate(family),
            bucket_S=np.concatenate(bucket),
            track_S=np.concatenate(track),
            rank_S=np.concatenate(rank),
            stage_S=np.concatenate(stage),
            first=first,
            width=width,
        )

    def _of(self, *families: int) -> Flags:
        return np.isin(self._states.family_S, families)

    def allowed(self) -> Flags:
        """Elements that may follow, by state, (S, V)."""
        states, kind_V, value_V = self._states, self._kind_V, self._value_V
        allowed_SV = np.zeros((len(states.family_S), self._vocab_size), np.bool_)

        def allow(states_S: Flags, elements_V: Flags) -> None:
            allowed_SV[np.ix_(states_S, elements_V)] = True

        kit_V = (kind_V == Kind.INSTRUMENT) & (value_V == 128)
        instrument_V = (kind_V == Kind.INSTRUMENT) & ~kit_V
        header_S = self._of(_HEADER)
        allow(self._of(_START) | (header_S & (states.rank_S < self._tracks)), instrument_V)
        allow(self._of(_START) | header_S, kit_V)
        complete_S = self._of(_OPEN, _CHORD, _NOTE)
        allow(header_S | self._of(_DRUM_KIT) | complete_S, kind_V == Kind.BAR)
        allow(complete_S, np.arange(self._vocab_size) == END_ID)
        open_S = self._of(_OPEN)
        allow(open_S & (states.stage_S == _BEGUN) & (states.rank_S > 1), kind_V == Kind.SHORT)
        allow(open_S & (states.stage_S < _KEYED), kind_V == Kind.KEY)
        allow(open_S & (states.stage_S < _TIMED), kind_V == Kind.TEMPO)
        allow(self._of(_AT), kind_V == Kind.CHORD)
        allow(self._of(_AT, _CHORD), (kind_V == Kind.PITCH))
        allow(self._of(_PITCHED), kind_V == Kind.LENGTH)
        allow(self._of(_LOUD), kind_V == Kind.VELOCITY)
        self._allow_positions(allowed_SV)
        self._allow_notes(allowed_SV)
        return allowed_SV

    def _allow_positions(self, allowed_SV: Flags) -> None:
        states, at = self._states, self._elements.of_kind(Kind.AT)
        for element, value in zip(at, self._value_V[at], strict=True):
            later_S = states.bucket_S * states.width < value
            allowed_SV[:, element] = self._of(_CHORD, _NOTE) & later_S
            within_S = states.rank_S > value
            allowed_SV[:, element] |= self._of(_OPEN) & within_S
            # A bar of one position cannot be short: nothing leads there.
            shorter_S = within_S & (value > 0) | (states.rank_S == 1) & (value == 0)
            allowed_SV[:, element] |= self._of(_SHORT) & shorter_S

    def _allow_notes(self, allowed_SV: Flags) -> None:
        states = self._states
        note_S, on_S = self._of(_NOTE), self._of(_TRACK)
        # Without drums nothing leads to their track.
        pitched_S = (states.track_S < self._tracks) | (len(self._drums) == 0)
        down_S = np.where(pitched_S, states.rank_S % len(self._pitches), states.rank_S)
        for order, element in enumerate(self._pitches):
            allowed_SV[:, element] |= pitched_S & (on_S | (note_S & (down_S < order)))
        for order, element in enumerate(self._drums):
            lower_S = note_S & (states.rank_S < self._pitched + order)
            allowed_SV[:, element] |= ~pitched_S & (on_S | lower_S)
        for element in self._elements.of_kind(Kind.TRACK):
            later_S = note_S & (states.track_S < self._value_V[element])
            allowed_SV[:, element] = self._of(_AT, _CHORD) | later_S

    def following(self) -> NDArray[np.int32]:
        """The state after each element, by state, (S, V)."""
        states, elements, first = self._states, self._elements, self._states.first
        bucket_S = states.bucket_S
        own_S = np.arange(len(bucket_S), dtype=np.int32)
        next_SV = np.repeat(own_S[:, None], self._vocab_size, axis=1)
        next_SV[:, END_ID] = first[_START]
        number_S = np.where(self._of(_HEADER), states.rank_S, 0)
        many_S = first[_HEADER] + np.minimum(number_S, self._tracks - 1)
        for element in elements.of_kind(Kind.INSTRUMENT):
            kit = self._value_V[element] == 128
            next_SV[:, element] = first[_DRUM_KIT] if kit else many_S
        bars = elements.of_kind(Kind.BAR)
        next_SV[:, bars] = first[_OPEN] + self._value_V[bars] - 1
        open_S = self._of(_OPEN)
        stage = first[_OPEN] + states.rank_S - 1
        for kind, base in ((Kind.KEY, _KEYED), (Kind.TEMPO, _TIMED)):
            later_S = np.where(open_S, stage + base * self._bar, own_S)
            next_SV[:, elements.of_kind(kind)] = later_S[:, None]
        next_SV[:, elements.of_kind(Kind.SHORT)] = np.where(
            open_S & (states.rank_S > 1), first[_SHORT] + states.rank_S - 1, own_S
        )[:, None]
        for element in elements.of_kind(Kind.AT):
            value = self._value_V[element]
            limited = first[_OPEN] + _LIMITED * self._bar + max(1, value) - 1
            reached = first[_AT] + value // states.width
            next_SV[:, element] = np.where(self._of(_SHORT), limited, reached)
        next_SV[:, elements.of_kind(Kind.CHORD)] = (first[_CHORD] + bucket_S)[:, None]
        for element in elements.of_kind(Kind.TRACK):
            row_S = bucket_S * (self._tracks + 1)
            next_SV[:, element] = first[_TRACK] + row_S + self._value_V[element]
        self._follow_notes(next_SV)
        return next_SV

    def _follow_notes(self, next_SV: NDArray[np.int32]) -> None:
        states, elements, first = self._states, self._elements, self._states.first
        on_S = np.where(states.track_S < self._tracks, states.track_S, 0)
        for order, element in enumerate(self._pitches):
            row_S = states.bucket_S * self._pitched + on_S * len(self._pitches)
            next_SV[:, element] = first[_PITCHED] + row_S + order
        base = first[_LOUD if self._loud else _NOTE]
        row_S = states.bucket_S * self._ranks
        for order, element in enumerate(self._drums):
            next_SV[:, element] = base + row_S + self._pitched + order
        own_S = np.arange(len(row_S))
        noted_S = row_S + states.rank_S
        lengthened_S = np.where(self._of(_PITCHED), base + noted_S, own_S)
        next_SV[:, elements.of_kind(Kind.LENGTH)] = lengthened_S[:, None]
        loud_S = np.where(self._of(_LOUD), first[_NOTE] + noted_S, own_S)
        next_SV[:, elements.of_kind(Kind.VELOCITY)] = loud_S[:, None]

    def values(self) -> tuple[Ints, tuple[int, ...]]:
        """Kind of the last element, stretch and track, (S, 3), and their sizes."""
        states = self._states
        columns = (states.family_S, states.bucket_S, states.track_S)
        sizes = (_NOTE + 1, -(-self._bar // states.width), self._tracks + 1)
        return np.stack(columns, axis=1), sizes


def note_tables(elements: NoteElements) -> tuple[GrammarTable, ContextsTable]:
    """The grammar, and contexts that follow the same states."""
    automaton = _Automaton(elements)
    following_SV = automaton.following()
    values_SC, sizes = automaton.values()
    return (
        GrammarTable(following_SV, automaton.allowed()),
        ContextsTable(following_SV, values_SC, sizes),
    )
