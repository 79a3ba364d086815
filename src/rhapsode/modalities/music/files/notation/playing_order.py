"""The order in which the measures of a piece are played.

A repeat sign goes back to the last sign that opens a repeat; without one, to the end of the last
repeat or to the last double bar, and at first to the beginning. Endings are played in
their passes only. An ending extends to its repeat sign, to a double bar, or to the next ending.
"""

from __future__ import annotations

from collections.abc import Sequence

from rhapsode.errors import DataError
from rhapsode.modalities.music.files.notation.measures import Measure

MOST_PLAYED = 100_000


def playing_order(measures: Sequence[Measure], parts: str = "") -> list[int]:
    """Indices of measures as they are played.

    Arguments:
        measures: as written.
        parts: labels of parts in the order of playing; empty for the written order.

    Raises:
        DataError: repeats of repeats make the piece too long.
    """
    begins: dict[str, int] = {}
    for index, measure in enumerate(measures):
        if measure.part:
            begins.setdefault(measure.part, index)
    if not parts or not begins:
        return _with_repeats(measures, 0, len(measures))
    ends = {}
    for begin in begins.values():
        later = [index for index in range(begin + 1, len(measures)) if measures[index].part]
        ends[begin] = later[0] if later else len(measures)
    first = min(begins.values())
    order = _with_repeats(measures, 0, first)
    for label in parts:
        if label in begins:
            order += _with_repeats(measures, begins[label], ends[begins[label]])
        if len(order) > MOST_PLAYED:
            raise DataError(f"repeats play more than {MOST_PLAYED:,} measures")
    return order


def _with_repeats(measures: Sequence[Measure], begin: int, end: int) -> list[int]:
    order: list[int] = []
    start, passing, index = begin, 1, begin
    ending = False
    while index < end:
        measure = measures[index]
        if measure.opens and index != start:
            start, passing = index, 1
        if measure.endings:
            ending = True
            if passing not in measure.endings and _has_ending(measures, start, end, passing):
                index = _after_ending(measures, index, end)
                continue
        order.append(index)
        if len(order) > MOST_PLAYED:
            raise DataError(f"repeats play more than {MOST_PLAYED:,} measures")
        most = max(1 + measure.closes, _last_pass(measures, start, end))
        if measure.closes and passing < most:
            passing += 1
            index, ending = start, False
            continue
        index += 1
        opened = index < end and measures[index].opens
        if measure.closes or opened or (measure.last and (ending or passing == 1)):
            start, passing, ending = index, 1, False
    return order


def _group(measures: Sequence[Measure], start: int, end: int) -> list[frozenset[int]]:
    """Endings of the repeat that begins at a measure."""
    groups: list[frozenset[int]] = []
    for index in range(start, end):
        measure = measures[index]
        if index > start and (measure.opens or measure.part):
            break
        if measure.endings:
            groups.append(measure.endings)
        elif groups and index > start and (measures[index - 1].closes or measures[index - 1].last):
            break
    return groups


def _has_ending(measures: Sequence[Measure], start: int, end: int, passing: int) -> bool:
    return any(passing in endings for endings in _group(measures, start, end))


def _last_pass(measures: Sequence[Measure], start: int, end: int) -> int:
    return max((max(endings) for endings in _group(measures, start, end)), default=1)


def _after_ending(measures: Sequence[Measure], index: int, end: int) -> int:
    """The measure after an ending."""
    while index < end:
        measure = measures[index]
        index += 1
        if measure.closes or measure.last or (index < end and measures[index].endings):
            break
    return index
