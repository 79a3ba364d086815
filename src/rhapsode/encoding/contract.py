"""The contract of an encoder: documents to element ids and back."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import Registry
from rhapsode.errors import BundleError

END_ID = 0
UNKNOWN_ID = 1
UNKNOWN_TEXT = "\N{REPLACEMENT CHARACTER}"
# Small enough to keep all cores busy with one text, large enough that its handling costs nothing.
CHUNK = 1 << 14

_HALVES = re.compile("[\ud800-\udfff]")

Ids = NDArray[np.unsignedinteger] | NDArray[np.int64] | Sequence[int]


class IncrementalDecoder(ABC):
    """Incremental conversion of elements to text.

    The pieces joined equal `decode` of the whole.
    """

    @abstractmethod
    def feed(self, ids: Ids) -> str:
        """The text that is certain after these elements; never half a character."""

    @abstractmethod
    def finish(self) -> str:
        """The text held back, malformed bytes replaced by U+FFFD."""


class Encoder(ABC):
    """Conversion of text to element ids and back.

    Id 0 is end-of-sequence and padding, id 1 the unknown element. The ids of a text are those of
    its pieces, cut after line feeds, one after another.

    Arguments:
        vocabulary: the text of every id from 2 on, in order.
        settings: those of `learn`, complete, as plain values.
    """

    Settings: ClassVar[type[Any]]
    """The frozen dataclass of this encoding's settings."""
    name: ClassVar[str]
    """Registered name, `characters.v1`."""
    round_trip: ClassVar[str]
    """Result of `decode(encode(text))`: "lossless", or the normalisation applied."""
    unknown_prompt: ClassVar[str]
    """Treatment of an unseen piece of a prompt: "error", or "element" for the unknown element."""
    spaced: bool = False
    """True if elements are separated by a space, except next to line ends."""
    documents: ClassVar[str] = "text"
    """Kind of the documents that it encodes."""
    parallel: ClassVar[Literal["itself", "processes"]] = "itself"
    """Parallelism: `encode` itself uses several cores, or its caller uses processes."""

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.settings = dict(settings)

    @classmethod
    @abstractmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Encoder:
        """Learn an encoder from texts.

        Raises:
            SettingsError: a setting that this encoding lacks, or out of range.
        """

    @classmethod
    @abstractmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Encoder:
        """The encoder that `to_tokenizer_json` described.

        Raises:
            BundleError: the description is malformed.
        """

    @abstractmethod
    def to_tokenizer_json(self) -> str:
        """This encoder as a Hugging Face `tokenizer.json`, giving the identical ids."""

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        """Ids of a text, (N,).

        Pieces without an element become the unknown element.
        """

    def encode_all(self, texts: Iterable[str]) -> Iterator[NDArray[np.unsignedinteger]]:
        """Ids of each text.

        Where texts are many and short it is faster than `encode`.
        """
        return map(self.encode, texts)

    def decode(self, ids: Ids) -> str:
        """Text of ids.

        End-of-sequence adds nothing, the unknown element adds U+FFFD.
        """
        decoder = self.decoder()
        return decoder.feed(ids) + decoder.finish()

    @abstractmethod
    def decoder(self) -> IncrementalDecoder:
        """A new incremental decoder."""

    @abstractmethod
    def unknown_pieces(self, text: str) -> list[str]:
        """Pieces of a text without an element, every occurrence, in order."""

    def unknown(self, text: str) -> list[str]:
        """Distinct pieces of a text without an element, in order of appearance."""
        return list(dict.fromkeys(self.unknown_pieces(text)))

    def without_unknown(self, text: str) -> str:
        """The text without the pieces that have no element."""
        ids_N = self.encode(text)
        return self.decode(ids_N[(ids_N != UNKNOWN_ID) & (ids_N != END_ID)])

    def element_bytes(self) -> tuple[bytes, ...]:
        """UTF-8 bytes that each element adds to a text.

        They begin with id 2, and may be a part of a character.

        Raises:
            SettingsError: they depend on neighbouring elements.
        """
        texts = (self.decode([element]) for element in range(2, self.vocab_size))
        return tuple(text.encode("utf-8", "surrogatepass") for text in texts)

    @property
    def vocab_size(self) -> int:
        """V, end-of-sequence and unknown included."""
        return len(self.vocabulary) + 2

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides ids, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_mapping(), sort_keys=True).encode()).hexdigest()

    def label(self, element: int) -> str:
        """A short printable name of an element, for tables."""
        return ("<end>", "<unknown>")[element] if element < 2 else self.vocabulary[element - 2]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that `encoder_from_mapping` reads back."""
        return {
            "name": self.name,
            "settings": self.settings,
            "tokenizer": self.to_tokenizer_json(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the encoder as its mapping, for other processes."""
        return encoder_from_mapping, (self.to_mapping(),)


