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
    """Hold out the end of the corpus, and the end of what is left of it.

    The cut falls on a character count, so the test share of a single file is exactly its last part; with many
    documents it moves to the nearest end of a document when one is within a fifth of the share.

    Arguments:
        documents: the corpus, in order.
        test_share: share of all characters held out for the end, 0 to 0.5.
        validation_share: share of the rest that chooses weights, 0 to 0.5.
    """
    rest, test = _cut(documents, test_share)
    train, validation = _cut(rest, validation_share)
    return Split(tuple(train), tuple(validation), tuple(test))


def _cut(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document]]:
    total = sum(len(document.text) for document in documents)
    # As the usual text[: int(0.9 * len(text))]; the rounding guards against 0.9 * 10 = 8.999...
    target = int(round(total * (1.0 - share), 6))
    near = (total - target) / 5
    ends: list[int] = []
    position = 0
    for document in documents:
        position += len(document.text)
        ends.append(position)
    boundary = min((0, *ends), key=lambda end: abs(end - target))
    if len(documents) > 1 and 0 < boundary < total and abs(boundary - target) <= near:
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
