"""Contents of a model file that depend on its elements. No torch.

Elements are identifiers or values.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.model_file import Bundle, Facts, NetworkSizes, take_arrays
from rhapsode.config import from_mapping, parse_context
from rhapsode.encoding import Encoder, encoder_from_mapping
from rhapsode.errors import BundleError

if TYPE_CHECKING:
    from rhapsode.data import Condition
    from rhapsode.encoding import Grammar

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

COUNTS = "counts.elements"
NGRAM_PREFIX = "counts.ngram."
MOST_INSIDE = 16 << 20
"""Maximum bytes of n-gram counts inside the model file; larger ones lie beside it."""


@dataclass(frozen=True)
class IdFacts(Facts):
    """Counts of a model of identifiers.

    Arguments:
        counts_V: how often each element occurred in the training split, int64.
        ngram: arrays and numbers of the n-gram counts, where they lie in the file.
        counted_in: context of counts that predict without a network; None: derived from their
            numbers.
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
        """Read the counts and check them against the vocabulary.

        N-gram counts are checked when they are opened.
        """
        for name in sorted(table.keys() - {"counted_in", "ngram"}):
            raise BundleError(f"unknown entry {name!r}", where="facts")
        counts_V, wanted = arrays.pop(COUNTS, None), (encoder.vocab_size,)
        if counts_V is None or counts_V.shape != wanted or counts_V.dtype != np.int64:
            raise BundleError(
                f"the array {COUNTS!r} is missing or of another size than the vocabulary"
            )
        if (counts_V < 0).any():
            raise BundleError(f"the array {COUNTS!r} holds negative counts")
        counted_in = table.get("counted_in")
        if counted_in is not None:
            if not isinstance(counted_in, str):
                raise BundleError("the context of its counts is not a text", where="facts")
            parse_context(counted_in)
        own, numbers = take_arrays(arrays, NGRAM_PREFIX), table.get("ngram")
        if numbers is None and not own:
            return cls(counts_V, None, counted_in)
        if not isinstance(numbers, dict):
            raise BundleError("its n-gram counts are not described")
        return cls(counts_V, NGramPart(numbers, own), counted_in)

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> Any:
        return encoder_from_mapping(table)

    @classmethod
    def grammar(cls, encoder: Encoder) -> Grammar | None:
        """The grammar of this modality's elements; None without restrictions.

        Training, scoring and drawing are normalised over the elements that it allows.
        """
        return None

    @classmethod
    def has_words(cls, encoder: Encoder) -> bool:
        """True if elements are words or parts of words."""
        return False

    @classmethod
    def letters(cls, encoder: Encoder) -> NDArray[np.int64] | None:
        """The letter of each element; 0 for what ends a word.

        Counts after parts of words need it. -2 marks elements that begin a measure, and -1 those
        that name a place in one: counts compare what was read with the measures before. Elements
        with a height, such as notes, have 2 ** 32 plus that height: counts also compare the steps
        from one height to the next. -16 less an id stands for a word or a part of one, whose most
        frequent form in either case has this id: counts remember which words were said. None where
        elements are neither letters nor marks.
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
        """The declared context, or the one that the counts imply.

        It is per document if the counts have openings of documents.
        """
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


class ValuePaths(Protocol):
    """B paths of values, each with what its next value depends on."""

    def __len__(self) -> int:
        """B, the number of paths."""

    def features(self) -> Singles:
        """Features (B, D) before the next value."""

    def log_scale(self) -> Floats:
        """Logarithm of the factor of the mean of each count, (B, K)."""

    def encode_next(self, values_BK: Floats) -> tuple[Floats, Floats]:
        """Targets (B, K) and log-Jacobians (B,) of values, which are not read."""

    def decode_next(self, targets_BK: Any) -> Floats:
        """Values (B, K) of targets; nothing is read."""

    def push(self, values_BK: Floats) -> None:
        """Read the next value of every path, (B, K); NaN where missing."""

    def select(self, rows_R: NDArray[np.int64]) -> Self:
        """Some of the paths, in that order; a row may occur twice."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The paths of several, in order."""


class ValueEncoder(Protocol):
    """Values of K numbers to features and targets, and back."""

    name: str

    @property
    def target_size(self) -> int:
        """K, the numbers of an element."""

    @property
    def feature_size(self) -> int:
        """D, the features of an element."""

    @property
    def span(self) -> int:
        """Steps back that features depend on."""

    @property
    def counts(self) -> bool:
        """True if targets are counts, for a head of counts."""

    @property
    def spans_gaps(self) -> bool:
        """True if features depend on any distance where values are missing."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that describe the encoder."""

    def stats(self, history_TK: Any) -> Any:
        """The scale of a history."""

    def encode(self, values_TK: Any, stats: Any) -> Any:
        """Features, targets, weights and log-Jacobians of values under a scale."""

    def paths(self, stats: Any, copies: int = 1) -> Any:
        """Paths that have read nothing: `copies` of each scale."""

    def paths_after(self, values_TK: Any, stats: Any) -> Any:
        """A path that has read values."""


@dataclass(frozen=True)
class History:
    """The known beginning of one series.

    Arguments:
        values_TK: NaN where missing.
        known_TX: scaled covariates at the same times; at least those of the last values that a
            model reads.
        scale: of the series, as the encoder's `stats` gives it. [default: that of the values]
    """

    values_TK: Floats
    known_TX: Singles
    scale: Any = None


@dataclass(frozen=True)
class ValueCondition:
    """Scales and sources that series begin with.

    Arguments:
        scales: one for all of them, or one for each.
        sources: what they depend on, for a network with a conditioner; likewise.
    """

    scales: Any
    sources: Condition | None = None


class ValueFacts(Facts):
    """Contents of a model file of values: the fields of a dataclass."""

    names: tuple[str, ...]
    """Names of the numbers of an element."""

    @property
    @abstractmethod
    def covariate_size(self) -> int:
        """X, the covariates of a time."""

    @property
    @abstractmethod
    def warm_up(self) -> int:
        """Maximum number of values that the network reads before a forecast."""

    @property
    def static_size(self) -> int:
        """Number of attributes that are a sequence's condition; 0 without any."""
        return 0

    def to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        table: dict[str, Any] = msgspec.to_builtins(self)
        return table, {}

    @classmethod
    def from_file(
        cls, table: Mapping[str, Any], arrays: dict[str, NDArray[Any]], encoder: Any
    ) -> Self:
        facts = from_mapping(cls, table, where="facts", error=BundleError)
        facts.check(encoder)
        return facts

    def check(self, encoder: Any) -> None:
        """Check the facts against the encoder.

        Raises:
            BundleError: there are more or fewer names than numbers.
        """
        if len(self.names) != encoder.target_size:
            raise BundleError(f"the description of its {self.goes_on_with} is malformed")

    def sizes(self, encoder: Any) -> NetworkSizes:
        return NetworkSizes(
            "numbers",
            ("value_size", encoder.feature_size + self.covariate_size),
            ("target_size", encoder.target_size),
            ("static_size", self.static_size) if self.static_size else None,
        )

    def described(self, encoder: Any) -> dict[str, Any]:
        settings = encoder.to_mapping()["settings"]
        numbers = encoder.target_size
        return {"encoder": {"name": encoder.name, "numbers": numbers, "settings": settings}}


ValueBundle = Bundle[ValueEncoder, ValueFacts]
