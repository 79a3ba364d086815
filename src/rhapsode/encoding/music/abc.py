"""ABC notation as its notes, lengths and bars."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    UNKNOWN_TEXT,
    CountingEncoder,
    IncrementalDecoder,
    JoiningDecoder,
    most_frequent,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.music.contract import RESERVED
from rhapsode.errors import BundleError, SettingsError

# In this order: the name of a field, a chord symbol, a decoration, a note with its accidental and
# octave, a bar line with its ending, a tuplet, a length, and any other character.
_PIECES = "|".join(
    (
        r"(?<![^\n])[A-Za-z]:",
        r'"[^"\n]{1,12}"',
        r"![a-zA-Z0-9()<>+.]{1,16}!",
        r"(?:\^\^|__|[\^_=])?[A-Ga-gxz](?:,{1,4}|'{1,4})?",
        r":?\|\]|\[\||\|\||:\|:?[1-9]?|\|:|::|\|[1-9]|\[[1-9]",
        r"\([2-9]",
        r"[0-9]{1,2}(?:/[0-9]{0,2})?|/{1,3}[0-9]{0,2}",
        r"[<>]{1,3}",
        r"[^\n]|\n",
    )
)


@dataclass(frozen=True)
class AbcSettings:
    """Settings of `abc.v1`."""

    max_vocabulary: Annotated[int, Meta(ge=3, le=1 << 20)] | None = 4000
    """Maximum number of elements, including end-of-sequence and unknown; characters come first."""
    min_count: Annotated[int, Meta(ge=1)] = 2
    """Elements of several characters that occur less often than this are spelled in characters."""


class AbcEncoder(CountingEncoder):
    """Encoder of tunes in ABC notation.

    An element is a note with accidental and octave, a length, a bar line, a tuplet, a decoration, a
    chord symbol, the name of a field, or a character. Rare elements are spelled in characters.
    """

    Settings = AbcSettings
    name = "abc.v1"
    round_trip = "lossless"
    unknown_prompt = "error"
    parallel = "processes"

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        known = from_mapping(AbcSettings, settings, where="encoder", error=BundleError)
        super().__init__(vocabulary, asdict(known))
        if not all(self.vocabulary):
            raise BundleError("an element of the encoder's vocabulary is empty")
        self._texts = ("", UNKNOWN_TEXT, *self.vocabulary)
        self._ids = {piece: index for index, piece in enumerate(self.vocabulary, 2)}

    @classmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        from_mapping(AbcSettings, settings, where="[encoder]")
        return Counter(piece for text in texts for piece in pieces_of(text))

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], settings: Mapping[str, Any]) -> Self:
        known = from_mapping(AbcSettings, settings, where="[encoder]")
        characters: Counter[str] = Counter()
        for piece, count in counts.items():
            for character in piece:
                characters[character] += count
        most = known.max_vocabulary
        kept = set(most_frequent(characters, most=most))
        room = None if most is None else most - len(kept)
        longer = {piece: count for piece, count in counts.items() if len(piece) > 1}
        kept.update(most_frequent(longer, most=room, min_count=known.min_count))
        use: Counter[str] = Counter(dict.fromkeys(kept, 0))
        for piece, count in counts.items():
            for part in (piece,) if piece in kept else piece:
                if part in kept:
                    use[part] += count
        return cls(most_frequent(use, min_count=0), asdict(known))

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Self:
        try:
            return cls(vocabulary_of(text, reserved=RESERVED), settings)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None

    def to_tokenizer_json(self) -> str:
        ids = {name: index for index, name in enumerate((*RESERVED, *self.vocabulary))}
        # Without merges, a piece outside the vocabulary stays as characters.
        model = models.BPE(
            vocab=ids, merges=[], unk_token=RESERVED[UNKNOWN_ID], fuse_unk=False, ignore_merges=True
        )
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
        tokenizer.decoder = decoders.Fuse()
        return str(tokenizer.to_str())

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        ids, known = [], self._ids
        for piece in pieces_of(text):
            element = known.get(piece)
            if element is None:
                ids += [known.get(character, UNKNOWN_ID) for character in piece]
            else:
                ids.append(element)
        return np.array(ids, dtype=np.uint32)

    def decoder(self) -> IncrementalDecoder:
        return JoiningDecoder(self._texts)

    def unknown_pieces(self, text: str) -> list[str]:
        known = self._ids
        return [
            character
            for piece in pieces_of(text)
            if piece not in known
            for character in piece
            if character not in known
        ]


def pieces_of(text: str) -> list[str]:
    """Pieces of a text that may be elements; joined, the text."""
    return re.findall(_PIECES, without_surrogates(text))
