"""Sources to an encoder and three encoded shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import TrainSettings
from rhapsode.data import (
    Document,
    ElementStore,
    Reading,
    Split,
    cache_folder,
    documents_hash,
    read_sources,
    split_tail,
    write_store,
)
from rhapsode.encoding import ENCODERS, UNKNOWN_ID, Encoder, choose_encoding
from rhapsode.errors import DataError

__all__ = ["Corpus", "encode_documents", "prepare_corpus"]


@dataclass(frozen=True)
class Corpus:
    """A corpus ready to learn from.

    Arguments:
        encoder: learnt on the training share.
        encoding_reason: why this encoding.
        train: encoded training share.
        validation: encoded validation slice, possibly empty.
        test: encoded test share, possibly empty.
        sha256: over all texts and their boundaries.
        characters: of all texts.
        documents: how many texts.
        skipped: files that were not text.
    """

    encoder: Encoder
    encoding_reason: str
    train: ElementStore
    validation: ElementStore
    test: ElementStore
    sha256: str
    characters: int
    documents: int
    skipped: tuple[str, ...]

    def counts_V(self) -> NDArray[np.int64]:
        """How often each element occurs in the training share."""
        found_V = np.bincount(np.asarray(self.train.elements_N), minlength=self.encoder.vocab_size)
        return found_V.astype(np.int64)


def prepare_corpus(
    sources: Sequence[str],
    settings: TrainSettings,
    tell: Callable[[str], None],
    *,
    encoder: Encoder | None = None,
) -> Corpus:
    """Read, split, learn an encoder on the training share, and encode.

    Arguments:
        sources: files, folders, catalogue names.
        settings: `encoding`, `encoder` and `data` are used.
        tell: takes a line of progress.
        encoder: use this one instead of learning one.

    Raises:
        DataError: nothing to read, or too little.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    if settings.encoding != "auto":
        ENCODERS.get(settings.encoding)
    reading = read_sources(sources)
    split = split_tail(
        reading.documents,
        test_share=settings.data.test_share,
        validation_share=settings.data.validation_share,
    )
    characters = sum(len(document.text) for document in reading.documents)
    if not split.train or characters < 2:
        raise DataError(
            f"{characters} character{'s' if characters != 1 else ''} of text: too little to learn from",
            where=", ".join(sources),
        )
    reason = "as asked"
    if encoder is None:
        name = settings.encoding
        if name == "auto":
            name, reason = choose_encoding(document.text for document in split.train)
        learner = ENCODERS.get(name)
        encoder = learner.learn((document.text for document in split.train), settings.encoder)
    tell(_found(reading, characters, encoder, reason))
    train, validation, test = _encode_split(split, encoder)
    return Corpus(
        encoder,
        reason,
        train,
        validation,
        test,
        documents_hash(reading.documents),
        characters,
        len(reading.documents),
        reading.skipped,
    )


def _found(reading: Reading, characters: int, encoder: Encoder, reason: str) -> str:
    count = len(reading.documents)
    skipped = f", {len(reading.skipped)} files skipped" if reading.skipped else ""
    kind = encoder.name.partition(".")[0]
    return (
        f"{count:,} document{'s' if count != 1 else ''}, {characters:,} characters{skipped}; "
        f"{kind}: {encoder.vocab_size:,} elements ({reason})"
    )


def _encode_split(
    split: Split, encoder: Encoder
) -> tuple[ElementStore, ElementStore, ElementStore]:
    train, validation, test = (
        encode_documents(documents, encoder)
        for documents in (split.train, split.validation, split.test)
    )
    return train, validation, test


def encode_documents(documents: Sequence[Document], encoder: Encoder) -> ElementStore:
    """The store of some documents, taken from the cache when it is there.

    Raises:
        DataError: the cache folder cannot be written.
    """
    key = hashlib.sha256((documents_hash(documents) + encoder.fingerprint).encode()).hexdigest()
    folder: Path = cache_folder() / "stores" / key[:32]
    return write_store(
        folder,
        documents,
        encoder.encode,
        vocab_size=encoder.vocab_size,
        unknown_id=UNKNOWN_ID,
    )
