"""Corpora of music: pieces, their splits and keys, and encoded stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import ElementStore
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import source_name
from rhapsode.log import log
from rhapsode.modalities.ids.contract import IdCorpus
from rhapsode.modalities.music.pieces.reading import Piece, Pieces, read_pieces
from rhapsode.modalities.music.pieces.stretches import cut_pieces
from rhapsode.modalities.music.pieces.transposing import KEYS, can_transpose, in_keys
from rhapsode.modalities.music.settings import MusicDataSettings, MusicTrainSettings
from rhapsode.modalities.scoring import SplitName
from rhapsode.views.figures import plural

# Of pieces whose notes lie on a grid or not: its steps of a quarter note, how many are looked at,
# and the mean distance above which they are played without it.
STEPS, LOOKED_AT, PLAYED = 24, 200, 0.17
# Elements of a training split from which it is learnt in its own keys: other keys teach a model of
# little music most, and take time from one of much.
ENOUGH = 500_000
# Pieces below which they are cut into stretches of bars, so that some can be held out.
FEW = 10


@dataclass(frozen=True)
class MusicCorpus(IdCorpus):
    """A corpus of music ready to learn from.

    Arguments:
        encoding_reason: why this encoding.
        pieces: of each split, in the original key.
        keys: copies of the training split in other keys, the original one included.
        split_reason: how the splits were made.
    """

    encoding_reason: str
    pieces: Mapping[SplitName, Sequence[Piece]]
    keys: int
    split_reason: str


def prepare_corpus(
    sources: Sequence[Any],
    settings: MusicTrainSettings,
    *,
    opened: Any = None,
    encoder: MusicEncoder | None = None,
) -> MusicCorpus:
    """Read, split, choose an encoding, and encode.

    Arguments:
        sources: files, folders, scores in memory.
        settings: `encoding`, `encoder`, `music` and `data` are used.
        opened: pieces that were read already.
        encoder: use this one instead of learning one.

    Raises:
        DataError: nothing to read, or too little.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    read = opened if isinstance(opened, Pieces) else read_pieces(sources, settings.music)
    return prepare_pieces(read, sources, settings, encoder=encoder)


