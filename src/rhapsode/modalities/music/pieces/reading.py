"""Pieces of music from sources: files, folders, scores in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from rhapsode.data import Found
from rhapsode.data.sources.blob import Blob
from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, RhapsodeError
from rhapsode.modalities.music.files import ReadingRules, read_file
from rhapsode.modalities.music.pieces.json_rolls import SPLITS, read_rolls, step_of
from rhapsode.modalities.music.pieces.music_files import ROLLS, music_files
from rhapsode.modalities.music.settings import MusicSettings
from rhapsode.modalities.scoring import SplitName

# Times of a quarter note by which pieces are compared.
_FINE = 960


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
        """Hash of intervals and times, the same in every key."""
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
    return _files(str(source), settings)


def _scores(scores: Sequence[Any]) -> Iterator[Piece]:
    for number, score in enumerate(scores, 1):
        if not isinstance(score, Score):
            raise DataError(f"entry {number} of a list is no score")
        yield Piece(score.title or f"score {number}", score)


def _files(source: str, settings: MusicSettings) -> Pieces:
    """Pieces of the files of a source.

    A file that cannot be read is an error only if no other one can be.
    """
    found, pieces = Found(), list[Piece]()
    errors: list[RhapsodeError] = []
    repairs: Counter[str] = Counter()
    grids: set[int | None] = set()
    files = 0
    rules = ReadingRules(pedal=settings.pedal, repeats=settings.repeats, step=settings.step)
    for file in music_files(source, found):
        files += 1
        try:
            if file.kind == ROLLS:
                steps = step_of(file.blob.name, settings.step)
                grids.add(steps)
                read = read_rolls(file.read(), file.blob.name, steps)
                pieces += [Piece(name, score, split) for name, split, score in read]
                continue
            grids.add(None)
            scores, problems = read_file(file.read(), file.blob.relative, rules)
        except RhapsodeError as problem:
            errors.append(_located(problem, file.blob))
            continue
        errors += [_located(problem, file.blob) for problem in problems]
        for score in scores:
            repairs.update(score.repairs)
            pieces.append(Piece(score.name, score.score, SPLITS.get((score.split or "").lower())))
    if not pieces:
        if errors:
            raise errors[0]
        raise DataError("there is no music in it", where=source)
    grid = grids.pop() if len(grids) == 1 else None
    return Pieces(pieces, grid, list(_notes(files, errors, repairs, found.skipped)))


def _located(problem: RhapsodeError, blob: Blob) -> RhapsodeError:
    """An error in a file, with the file's whole path; names of pieces hold less of it."""
    place = (problem.where or "").removeprefix(blob.relative)
    problem.where = blob.name + place.removeprefix(PurePath(blob.relative).name)
    return problem


def _notes(
    files: int, errors: Sequence[RhapsodeError], repairs: Counter[str], skipped: Sequence[str]
) -> Iterator[str]:
    if errors:
        yield (
            f"{len(errors):,} of {files:,} files or pieces cannot be read, the first: {errors[0]}"
        )
    if repairs:
        named = ", ".join(f"{name} {count:,}" for name, count in repairs.most_common(8))
        yield f"repairs: {named}"
    if skipped:
        yield f"{len(skipped):,} files hold no music, the first: {skipped[0]}"