class CountingEncoder(Encoder):
    """An encoder that learns from counts of pieces.

    Separate processes count parts of the texts, and the counts are added.
    """

    @classmethod
    @abstractmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        """Occurrences of every piece.

        Raises:
            SettingsError: a setting that this encoding lacks, or out of range.
        """

    @classmethod
    @abstractmethod
    def from_counts(cls, counts: Mapping[str, int], settings: Mapping[str, Any]) -> Encoder:
        """Build the encoder for texts with these pieces.

        `settings` are those that `count` took.
        """

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Encoder:
        return cls.from_counts(cls.count(texts, settings), settings)


class JoiningDecoder(IncrementalDecoder):
    """Decoder that concatenates the texts of elements.

    Arguments:
        texts: the text of every id from 0 on.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def feed(self, ids: Ids) -> str:
        return "".join([self._texts[element] for element in ids])

    def finish(self) -> str:
        return ""


ENCODERS: Registry[type[Encoder]] = Registry("encoding")


def encoder_from_mapping(mapping: Mapping[str, Any]) -> Encoder:
    """The encoder written by `Encoder.to_mapping`.

    Raises:
        BundleError: the mapping is malformed.
        SettingsError: its name is not registered.
    """
    match mapping:
        case {"name": str(name), "settings": dict(settings), "tokenizer": str(tokenizer)}:
            return ENCODERS.get(name).from_tokenizer_json(tokenizer, settings)
    raise BundleError("the encoder's description is malformed")


def most_frequent(
    counts: Mapping[str, int], *, most: int | None = None, min_count: int = 1
) -> list[str]:
    """Pieces in order of frequency, ties in order of code points.

    Arguments:
        counts: how often each occurs.
        most: maximum number of elements, including end-of-sequence and unknown.
        min_count: pieces that occur less often are left out.
    """
    ordered = sorted(
        (piece for piece, count in counts.items() if count >= min_count),
        key=lambda piece: (-counts[piece], piece),
    )
    return ordered if most is None else ordered[: most - 2]


def line_chunks(text: str) -> Iterator[str]:
    """Split a text after line feeds into parts of about `CHUNK` characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + CHUNK) + 1 or len(text)
        yield text[start:end]
        start = end


def without_surrogates(text: str) -> str:
    """Replace halves of surrogate pairs with U+FFFD.

    No tokenizer accepts them.
    """
    return text if text.isascii() else _HALVES.sub(UNKNOWN_TEXT, text)


def vocabulary_of(text: str, *, reserved: Sequence[str]) -> list[str]:
    """Tokens of a `tokenizer.json` in order of id, without the reserved ones.

    Raises:
        BundleError: no vocabulary, or ids that are not 0, 1, 2, ...
    """
    try:
        table = json.loads(text)["model"]["vocab"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BundleError("the encoder's vocabulary is malformed") from None
    return tokens_of(table, reserved)


def tokens_of(table: Any, reserved: Sequence[str]) -> list[str]:
    """Tokens of a table of ids, in order, without the reserved ones.

    Raises:
        BundleError: no table, or ids that are not 0, 1, 2, ...
    """
    try:
        if not isinstance(table, dict):
            raise TypeError
        tokens = sorted(table, key=table.__getitem__)
        contiguous = [table[token] for token in tokens] == list(range(len(tokens)))
        halves = any(_HALVES.search(token) for token in tokens)
    except (ValueError, TypeError):
        raise BundleError("the encoder's vocabulary is malformed") from None
    if halves:
        raise BundleError("the encoder's vocabulary holds half of a surrogate pair")
    if not contiguous or tokens[:2] != list(reserved):
        raise BundleError("the encoder's vocabulary has gaps or lacks its reserved elements")
    return tokens[2:]
