"""Common parts of encoders that learn their vocabulary from texts."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_TEXT,
    Encoder,
    IncrementalDecoder,
    JoiningDecoder,
    line_chunks,
    vocabulary_of,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings, stated
from rhapsode.errors import BundleError, SettingsError

S = TypeVar("S", bound=NormalSettings)

# Chunks that are encoded together: enough for many cores, little enough to keep in memory.
_TOGETHER = 256
CODE_POINTS = 0x110000


class LearntEncoder(Encoder, Generic[S]):
    """An encoder of normalised text with a learnt vocabulary.

    Its settings are completed with their defaults.
    """

    reserved: ClassVar[tuple[str, str]] = ("<end of sequence>", "<unknown word>")
    """Names of the elements 0 and 1 in the `tokenizer.json`; no text has such elements."""

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._known: S = from_mapping(self.Settings, settings, where="encoder", error=BundleError)
        super().__init__(vocabulary, asdict(self._known))
        self._normaliser = Normaliser(self._known)
        self._texts = ("", UNKNOWN_TEXT, *self.vocabulary)

    @property
    @abstractmethod
    def _tokenizer(self) -> Tokenizer:
        """Tokenizer of normalised text, with the ids of this encoder."""

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """Result of decoding an encoded text of known elements."""
        return stated(self._known)

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Encoder:
        try:
            return cls(vocabulary_of(text, reserved=cls.reserved), settings)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None

    def to_tokenizer_json(self) -> str:
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        return encode_chunks(self._tokenizer, line_chunks(self._normaliser.converted(text)))

    def decoder(self) -> IncrementalDecoder:
        return JoiningDecoder(self._texts)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return ids_of((*self.reserved, *self.vocabulary))


def ids_of(tokens: Iterable[str]) -> dict[str, int]:
    """Ids of tokens that are in order of id."""
    return {token: index for index, token in enumerate(tokens)}


def tokenizer_of(
    model: models.Model,
    splitter: pre_tokenizers.PreTokenizer,
    *,
    steps: Sequence[normalizers.Normalizer] = (),
    decoder: decoders.Decoder | None = None,
) -> Tokenizer:
    """Build a tokenizer from normalisation steps, a splitter and a model."""
    tokenizer = Tokenizer(model)
    if steps:
        tokenizer.normalizer = normalizers.Sequence([*steps])
    tokenizer.pre_tokenizer = splitter
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


class Sample:
    """Evenly spaced chunks of texts within a budget.

    The texts are read once. Every chunk is kept until the budget is full; then every second one is
    dropped, from then on only every second one is kept, and so on.

    Arguments:
        texts: read once.
        budget: bytes of UTF-8 to keep at most.
    """

    def __init__(self, texts: Iterable[str], budget: int) -> None:
        self.chunks: list[str] = []
        self.bytes = 0
        """Bytes of all texts."""
        sizes: list[int] = []
        kept, stride = 0, 1
        for index, chunk in enumerate(piece for text in texts for piece in line_chunks(text)):
            size = len(chunk) if chunk.isascii() else len(chunk.encode("utf-8", "surrogatepass"))
            self.bytes += size
            if index % stride:
                continue
            self.chunks.append(chunk)
            sizes.append(size)
            kept += size
            while kept > budget and len(self.chunks) > 1:
                self.chunks, sizes = self.chunks[::2], sizes[::2]
                kept, stride = sum(sizes), stride * 2


def encode_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> NDArray[np.uint32]:
    """Ids of all chunks, concatenated.

    `tokenizers` encodes chunks in parallel.
    """
    return np.concatenate([np.zeros(0, dtype=np.uint32), *encoded_chunks(tokenizer, chunks)])


def encoded_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[NDArray[np.uint32]]:
    """Ids of each chunk."""
    rest = iter(chunks)
    while group := list(islice(rest, _TOGETHER)):
        for encoding in tokenizer.encode_batch_fast(group, add_special_tokens=False):
            # An array of the buffer protocol fills twice as fast as NumPy's own.
            yield np.frombuffer(array("I", encoding.ids), dtype=np.uint32)


def unknown_in(tokenizer: Tokenizer, chunks: Iterable[str], known: Container[int]) -> list[str]:
    """Texts of the pieces whose ids are not known.

    The space around a piece is removed, unless it is the piece.
    """
    encodings = ((chunk, tokenizer.encode(chunk, add_special_tokens=False)) for chunk in chunks)
    return [
        chunk[start:end].strip() or chunk[start:end]
        for chunk, encoding in encodings
        for element, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        if element not in known
    ]


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of a text, (N,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def count_points(texts: Iterable[str]) -> Counter[str]:
    """Occurrences of each character."""
    counts_V = np.zeros(CODE_POINTS, dtype=np.int64)
    for text in _joined(texts):
        part_V = np.bincount(code_points(text))
        counts_V[: len(part_V)] += part_V
    return Counter({chr(point): int(counts_V[point]) for point in np.flatnonzero(counts_V)})


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Join texts to long ones.

    Each count of code points passes over a whole table, which is slow for short texts.
    """
    waiting: list[str] = []
    length = 0
    for text in texts:
        waiting.append(text)
        length += len(text)
        if length > CODE_POINTS:
            yield "".join(waiting)
            waiting, length = [], 0
    yield "".join(waiting)