def prepare_pieces(
    read: Pieces,
    sources: Sequence[Any],
    settings: MusicTrainSettings,
    *,
    encoder: MusicEncoder | None = None,
) -> MusicCorpus:
    """Split, choose an encoding, and encode; see `prepare_corpus`.

    Arguments:
        read: the pieces.
        sources: where they are from, for messages.
        settings: as there.
        encoder: use this one instead of learning one.

    Raises:
        DataError: there are no notes.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    where = ", ".join(map(source_name, sources))
    pieces = [piece for piece in read.pieces if len(piece.score.notes)]
    if not pieces:
        raise DataError("there are no notes to learn from", where=where)
    splits, split_reason, copies = split_pieces(pieces, settings.data)
    reason = "as requested"
    if encoder is None:
        encoder, reason = learn_encoder(splits["train"], read.grid, settings)
    for line in (*read.notes, *_said(pieces, splits, copies=copies, reason=split_reason)):
        log.info(line)
    log.info(f"{encoder.name.partition('.')[0]}: {encoder.vocab_size:,} elements ({reason})")
    plain = [encoder.elements(piece.score) for piece in splits["train"]]
    keys = keys_for(encoder, sum(map(len, plain)), settings.music.transpose)
    train = _store(list(in_keys(encoder, plain, keys)), encoder.vocab_size)
    if len(keys) > 1:
        log.info(f"the training split is learnt in {len(keys)} keys: {len(train):,} elements")
    return MusicCorpus(
        encoder,
        train,
        store_of(encoder, splits["validation"]),
        store_of(encoder, splits["test"]),
        digest_of(pieces),
        sum(len(piece.score.notes) for piece in pieces),
        len(pieces),
        copies,
        False,
        reason,
        splits,
        len(keys),
        split_reason,
    )


def keys_for(encoder: MusicEncoder, elements: int, asked: str) -> tuple[int, ...]:
    """Semitones of the keys in which the training split is learnt.

    Arguments:
        encoder: of the music.
        elements: of the training split in its own keys.
        asked: the setting `music.transpose`.
    """
    several = asked == "all" or (asked == "auto" and elements < ENOUGH)
    return KEYS if several and can_transpose(encoder) else (0,)


def learn_encoder(
    pieces: Sequence[Piece], grid: int | None, settings: MusicTrainSettings
) -> tuple[MusicEncoder, str]:
    """An encoder for pieces, and the reason for the encoding.

    Arguments:
        pieces: of the training split.
        grid: steps of a quarter note, if they were read from piano rolls; None otherwise.
        settings: `encoding` and `encoder` are used.

    Raises:
        SettingsError: an encoding that is not of music, or a setting that it lacks.
    """
    name, reason = settings.encoding, "as requested"
    asked: dict[str, Any] = {}
    voices = {len(piece.score.tracks) for piece in pieces}
    of_voices = grid is not None and len(voices) == 1 and voices != {1}
    if name == "auto" and grid is not None:
        name, reason = ("chords", "rolls of voices") if of_voices else ("frames", "piano rolls")
    elif name == "auto":
        offset = mean_offset([piece.score for piece in pieces])
        name, reason = "notes", "metrical music"
        if offset > PLAYED:
            name, reason = "performance", f"notes begin {offset:.0%} of a step beside a grid"
    learner = ENCODERS.get(name)
    if not issubclass(learner, MusicEncoder):
        raise SettingsError(
            f"{name} does not encode music",
            where="--encoding",
            hint="use notes, performance or frames, or --modality text",
        )
    if grid is not None:
        asked["grid"] = grid
    if of_voices:  # rolls do not tell repeated from held notes
        asked |= {"voices": voices.pop(), "join": True}
    known = {each.name for each in fields(learner.Settings)}
    asked = {name: value for name, value in asked.items() if name in known}
    asked |= settings.encoder
    return learner.for_scores([piece.score for piece in pieces], asked), reason


def mean_offset(scores: Sequence[Score]) -> float:
    """Mean distance of beginnings of notes from a grid.

    The grid has 24 steps a quarter note, and the distance is in steps: a quarter for times without
    a beat.
    """
    starts = [score.notes.start_N * STEPS / score.ticks for score in scores[:LOOKED_AT]]
    start_N = np.concatenate([*starts, np.zeros(0)])
    return float(np.abs(start_N - np.rint(start_N)).mean()) if len(start_N) else 0.0


def split_pieces(
    pieces: Sequence[Piece], settings: MusicDataSettings
) -> tuple[dict[SplitName, list[Piece]], str, int]:
    """Splits of pieces, how they were made, and the number of copies.

    Copies of a piece, in any key, never stand in two splits.

    Raises:
        SettingsError: the source names no splits, but they are asked for.
        DataError: the source leaves nothing for training.
    """
    named = any(piece.split for piece in pieces)
    if settings.split == "source" and not named:
        raise SettingsError(
            "the source names no splits", where="[data] split", hint="use documents"
        )
    copies = _copies(pieces)
    if named and settings.split != "documents":
        splits: dict[SplitName, list[Piece]] = {"train": [], "validation": [], "test": []}
        for piece in pieces:
            splits[piece.split or "train"].append(piece)
        if not splits["train"]:
            raise DataError("the source has no training split", hint="--set data.split=documents")
        return splits, "the splits of the source", copies
    if len(pieces) - copies < FEW:
        pieces = cut_pieces(pieces)
        reason = "stretches of bars chosen by their hash"
    else:
        reason = "pieces chosen by their hash, the same for every key"
    groups: dict[bytes, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.tune, []).append(piece)
    return _by_hash(groups, settings), reason, copies


def _copies(pieces: Sequence[Piece]) -> int:
    return len(pieces) - len({piece.tune for piece in pieces})


def _by_hash(
    groups: Mapping[bytes, Sequence[Piece]], settings: MusicDataSettings
) -> dict[SplitName, list[Piece]]:
    """Whole pieces in order of their hashes; the first ones are held out."""
    sizes = {tune: len(group[0].score.notes) for tune, group in groups.items()}
    total, passed = sum(sizes.values()), 0
    ends: list[tuple[SplitName, float]] = [("test", settings.test_share * total)]
    rest = total - ends[0][1]
    ends.append(("validation", ends[0][1] + settings.validation_share * rest))
    chosen: dict[bytes, SplitName] = {}
    for tune in sorted(groups):
        # A piece belongs to the split in which its middle lies.
        middle = passed + sizes[tune] / 2
        chosen[tune] = next((name for name, end in ends if middle < end), "train")
        passed += sizes[tune]
    splits: dict[SplitName, list[Piece]] = {"train": [], "validation": [], "test": []}
    for tune, group in groups.items():
        name = chosen[tune]
        # A held-out piece counts once, whatever the setting.
        keep = name == "train" and settings.duplicates == "keep"
        splits[name] += group if keep else group[:1]
    return splits


def store_of(encoder: MusicEncoder, pieces: Sequence[Piece]) -> ElementStore:
    """Pieces as elements, each with its end-of-sequence."""
    return _store([encoder.elements(piece.score) for piece in pieces], encoder.vocab_size)


def _store(documents: Sequence[NDArray[Any]], vocab_size: int) -> ElementStore:
    dtype = np.min_scalar_type(max(1, vocab_size - 1))
    ids = [np.asarray(ids_N, dtype=dtype) for ids_N in documents]
    if not ids:
        empty_N = np.zeros(0, dtype=dtype)
        counts_V = np.zeros(vocab_size, dtype=np.int64)
        return ElementStore(empty_N, np.zeros(0, dtype=np.int64), 0, 0, 0, True, counts_V)
    # Elements of music have no characters, so that bits per character make no sense.
    return ElementStore.of(ids, 0, vocab_size)


def digest_of(pieces: Iterable[Piece]) -> str:
    """A hash of pieces, as runs keep it."""
    return hashlib.sha256(b"".join(piece.digest for piece in pieces)).hexdigest()


def _said(
    pieces: Sequence[Piece],
    splits: Mapping[SplitName, Sequence[Piece]],
    *,
    copies: int,
    reason: str,
) -> Iterable[str]:
    notes = sum(len(piece.score.notes) for piece in pieces)
    yield f"{plural(len(pieces), 'piece')}, {plural(notes, 'note')}"
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in splits.items())
    yield f"{sizes}: {reason}"
    if copies:
        yield (
            f"{copies:,} {'piece repeats' if copies == 1 else 'pieces repeat'} another one, "
            "perhaps in another key; "
            "no piece is in two splits"
        )
