"""Notes of one pitch that overlap or coincide."""

from __future__ import annotations

import numpy as np

from rhapsode.encoding.music.score import Notes
from rhapsode.modalities.music.files.reading_result import Repairs

OVERLAPS = "overlapping notes of one pitch shortened"


def tidy_notes(notes: Notes, repairs: Repairs) -> Notes:
    """Notes without two of one track and pitch at once.

    Of notes with equal start, track and pitch the longest remains. A note ends where the next of
    its pitch begins.
    """
    order_N = np.lexsort((-notes.length_N, notes.start_N, notes.pitch_N, notes.track_N))
    ordered = notes.select(order_N)
    same_N = (ordered.pitch_N[1:] == ordered.pitch_N[:-1]) & (
        ordered.track_N[1:] == ordered.track_N[:-1]
    )
    double_N = np.concatenate([[False], same_N & (np.diff(ordered.start_N) == 0)])[: len(notes)]
    overlap_N = same_N & (ordered.start_N[1:] < (ordered.start_N + ordered.length_N)[:-1])
    if not overlap_N.any():
        return notes
    repairs.add("doubled notes dropped", int(double_N.sum()))
    single = ordered.select(~double_N)
    length_N = single.length_N.copy()
    same_N = (single.pitch_N[1:] == single.pitch_N[:-1]) & (
        single.track_N[1:] == single.track_N[:-1]
    )
    gap_N = np.diff(single.start_N)
    long_N = same_N & (length_N[:-1] > gap_N)
    length_N[:-1][long_N] = gap_N[long_N]
    repairs.add(OVERLAPS, int(long_N.sum()))
    return Notes.of(single.start_N, length_N, single.pitch_N, single.velocity_N, single.track_N)
