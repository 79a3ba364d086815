"""Copies of training music in any key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts import SuffixIndex, suffix_file
from rhapsode.encoding.music.score import Score
from rhapsode.errors import BundleError
from rhapsode.modalities.music.pieces.reading import Piece

MELODY_INDEX = "melody_index.safetensors"
_KIND = "rhapsode.melody_index"
_SEPARATOR = 0
# Steps of a quarter note by which times are compared, and the longest time in steps.
_STEPS, _LONGEST = 12, 255
_INTERVAL = 48
# Notes from which a stretch counts as a copy; shorter ones occur everywhere.
LEAST = 8


@dataclass(frozen=True)
class MelodyCopy:
    """A stretch of a score that occurs in the training music.

    Its key may be another one.

    Arguments:
        notes: its length in notes.
        beats: its length in quarter notes.
        piece: name of the training piece.
        bar: where it begins there, from 1.
        own_bar: where it begins in the score, from 1.
    """

    notes: int
    beats: float
    piece: str
    bar: int
    own_bar: int


def melody(score: Score) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Symbols of each track, and the ticks of their notes.

    A symbol is the interval from the note before in the same track, and the time since it began.
    Drums are left out. The first note of a track has no symbol.
    """
    for track, kind in enumerate(score.tracks):
        own = score.notes.select(score.notes.track_N == track)
        if kind.drums or len(own) < 2:
            continue
        interval_N = np.clip(np.diff(own.pitch_N.astype(np.int64)), -_INTERVAL, _INTERVAL)
        time_N = (2 * np.diff(own.start_N) * _STEPS + score.ticks) // (2 * score.ticks)
        symbol_N = (interval_N + _INTERVAL) * (_LONGEST + 1) + np.minimum(time_N, _LONGEST) + 1
        yield symbol_N, own.start_N


@dataclass(frozen=True)
class MelodyIndex:
    """Melodies of the training music, to find copies.

    Arguments:
        suffixes: index of the symbols of all tracks.
        starts: place of the first symbol of each track among them.
        names: of the piece of each track.
        bars: the bar of each symbol.
    """

    suffixes: SuffixIndex
    starts: tuple[int, ...]
    names: tuple[str, ...]
    bars: NDArray[np.int64]

    @classmethod
    def build(cls, pieces: Sequence[Piece]) -> MelodyIndex:
        """Index pieces."""
        symbols: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        bars: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        starts, names, at = [], [], 1
        for piece in pieces:
            begins = np.array([start for start, _ in piece.score.bars()], dtype=np.int64)
            for symbol_N, start_N in melody(piece.score):
                starts.append(at)
                names.append(piece.name)
                symbols += [symbol_N, np.zeros(1, dtype=np.int64)]
                bar_N = np.searchsorted(begins, start_N, side="right")
                bars += [bar_N[:-1], np.zeros(1, dtype=np.int64)]
                at += len(symbol_N) + 1
        index = SuffixIndex.build(np.concatenate(symbols), separator=_SEPARATOR)
        return cls(index, tuple(starts), tuple(names), np.concatenate(bars))

    def longest(self, score: Score) -> MelodyCopy | None:
        """The longest stretch of one track that occurs in the training music."""
        best: MelodyCopy | None = None
        begins = [start for start, _ in score.bars()]
        for symbol_N, start_N in melody(score):
            span = self.suffixes.longest(symbol_N)
            if span is None or (best is not None and span.length + 1 <= best.notes):
                continue
            track = bisect_right(self.starts, span.place) - 1
            end = span.start + span.length
            best = MelodyCopy(
                span.length + 1,
                float(start_N[end] - start_N[span.start]) / score.ticks,
                self.names[track],
                int(self.bars[span.place]),
                bisect_right(begins, int(start_N[span.start])),
            )
        return best

    def save(self, path: Path) -> None:
        """Write the index.

        Raises:
            RunError: it cannot be written.
        """
        arrays = {**self.suffixes.to_arrays(), "bars": self.bars.astype(np.int32)}
        facts = {"starts": list(self.starts), "names": list(self.names)}
        suffix_file.write_index(path, _KIND, arrays, facts)

    @classmethod
    def load(cls, path: Path) -> MelodyIndex:
        """Read an index.

        Raises:
            BundleError: it is damaged.
        """
        arrays, facts = suffix_file.read_index(path, _KIND)
        names, starts = facts.get("names"), facts.get("starts")
        if not isinstance(names, list) or not isinstance(starts, list) or "bars" not in arrays:
            raise BundleError("the index of melodies is damaged", where=str(path))
        bars: Any = arrays.pop("bars")
        suffixes = SuffixIndex.from_arrays(arrays, _SEPARATOR, path)
        return cls(suffixes, tuple(starts), tuple(names), bars)
