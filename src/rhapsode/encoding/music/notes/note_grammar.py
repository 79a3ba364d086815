"""The grammar of notes as three finite automata.

They run side by side: one for the kind of the last element and the track, one for the order of
pitches at a position, and one for the bar, its length and the position reached. Together they are
exact. A single automaton of all combinations would have millions of states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import END_ID
from rhapsode.encoding.music.notes.note_elements import Kind, NoteElements

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

(
    _START, _DRUM_KIT, _BEGUN, _KEYED, _TIMED, _LATE, _ENDED, _AT, _CHORD, _HEADER, _TRACK,
    _PITCHED, _LOUD, _NOTE,
) = range(14)  # fmt: skip
_FAMILIES = _NOTE + 1
# Families with a state for each track.
_TRACKED = (_HEADER, _TRACK, _PITCHED, _LOUD, _NOTE)


@dataclass(frozen=True)
class _Automaton:
    """An automaton, whose states are numbered from 0.

    Arguments:
        next_SV: the state after each element.
        allowed_SV: elements that may follow.
        values_SC: integers for contexts: family, position in the bar, track.
    """

    next_SV: Ints
    allowed_SV: Flags
    values_SC: Ints

    @classmethod
    def of_states(cls, states: int, vocab_size: int) -> _Automaton:
        """One that stays where it is, and allows everything."""
        next_SV = np.repeat(np.arange(states)[:, None], vocab_size, axis=1)
        next_SV[:, END_ID] = 0
        allowed_SV = np.ones((states, vocab_size), dtype=np.bool_)
        return cls(next_SV, allowed_SV, np.zeros((states, 3), dtype=np.int64))


def _order_of_kinds(elements: NoteElements) -> _Automaton:
    """The automaton of the last element's kind and of the track.

    In the header, the track is the number of instruments so far, less one.
    """
    limits, kind_V, value_V = elements.limits, elements.kind_V, elements.value_V
    tracks = limits.tracks + 1
    first: dict[int, int] = {}
    family: list[int] = []
    for name in range(_FAMILIES):
        first[name] = len(family)
        if name != _LOUD or limits.velocities:
            family += [name] * (tracks if name in _TRACKED else 1)
    family_S = np.array(family)
    track_S = np.arange(len(family)) - np.array([first[name] for name in family])
    found = _Automaton.of_states(len(family), len(kind_V))
    next_SV, allowed_SV = found.next_SV, found.allowed_SV
    allowed_SV[:] = False

    def of(*families: int) -> Flags:
        return np.isin(family_S, families)

    def allow(states_S: Flags, elements_V: Flags) -> None:
        allowed_SV[np.ix_(states_S, elements_V)] = True

    kit_V = (kind_V == Kind.INSTRUMENT) & (value_V == 128)
    instrument_V = (kind_V == Kind.INSTRUMENT) & ~kit_V
    drums = bool((kind_V == Kind.DRUM).any())
    pitched_S = (track_S < limits.tracks) | (not drums)
    allow(of(_START) | of(_HEADER) & (track_S < limits.tracks - 1), instrument_V)
    allow(of(_START, _HEADER), kit_V)
    complete_S = of(_BEGUN, _KEYED, _TIMED, _ENDED, _CHORD, _NOTE)
    allow(complete_S | of(_HEADER, _DRUM_KIT), kind_V == Kind.BAR)
    allow(complete_S, np.arange(len(kind_V)) == END_ID)
    allow(of(_BEGUN), kind_V == Kind.KEY)
    allow(of(_BEGUN, _KEYED), kind_V == Kind.TEMPO)
    allow(of(_BEGUN, _KEYED, _TIMED, _AT), kind_V == Kind.SHORT)
    allow(of(_BEGUN, _KEYED, _TIMED, _LATE, _CHORD, _NOTE), kind_V == Kind.AT)
    allow(of(_AT), kind_V == Kind.CHORD)
    allow(of(_AT, _CHORD) | (of(_TRACK, _NOTE) & pitched_S), kind_V == Kind.PITCH)
    allow(of(_TRACK, _NOTE) & ~pitched_S, kind_V == Kind.DRUM)
    allow(of(_PITCHED), kind_V == Kind.LENGTH)
    allow(of(_LOUD), kind_V == Kind.VELOCITY)
    for element in elements.of_kind(Kind.TRACK):
        allowed_SV[:, element] = of(_AT, _CHORD) | of(_NOTE) & (track_S < value_V[element])

    # Where the track is not told, it is the first one.
    on_S = np.where(of(_TRACK, _PITCHED, _LOUD, _NOTE), track_S, 0)
    complete = first[_LOUD if limits.velocities else _NOTE]
    counted_S = np.where(of(_HEADER), np.minimum(track_S + 1, tracks - 1), 0)
    bar_S = of(_BEGUN, _KEYED, _TIMED)
    stay_S = np.arange(len(family))
    for kind, after_S in (
        (Kind.INSTRUMENT, first[_HEADER] + counted_S),
        (Kind.BAR, first[_BEGUN]),
        (Kind.KEY, np.where(bar_S, first[_KEYED], stay_S)),
        (Kind.TEMPO, np.where(bar_S, first[_TIMED], stay_S)),
        (Kind.SHORT, np.where(bar_S | of(_LATE), first[_LATE], first[_ENDED])),
        (Kind.AT, first[_AT]),
        (Kind.CHORD, first[_CHORD]),
        (Kind.PITCH, first[_PITCHED] + on_S),
        (Kind.DRUM, complete + limits.tracks),
        (Kind.LENGTH, np.where(of(_PITCHED), complete + on_S, stay_S)),
        (Kind.VELOCITY, np.where(of(_LOUD), first[_NOTE] + on_S, stay_S)),
    ):
        next_SV[:, elements.of_kind(kind)] = np.broadcast_to(after_S, stay_S.shape)[:, None]
    next_SV[:, kit_V] = first[_DRUM_KIT]
    tracks_V = elements.of_kind(Kind.TRACK)
    next_SV[:, tracks_V] = first[_TRACK] + value_V[tracks_V]
    found.values_SC[:, 0] = family_S
    found.values_SC[:, 2] = on_S
    return found


def _order_of_pitches(elements: NoteElements) -> _Automaton:
    """The automaton of pitches and drums, which descend in a track at a position."""
    kind_V = elements.kind_V
    ordered = np.concatenate((elements.of_kind(Kind.PITCH), elements.of_kind(Kind.DRUM)))
    found = _Automaton.of_states(1 + len(ordered), len(kind_V))
    for order, element in enumerate(ordered, 1):
        found.next_SV[:, element] = order
        found.allowed_SV[order:, element] = False
    anew_V = np.isin(kind_V, (Kind.AT, Kind.TRACK, Kind.BAR, Kind.CHORD))
    found.next_SV[:, anew_V] = 0
    return found


def _order_of_positions(elements: NoteElements) -> _Automaton:
    """The automaton of the bar: its length, and the position reached in it.

    State 0 is before all bars. A length has a state for a bar that has begun, one after `short`
    there, and one for each position.
    """
    kind_V, value_V = elements.kind_V, elements.value_V
    lengths = np.unique(value_V[elements.of_kind(Kind.BAR)])
    first_L = 1 + np.cumsum(lengths + 2) - (lengths + 2)
    found = _Automaton.of_states(1 + int((lengths + 2).sum()), len(kind_V))
    next_SV, allowed_SV = found.next_SV, found.allowed_SV
    short, at = elements.of_kind(Kind.SHORT), elements.of_kind(Kind.AT)
    bars = elements.of_kind(Kind.BAR)
    next_SV[:, bars] = first_L[np.searchsorted(lengths, value_V[bars])]
    next_SV[:, elements.of_kind(Kind.INSTRUMENT)] = 0
    for length, first in zip(lengths.tolist(), first_L.tolist(), strict=True):
        begun, late, reached = first, first + 1, slice(first + 2, first + 2 + length)
        own = slice(first, first + 2 + length)
        next_SV[begun : late + 1, short] = late
        next_SV[own, at] = first + 2 + np.minimum(value_V[at], length - 1)
        position_P = np.arange(length)
        allowed_SV[own, at] = value_V[at] < length
        # A bar of one position is never short.
        allowed_SV[late, at] &= (value_V[at] > 0) | (length == 1)
        allowed_SV[reached, at] &= value_V[at] > position_P[:, None]
        allowed_SV[begun, short] = length > 1
        allowed_SV[reached, short] = position_P[:, None] > 0
        found.values_SC[reached, 1] = position_P
    return found


def note_tables(elements: NoteElements) -> tuple[GrammarTable, ContextsTable]:
    """The grammar, and contexts that follow the same states.

    Contexts are the kind of the last element, the position in the bar, and the track.
    """
    automata = [
        _order_of_kinds(elements),
        _order_of_pitches(elements),
        _order_of_positions(elements),
    ]
    grammar = GrammarTable.of_several([(one.next_SV, one.allowed_SV) for one in automata])
    values_SC = np.concatenate([one.values_SC for one in automata])
    sizes = (_FAMILIES, elements.limits.bar, elements.limits.tracks + 1)
    contexts = ContextsTable(grammar.next_SV, values_SC, sizes, starts=grammar.starts)
    return grammar, contexts
