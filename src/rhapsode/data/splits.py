"""Documents to training, validation and test shares."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from rhapsode.data.document import Document

__all__ = ["Split", "documents_hash", "split_tail"]


@dataclass(frozen=True)
class Split:
    """Three shares of a corpus, in reading order and without overlap."""

    train: tuple[Document, ...]
    validation: tuple[Document, ...]
    test: tuple[Document, ...]


def split_tail(
    documents: Sequence[Document], *, test_share: float, validation_share: float
) -> Split:
    """Hold out the end of the corpus to test, and slices all through the rest to validate.

    The test cut falls on a character count, so the test share of a single file is exactly its last part; with many
    documents it moves to the nearest end of a document when one is within a fifth of the share. Validation is taken in
    `SLICES` pieces spread evenly: a single piece would take one subject out of training altogether, and the one
    nearest the test share costs most.

    Arguments:
        documents: the corpus, in order.
        test_share: share of all characters held out for the end, 0 to 0.5.
        validation_share: share of the rest that chooses weights, 0 to 0.5.
    """
    total = sum(len(document.text) for document in documents)
    # As the usual text[: int(0.9 * len(text))]; the rounding guards against 0.9 * 10 = 8.999...
    kept = int(round(total * (1.0 - test_share), 6))
    rest, test = _cut(documents, kept)
    if not validation_share:
        return Split(tuple(rest), (), tuple(test))
    size = sum(len(document.text) for document in rest)
    slices = SLICES if size * validation_share >= SLICES * SHORTEST_SLICE else 1
    train: list[Document] = []
    validation: list[Document] = []
    for index in range(slices):
        # What is left of `rest` begins at the character `index * size // slices`.
        share, rest = _cut(rest, (index + 1) * size // slices - index * size // slices, snap=False)
        length = sum(len(document.text) for document in share)
        before, held = _cut(share, int(round(length * (1.0 - validation_share), 6)))
        train.extend(before)
        validation.extend(held)
    return Split(tuple(train), tuple(validation), tuple(test))


SLICES = 8
SHORTEST_SLICE = 1000


def _cut(
    documents: Sequence[Document], target: int, *, snap: bool = True
) -> tuple[list[Document], list[Document]]:
    """Documents before and after a number of characters; `snap` prefers a near end of a document."""
    total = sum(len(document.text) for document in documents)
    near = (total - target) / 5
    ends: list[int] = []
    position = 0
    for document in documents:
        position += len(document.text)
        ends.append(position)
    boundary = min((0, *ends), key=lambda end: abs(end - target))
    if snap and len(documents) > 1 and 0 < boundary < total and abs(boundary - target) <= near:
        target = boundary
    before: list[Document] = []
    after: list[Document] = []
    start = 0
    for document, end in zip(documents, ends, strict=True):
        if end <= target:
            before.append(document)
        elif start >= target:
            after.append(document)
        else:
            at = target - start
            before.append(Document(document.text[:at], document.name, complete=False))
            after.append(Document(document.text[at:], document.name, document.complete))
        start = end
    return before, after


def documents_hash(documents: Sequence[Document]) -> str:
    """SHA-256 over the texts and their boundaries, in hexadecimal; names do not count."""
    digest = hashlib.sha256()
    for document in documents:
        raw = document.text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(raw)}:{int(document.complete)}:".encode())
        digest.update(raw)
    return digest.hexdigest()
