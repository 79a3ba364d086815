"""The order in which the measures of a piece are played.

A repeat sign goes back to the last sign that opens a repeat; without one since the last repeat,
to the end of that repeat or to the last double bar, and at first to the beginning. Endings are
played in their passes only. An ending extends to its repeat sign, to a double bar, or to the
next ending.
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
    ending, is_opened = False, False
    endings = _endings(measures, start, end)
    while index < end:
        measure = measures[index]
        if measure.opens and not (is_opened and index == start):
            start, passing, is_opened = index, 1, True
            endings = _endings(measures, start, end)
        if measure.endings:
            ending = True
            if passing not in measure.endings and passing in endings:
                index = _after_ending(measures, index, end)
                continue
        order.append(index)
        if len(order) > MOST_PLAYED:
            raise DataError(f"repeats play more than {MOST_PLAYED:,} measures")
        if measure.closes and passing < max(1 + measure.closes, max(endings, default=1)):
            passing += 1
            index, ending = start, False
            continue
        index += 1
        if measure.closes or (measure.last and (ending or not is_opened)):
            start, passing, ending, is_opened = index, 1, False, False
            endings = _endings(measures, start, end)
    return order


def _endings(measures: Sequence[Measure], start: int, end: int) -> frozenset[int]:
    """Passes that have an ending in the repeat that begins at a measure."""
    passes: set[int] = set()
    is_opened = start < end and measures[start].opens
    for index in range(start, end):
        measure = measures[index]
        if index > start and (measure.opens or measure.part):
            break
        before = measures[index - 1] if index > start else None
        if measure.endings:
            passes |= measure.endings
        elif before is not None and (before.closes or (before.last and (passes or not is_opened))):
            break
    return frozenset(passes)


def _after_ending(measures: Sequence[Measure], index: int, end: int) -> int:
    """The measure after an ending."""
    while index < end:
        measure = measures[index]
        index += 1
        if measure.closes or measure.last or (index < end and measures[index].endings):
            break
    return index
