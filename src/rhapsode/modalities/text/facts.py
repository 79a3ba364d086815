"""Contents of a model file that belong to text. No torch."""

import unicodedata
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdFacts
from rhapsode.encoding import UNKNOWN_ID, Encoder

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
    """Counts of a text model."""

    modality: ClassVar[str] = "text.v1"
    goes_on_with: ClassVar[str] = "text"
    command: ClassVar[str] = "rhapsode generate"

    @classmethod
    def letters(cls, encoder: Encoder) -> NDArray[np.int64] | None:
        if encoder.name not in {"characters.v1", "bytes.v1"}:
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
