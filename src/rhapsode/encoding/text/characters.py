"""Text as characters: Unicode code points, or whole grapheme clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    END_ID,
    UNKNOWN_ID,
    UNKNOWN_TEXT,
    CountingEncoder,
    Ids,
    IncrementalDecoder,
    JoiningDecoder,
    line_chunks,
    most_frequent,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings, stated
from rhapsode.encoding.text.encode_chunks import encode_chunks
from rhapsode.errors import BundleError

# Longer than any single element, so that they can never be read from a text.
RESERVED = ("<end>", "<unknown>")
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class CharacterSettings(NormalSettings):
    """Settings of `characters.v1`."""

    graphemes: bool = False
    """Treat a grapheme cluster as one element: a letter with its accents, a flag, a family, a
    syllable."""
    max_vocabulary: Annotated[int, Meta(ge=3, le=_CODE_POINTS)] | None = None
    """Maximum number of elements, including end-of-sequence and unknown; the most frequent ones are
    kept."""
    min_count: Annotated[int, Meta(ge=1)] = 1
    """Elements that occur less often than this become the unknown element."""


class CharacterEncoder(CountingEncoder):
    """One element a character, in order of frequency; lossless for every character it has seen.

    With `graphemes` an element is an extended grapheme cluster (Unicode Standard Annex 29).
    """

    Settings = CharacterSettings
    name = "characters.v1"
    unknown_prompt = "error"

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        self._known = from_mapping(CharacterSettings, settings, where="encoder", error=BundleError)
        self._graphemes = self._known.graphemes
        self._normaliser = Normaliser(self._known)
        self._texts = ("", UNKNOWN_TEXT, *self.vocabulary)
        self._tokenizer: Tokenizer | None = None
        if self._graphemes:
            self._tokenizer = self._build_tokenizer()
        else:
            self._table = np.full(_CODE_POINTS, UNKNOWN_ID, dtype=np.uint32)
            points = [ord(character) for character in self.vocabulary]
            self._table[points] = np.arange(2, len(points) + 2, dtype=np.uint32)

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """What comes back of a text of known characters."""
        return stated(self._known)

    @classmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        known = from_mapping(CharacterSettings, settings, where="[encoder]")
        normalised = map(Normaliser(known), texts)
        return _count_graphemes(normalised) if known.graphemes else _count_points(normalised)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], settings: Mapping[str, Any]
    ) -> CharacterEncoder:
        known = from_mapping(CharacterSettings, settings, where="[encoder]")
        ordered = most_frequent(counts, most=known.max_vocabulary, min_count=known.min_count)
        return cls(ordered, asdict(known))

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> CharacterEncoder:
        known = from_mapping(CharacterSettings, settings, where="encoder", error=BundleError)
        vocabulary = vocabulary_of(text, reserved=RESERVED)
        if not known.graphemes and any(len(piece) != 1 for piece in vocabulary):
            raise BundleError("a character of the encoder's vocabulary is not one character")
        return cls(vocabulary, asdict(known))

    def to_tokenizer_json(self) -> str:
        return str(self._build_tokenizer().to_str())

    def _build_tokenizer(self) -> Tokenizer:
        table = {piece: index for index, piece in enumerate((*RESERVED, *self.vocabulary))}
        tokenizer = Tokenizer(models.WordLevel(vocab=table, unk_token=RESERVED[UNKNOWN_ID]))
        if self._normaliser.steps:
            tokenizer.normalizer = normalizers.Sequence(self._normaliser.steps)
        tokenizer.pre_tokenizer = _splitter(self._graphemes)
        tokenizer.decoder = decoders.Fuse()
        return tokenizer

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        if self._tokenizer is None:
            text = self._normaliser(text)
            points_N = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            return self._table[points_N]
        return encode_chunks(self._tokenizer, line_chunks(self._normaliser.converted(text)))

    def decode(self, ids: Ids) -> str:
        return "".join([self._texts[element] for element in ids])

    def decoder(self) -> IncrementalDecoder:
        return JoiningDecoder(self)

    def unknown_pieces(self, text: str) -> list[str]:
        known = set(self.vocabulary)
        text = self._normaliser(text)
        pieces = _grapheme_pieces(text) if self._graphemes else iter(text)
        return [piece for piece in pieces if piece not in known]

    def without_unknown(self, text: str) -> str:
        while True:
            ids_N = self.encode(text)
            known_N = ids_N[(ids_N != UNKNOWN_ID) & (ids_N != END_ID)]
            text = self.decode(known_N)
            # What is left may join to other clusters than before.
            if len(known_N) == len(ids_N):
                return text


def _splitter(graphemes: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(r"\X" if graphemes else r"(?m:.)"), behavior="isolated")


def _count_points(texts: Iterable[str]) -> Counter[str]:
    counts_V = np.zeros(_CODE_POINTS, dtype=np.int64)
    for text in _gathered(texts):
        points_N = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        found_V = np.bincount(points_N)
        counts_V[: len(found_V)] += found_V
    return Counter({chr(int(point)): int(counts_V[point]) for point in np.flatnonzero(counts_V)})


def _gathered(texts: Iterable[str]) -> Iterator[str]:
    """The texts joined to long ones, since a count of code points has a table to pass over."""
    waiting: list[str] = []
    length = 0
    for text in texts:
        waiting.append(text)
        length += len(text)
        if length > _CODE_POINTS:
            yield "".join(waiting)
            waiting, length = [], 0
    yield "".join(waiting)


def _count_graphemes(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_grapheme_pieces(text))
    return counts


def _grapheme_pieces(text: str) -> Iterator[str]:
    splitter = _splitter(True)
    for chunk in line_chunks(without_surrogates(text)):
        for piece, _ in splitter.pre_tokenize_str(chunk):
            yield piece
