"""Contents of a model file that belong to a vocabulary: counts of elements and n-grams. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.model_file import Bundle, Facts, NetworkSizes
from rhapsode.config import parse_context
from rhapsode.encoding import Encoder, encoder_from_mapping
from rhapsode.errors import BundleError

if TYPE_CHECKING:
    from rhapsode.encoding import Grammar

__all__ = ["COUNTS", "MOST_INSIDE", "NGRAM_PREFIX", "IdBundle", "IdFacts", "NGramPart"]

COUNTS = "counts.elements"
NGRAM_PREFIX = "counts.ngram."
MOST_INSIDE = 16 << 20
"""Bytes of n-gram counts that lie inside the model file; larger ones lie beside it."""


@dataclass(frozen=True)
class IdFacts(Facts):
    """Counts of a model of identifiers.

    Arguments:
        counts_V: how often each element occurred in the training share, int64.
        ngram: arrays and numbers of the n-gram counts, where they lie in the file.
        counted_in: context of counts that predict without a network; None: as their numbers say.
    """

    counts_V: NDArray[np.int64]
    ngram: NGramPart | None = None
    counted_in: str | None = None

    def to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        table: dict[str, Any] = {}
        arrays: dict[str, NDArray[Any]] = {COUNTS: self.counts_V}
        if self.counted_in is not None:
            table["counted_in"] = self.counted_in
        if self.ngram is not None:
            table["ngram"] = dict(self.ngram.numbers)
            arrays |= {NGRAM_PREFIX + name: array for name, array in self.ngram.arrays.items()}
        return table, arrays

    @classmethod
    def from_file(
        cls, table: Mapping[str, Any], arrays: dict[str, NDArray[Any]], encoder: Encoder
    ) -> Self:
        """The counts, checked against the vocabulary; n-gram counts are checked where they are opened."""
        for name in table:
            if name not in ("counted_in", "ngram"):
                raise BundleError(f"unknown entry {name!r}", where="facts")
        counts_V = arrays.pop(COUNTS, None)
        fits = counts_V is not None and counts_V.shape == (encoder.vocab_size,)
        if counts_V is None or not fits or counts_V.dtype != np.int64:
            raise BundleError(
                f"the array {COUNTS!r} is missing or of another size than the vocabulary"
            )
        if (counts_V < 0).any():
            raise BundleError(f"the array {COUNTS!r} holds negative counts")
        counted_in = table.get("counted_in")
        if counted_in is not None and not isinstance(counted_in, str):
            raise BundleError("the context of its counts is no text", where="facts")
        if counted_in is not None:
            parse_context(counted_in)
        own = {name: arrays.pop(name) for name in list(arrays) if name.startswith(NGRAM_PREFIX)}
        numbers = table.get("ngram")
        if numbers is None and not own:
            return cls(counts_V, None, counted_in)
        if not isinstance(numbers, dict):
            raise BundleError("its n-gram counts are not described")
        named = {name.removeprefix(NGRAM_PREFIX): array for name, array in own.items()}
        return cls(counts_V, NGramPart(numbers, named), counted_in)

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> Any:
        return encoder_from_mapping(table)

    @classmethod
    def grammar(cls, encoder: Encoder) -> Grammar | None:
        """The grammar of this modality's elements; None where anything may follow anything.

        All that learns, scores and draws is normalised over what it allows.
        """
        return None

    def sizes(self, encoder: Encoder) -> NetworkSizes:
        vocabulary = ("vocab_size", encoder.vocab_size)
        return NetworkSizes("elements", vocabulary, vocabulary)

    def described(self, encoder: Encoder) -> dict[str, Any]:
        return {
            "encoder": {
                "name": encoder.name,
                "elements": encoder.vocab_size,
                "settings": encoder.settings,
                "round_trip": encoder.round_trip,
            }
        }

    def context(self) -> str:
        """The declared one, or per document where the counts know openings of documents."""
        if self.counted_in is not None:
            return self.counted_in
        opening = None if self.ngram is None else self.ngram.numbers.get("opening")
        return "carried" if opening is None else "fresh"


@dataclass(frozen=True)
class NGramPart:
    """N-gram counts as a file holds them.

    Arguments:
        numbers: sizes, order and smoothing.
        arrays: of the trie, by name.
    """

    numbers: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(int(array.nbytes) for array in self.arrays.values())


IdBundle = Bundle[Encoder, IdFacts]
