"""Text as characters: Unicode code points, or whole grapheme clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    END_ID,
    UNKNOWN_ID,
    CountingEncoder,
    line_chunks,
    most_frequent,
    without_surrogates,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings
from rhapsode.encoding.text.learnt import (
    CODE_POINTS,
    LearntEncoder,
    code_points,
    count_points,
    tokenizer_of,
)
from rhapsode.errors import BundleError

_CHARACTER, _GRAPHEME = Regex(r"(?m:.)"), Regex(r"\X")


@dataclass(frozen=True)
class CharacterSettings(NormalSettings):
    """Settings of `characters.v1`."""

    graphemes: bool = False
    """Treat a grapheme cluster as one element, for example a letter with its accents or an emoji of
    several code points."""
    max_vocabulary: Annotated[int, Meta(ge=3, le=CODE_POINTS)] | None = None
    """Maximum number of elements, including end-of-sequence and unknown; the most frequent ones are
    kept."""
    min_count: Annotated[int, Meta(ge=1)] = 1
    """Elements that occur less often than this become the unknown element."""


class CharacterEncoder(LearntEncoder[CharacterSettings], CountingEncoder):
    """Encoder of characters, in order of frequency.

    Lossless for every character that it has seen.

    With `graphemes` an element is an extended grapheme cluster (Unicode Standard Annex 29).
    """

    Settings = CharacterSettings
    name = "characters.v1"
    unknown_prompt = "error"
    # Longer than any single element.
    reserved = ("<end>", "<unknown>")

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        if self._known.graphemes:
            return
        if any(len(piece) != 1 for piece in self.vocabulary):
            raise BundleError("a character of the encoder's vocabulary is not one character")
        self._table = np.full(CODE_POINTS, UNKNOWN_ID, dtype=np.uint32)
        self._table[[ord(piece) for piece in self.vocabulary]] = np.arange(2, self.vocab_size)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizer_of(
            models.WordLevel(vocab=self._ids, unk_token=self.reserved[UNKNOWN_ID]),
            _splitter(_GRAPHEME if self._known.graphemes else _CHARACTER),
            steps=self._normaliser.steps,
            decoder=decoders.Fuse(),
        )

    @classmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        known = from_mapping(CharacterSettings, settings, where="[encoder]")
        normalised = map(Normaliser(known), texts)
        if not known.graphemes:
            return count_points(normalised)
        return Counter(piece for text in normalised for piece in _grapheme_pieces(text))

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], settings: Mapping[str, Any]
    ) -> CharacterEncoder:
        known = from_mapping(CharacterSettings, settings, where="[encoder]")
        ordered = most_frequent(counts, most=known.max_vocabulary, min_count=known.min_count)
        return cls(ordered, settings)

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        if self._known.graphemes:
            return super().encode(text)
        return self._table[code_points(self._normaliser(text))]

    def unknown_pieces(self, text: str) -> list[str]:
        known = set(self.vocabulary)
        text = self._normaliser(text)
        pieces = _grapheme_pieces(text) if self._known.graphemes else text
        return [piece for piece in pieces if piece not in known]

    def without_unknown(self, text: str) -> str:
        while True:
            ids_N = self.encode(text)
            known_N = ids_N[(ids_N != UNKNOWN_ID) & (ids_N != END_ID)]
            text = self.decode(known_N)
            # The remaining text may form other clusters than before.
            if len(known_N) == len(ids_N):
                return text


def _splitter(pattern: Regex) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(pattern, behavior="isolated")


def _grapheme_pieces(text: str) -> Iterator[str]:
    splitter = _splitter(_GRAPHEME)
    for chunk in line_chunks(without_surrogates(text)):
        yield from (piece for piece, _ in splitter.pre_tokenize_str(chunk))
