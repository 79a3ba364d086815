"""Contents of a model file that belong to text. No torch."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdFacts, NetworkSizes
from rhapsode.encoding import UNKNOWN_ID, Encoder, encoder_from_mapping
from rhapsode.errors import BundleError

# Letters of scripts that set no words apart, by the beginning of their names.
_UNSPACED = (
    "CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER", "IDEOGRAPHIC", "BOPOMOFO"
)  # fmt: skip

# Elements that are words have letters from here down, see `IdFacts.letters`.
_SAID = -16

# The last code point of Unicode; bytes that are no character by themselves count from there.
_LAST = 0x110000


@dataclass(frozen=True)
class TextFacts(IdFacts):
    """Counts of a text model, and for pairs what its inputs are.

    Arguments:
        source: encoder of the inputs; None for a model that continues text.
        longest: elements of the longest output of the training split; 0 without pairs.
    """

    source: Encoder | None = None
    longest: int = 0

    modality: ClassVar[str] = "text.v1"
    goes_on_with: ClassVar[str] = "text"
    command: ClassVar[str] = "rhapsode generate"

    def to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        table, arrays = super().to_file()
        if self.source is not None:
            table["source"] = {"encoder": self.source.to_mapping(), "longest": self.longest}
        return table, arrays

    @classmethod
    def from_file(
        cls, table: Mapping[str, Any], arrays: dict[str, NDArray[Any]], encoder: Encoder
    ) -> Self:
        rest = dict(table)
        source = rest.pop("source", None)
        facts = super().from_file(rest, arrays, encoder)
        if source is None:
            return facts
        longest = source.get("longest") if isinstance(source, dict) else None
        if type(longest) is not int or longest < 0 or not isinstance(source.get("encoder"), dict):
            raise BundleError("the description of its inputs is malformed", where="facts")
        inputs = encoder_from_mapping(source["encoder"])
        return replace(facts, source=inputs, longest=longest)

    def sizes(self, encoder: Encoder) -> NetworkSizes:
        sizes = super().sizes(encoder)
        if self.source is None:
            return sizes
        return replace(sizes, source=("vocab_size", self.source.vocab_size))

    def described(self, encoder: Encoder) -> dict[str, Any]:
        described = super().described(encoder)
        if self.source is not None:
            source = self.source
            described["pairs"] = {
                "encoder of inputs": f"{source.name}  {source.vocab_size:,} elements, "
                f"{source.round_trip}",
                "longest output": f"{self.longest:,} elements",
            }
        return described

    @classmethod
    def has_words(cls, encoder: Encoder) -> bool:
        return encoder.name not in {"characters.v1", "bytes.v1"}

    @classmethod
    def letters(cls, encoder: Encoder) -> NDArray[np.int64] | None:
        if cls.has_words(encoder):
            return _forms(encoder)
        letter_V = np.zeros(encoder.vocab_size, np.int64)
        for element in range(encoder.vocab_size):
            piece = encoder.decode(np.array([element]))
            letter_V[element] = _LAST + element if piece == "\ufffd" else _letter(piece)
        return letter_V if letter_V.any() else None


def _forms(encoder: Encoder) -> NDArray[np.int64]:
    """The most frequent form of each word in either case, as a letter that stands for it."""
    form_V = np.arange(encoder.vocab_size, dtype=np.int64)
    first: dict[str, int] = {}
    for element in range(UNKNOWN_ID + 1, encoder.vocab_size):
        piece = encoder.decode(np.array([element])).casefold()
        form_V[element] = first.setdefault(piece, element)
    return _SAID - form_V


def _letter(piece: str) -> int:
    """The letter of a piece, the same for both cases; 0 for another one."""
    if len(piece) != 1 or not (piece.isalpha() or piece in {"'", "\u2019"}):
        return 0
    if unicodedata.name(piece, "").startswith(_UNSPACED):
        return 0
    return ord(piece.lower()[0]) + 1
