"""Split documents into training, validation and test splits.

No text occurs in more than one split.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.texts import Parts

SLICES = 8
SHORTEST_SLICE = 1000
# Characters of the largest test split: sweeping it must not take longer than training.
MOST_TEST = 1_000_000
# Characters of the largest validation split: it is swept many times.
MOST_VALIDATION = 500_000


@dataclass(frozen=True)
class Splits:
    """Training, validation and test split of a corpus.

    Each consists of pieces of documents, in reading order and without overlap.

    Arguments:
        train: pieces to train on.
        validation: pieces that choose the weights.
        test: pieces that are evaluated once.
        left_out: number of copies of documents in no split, because the other copy is held out or
            duplicates are dropped.
    """

    train: Parts
    validation: Parts
    test: Parts
    left_out: int = 0

    def part(self, name: Literal["train", "validation", "test"]) -> Parts:
        """A split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def first_copies(digests_DB: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Index of the first document with the same text, (D,)."""
    if not len(digests_DB):
        return np.zeros(0, dtype=np.int64)
    keys_D = np.ascontiguousarray(digests_DB).view(f"V{digests_DB.shape[1]}")[:, 0]
    _, first, inverse = np.unique(keys_D, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def split_documents(
    lengths_D: NDArray[np.int64],
    digests_DB: NDArray[np.uint8],
    *,
    test_share: float,
    validation_share: float,
    by: Literal["tail", "documents"] = "tail",
    duplicates: Literal["keep", "drop"] = "keep",
) -> Splits:
    """Hold out a test split and evenly spread validation slices.

    By "tail", the cut falls on a character count: the test split of a single file is exactly its
    end. With many documents the cut moves to the nearest end of a document within a fifth of
    the test split. Validation is taken in `SLICES` pieces spread evenly: a single piece would take
    one subject out of training altogether, and the one nearest the test split costs most. By
    "documents", the hash of a text decides its split, so that it stays there when documents are
    added. Held-out splits have at most `MOST_TEST` and `MOST_VALIDATION` characters.

    Of texts that occur more than once, the first copy is split. The other copies are trained on if
    it is, and left out if it is held out or cut.

    Arguments:
        lengths_D: characters of each document.
        digests_DB: hashes, equal for equal texts.
        test_share: fraction of all characters in the test split, 0 to 0.5.
        validation_share: fraction of the rest in the validation split, 0 to 0.5.
        by: rule of the split.
        duplicates: "keep" trains on copies as often as they occur, "drop" only once.
    """
    first_D = first_copies(digests_DB)
    numbers_D = np.arange(len(lengths_D), dtype=np.int64)
    single_D = first_D == numbers_D
    parts = np.stack((numbers_D, np.zeros_like(numbers_D), lengths_D), axis=1)
    unique, copies = parts[single_D], parts[~single_D]
    split = _by_hash if by == "documents" else _by_tail
    train, validation, test = split(unique, digests_DB[single_D], test_share, validation_share)
    if not len(copies):
        return Splits(train, validation, test)
    whole = train[(train[:, 1] == 0) & (train[:, 2] == lengths_D[train[:, 0]])]
    learnt_D = np.zeros(len(lengths_D), dtype=bool)
    learnt_D[whole[:, 0]] = True
    kept = copies[learnt_D[first_D[copies[:, 0]]]] if duplicates == "keep" else copies[:0]
    joined = np.concatenate((train, kept))
    joined = joined[np.lexsort((joined[:, 1], joined[:, 0]))]
    return Splits(joined, validation, test, len(copies) - len(kept))


def split_groups(
    lengths_D: NDArray[np.int64],
    group_digests_DB: NDArray[np.uint8],
    *,
    test_share: float,
    validation_share: float,
) -> Splits:
    """Split whole documents by the hash of their group.

    All documents of a group are in the same split: answers to one question, for example.

    Arguments:
        lengths_D: characters of each document.
        group_digests_DB: hashes, equal for documents of one group.
        test_share: fraction of all characters in the test split, 0 to 0.5.
        validation_share: fraction of the rest in the validation split, 0 to 0.5.
    """
    numbers_D = np.arange(len(lengths_D), dtype=np.int64)
    parts = np.stack((numbers_D, np.zeros_like(numbers_D), lengths_D), axis=1)
    return Splits(*_by_hash(parts, group_digests_DB, test_share, validation_share))


def _by_hash(
    parts: Parts, digests_DB: NDArray[np.uint8], test_share: float, validation_share: float
) -> tuple[Parts, Parts, Parts]:
    """Split whole documents by the first eight bytes of their digests."""
    total = int((parts[:, 2] - parts[:, 1]).sum())
    test_share = min(test_share, MOST_TEST / max(1, total))
    validation_share = min(validation_share, MOST_VALIDATION / max(1, total))
    words_D = np.ascontiguousarray(digests_DB[:, :8]).view(">u8")[:, 0]
    place_D = words_D.astype(np.float64) / 2.0**64
    test_D = place_D < test_share
    rest = test_share + (1.0 - test_share) * validation_share
    validation_D = ~test_D & (place_D < rest)
    return parts[~test_D & ~validation_D], parts[validation_D], parts[test_D]


def _by_tail(
    parts: Parts, digests_DB: NDArray[np.uint8], test_share: float, validation_share: float
) -> tuple[Parts, Parts, Parts]:
    total = _size(parts)
    # As the usual text[: int(0.9 * len(text))]; the rounding guards against 0.9 * 10 = 8.999...
    kept = max(int(round(total * (1.0 - test_share), 6)), total - MOST_TEST)
    rest, test = _cut(parts, kept, near=(total - kept) / 5)
    if not validation_share:
        return rest, parts[:0], test
    size = _size(rest)
    share = min(validation_share, MOST_VALIDATION / max(1, size))
    slices = SLICES if size * share >= SLICES * SHORTEST_SLICE else 1
    train: list[Parts] = []
    validation: list[Parts] = []
    near = size * share / slices / 5
    for index in range(slices):
        # What is left of `rest` begins about at the character `index * size // slices`.
        left = slices - index
        piece, rest = _cut(rest, _size(rest) // left, near=near) if left > 1 else (rest, rest[:0])
        length = _size(piece)
        before, held = _cut(piece, int(round(length * (1.0 - share), 6)), near=near)
        train.append(before)
        validation.append(held)
    return np.concatenate(train), np.concatenate(validation), test


def _size(parts: Parts) -> int:
    return int((parts[:, 2] - parts[:, 1]).sum())


def _cut(parts: Parts, target: int, *, near: float) -> tuple[Parts, Parts]:
    """Cut parts at a number of characters.

    The cut moves to the nearest end of a part within `near` characters.
    """
    ends_P = np.cumsum(parts[:, 2] - parts[:, 1])
    if not len(parts):
        return parts, parts
    if len(parts) > 1:
        inner_P = ends_P[:-1]
        nearest = int(inner_P[np.argmin(np.abs(inner_P - target))])
        if abs(nearest - target) <= near:
            target = nearest
    index = int(np.searchsorted(ends_P, target, side="right"))
    if index == len(parts):
        return parts, parts[:0]
    start = int(ends_P[index - 1]) if index else 0
    if target == start:
        return parts[:index], parts[index:]
    number, begin, end = parts[index].tolist()
    middle = begin + target - start
    before = np.concatenate((parts[:index], [[number, begin, middle]]))
    after = np.concatenate(([[number, middle, end]], parts[index + 1 :]))
    return before, after
