"""Pieces of music from sources: files, folders, scores in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.modalities.music.json_rolls import looks_like_rolls, read_rolls, step_of
from rhapsode.modalities.music.settings import MusicSettings
from rhapsode.modalities.scoring import SplitName

# Times of a quarter note by which pieces are compared.
_FINE = 960
HEAD = 4096


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of music with its source.

    Arguments:
        name: of the file, and of the tune in it.
        score: the music.
        split: as the source names it; None where it does not.
    """

    name: str
    score: Score
    split: SplitName | None = None

    @cached_property
    def digest(self) -> bytes:
        """Hash of the notes, tempos, metres and keys."""
        score, notes = self.score, self.score.notes
        arrays = (notes.start_N, notes.length_N, notes.pitch_N, notes.velocity_N, notes.track_N)
        plain = (
            score.ticks, score.end, score.upbeat, score.tracks,
            score.tempos, score.metres, score.keys, score.chords, score.pedals,
        )  # fmt: skip
        parts = [np.ascontiguousarray(array, dtype=np.int64).tobytes() for array in arrays]
        return _hash(b"".join(parts) + repr(plain).encode())

    @cached_property
    def tune(self) -> bytes:
        """Hash of the intervals and times of the notes, the same in every key."""
        score, notes = self.score, self.score.notes
        if not len(notes):
            return _hash(b"")
        drums_S = np.array([track.drums for track in score.tracks], dtype=np.bool_)
        drums_N = drums_S[notes.track_N]
        pitch_N = notes.pitch_N.astype(np.int64)
        sounding_N = pitch_N[~drums_N]
        base = int(sounding_N[0]) if len(sounding_N) else 0
        start_N = (notes.start_N - notes.start_N[0]) * _FINE // score.ticks
        length_N = notes.length_N * _FINE // score.ticks
        rows_N4 = np.stack(
            (start_N, length_N, np.where(drums_N, pitch_N + 1000, pitch_N - base), notes.track_N),
            axis=1,
        )
        return _hash(np.ascontiguousarray(rows_N4).tobytes())


@dataclass(frozen=True)
class Pieces:
    """Pieces of sources.

    Arguments:
        pieces: in order.
        grid: steps of a quarter note, if all were read from piano rolls; None otherwise.
        notes: remarks on reading, a line each.
    """

    pieces: Sequence[Piece]
    grid: int | None = None
    notes: Sequence[str] = ()


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def is_roll(path: Path) -> bool:
    """True of a JSON file of piano rolls."""
    if path.suffix.lower() != ".json":
        return False
    try:
        with path.open("rb") as file:
            return looks_like_rolls(file.read(HEAD))
    except OSError:
        return False


def read_pieces(sources: Sequence[Any], settings: MusicSettings) -> Pieces:
    """The pieces of sources.

    Arguments:
        sources: paths, names of corpora, or scores.
        settings: of reading.

    Raises:
        DataError: nothing to read.
    """
    read = [_read(source, settings) for source in sources]
    if not read:
        raise DataError("no source was given")
    grids = {each.grid for each in read}
    return Pieces(
        [piece for each in read for piece in each.pieces],
        grids.pop() if len(grids) == 1 else None,
        [note for each in read for note in each.notes],
    )


def _read(source: Any, settings: MusicSettings) -> Pieces:
    if isinstance(source, Score):
        return Pieces([Piece(source.title or "a score", source)])
    if isinstance(source, list | tuple):
        return Pieces(list(_scores(source)))
    path = Path(source)
    if is_roll(path):
        grid = step_of(path.name, settings.step)
        pieces = [Piece(name, score, split) for name, split, score in read_rolls(path, grid)]
        return Pieces(pieces, grid)
    raise DataError("this is no music that can be read", where=source_name(source))


def _scores(scores: Sequence[Any]) -> Iterator[Piece]:
    for number, score in enumerate(scores, 1):
        if not isinstance(score, Score):
            raise DataError(f"entry {number} of a list is no score")
        yield Piece(score.title or f"score {number}", score)


def with_split(piece: Piece, split: SplitName | None) -> Piece:
    """The piece in a split."""
    return replace(piece, split=split)
