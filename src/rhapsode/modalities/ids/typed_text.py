"""Prompts and stop texts as people type them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import SettingsError

# Elements that begin with a space, at least, where elements contain the space before them: few do
# in texts without spaces between words.
SPACED_SHARE = 0.1
# Characters before a space that decide on its element.
_TAIL = 200


class TrainedText:
    """Characters and elements that the training text had.

    Arguments:
        encoder: of the model.
        counts_V: how often each element occurred; all zero where that is not known.
    """

    def __init__(self, encoder: Encoder, counts_V: NDArray[np.int64]) -> None:
        self._encoder = encoder
        self._seen_V = counts_V > 0 if counts_V.any() else np.ones(len(counts_V), dtype=np.bool_)
        self._seen_V[UNKNOWN_ID] = False
        seen = [element for element in np.flatnonzero(self._seen_V).tolist() if element != END_ID]
        # The text of an element may depend on being the first one: it is taken after a word.
        often = sorted(seen, key=lambda element: -counts_V[element])
        word = [e for e in often if encoder.decode([e]).strip().isalpha()][:1]
        begin = len(encoder.decode(word))
        texts = [encoder.decode([*word, element])[begin:] for element in seen]
        self._characters = set("".join(texts)) - {"\N{REPLACEMENT CHARACTER}"}
        spaced = sum(text.startswith(" ") and not text.isspace() for text in texts)
        self._contain_spaces = spaced > SPACED_SHARE * len(texts)

    def has(self, character: str) -> bool:
        """True if the training text had a character or its bytes."""
        if character in self._characters:
            return True
        ids_N = self._encoder.encode(character)
        return bool(len(ids_N)) and bool(self._seen_V[ids_N].all())

    def unseen(self, text: str) -> list[str]:
        """Distinct characters that the training text did not have, in order."""
        return [character for character in dict.fromkeys(text) if not self.has(character)]

    def in_its_form(self, text: str) -> str:
        """A text in the Unicode form of the training text.

        Characters that the training text did not have are replaced: first by the canonical form
        with the fewest of them, then one by one by compatible characters that it had (NFKC).
        """
        if text.isascii() or not self.unseen(text):
            return text
        forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
        text = min(forms, key=lambda form: len(self.unseen(form)))
        for character in self.unseen(text):
            other = unicodedata.normalize("NFKC", character)
            if other and all(map(self.has, other)):
                text = text.replace(character, other)
        return text

    def without_open_space(self, text: str) -> str:
        """A text without a last space that the next element contains.

        Words and subwords contain the space before them: after one more space, the model would
        write a second one. At the beginning of a line, other spaces of the indentation stay if the
        training text had such elements.
        """
        if not text.endswith(" ") or not (self._contain_spaces or self._is_lost(text)):
            return text
        text, bare = text[:-1], text.rstrip(" ")
        if not bare.endswith("\n"):
            return bare
        while text.endswith(" ") and self._is_lost(text):
            text = text[:-1]
        return text

    def _is_lost(self, text: str) -> bool:
        """True if the model does not see the last space of a text."""
        ids_N = self._encoder.encode(text[-_TAIL:])
        if np.array_equal(self._encoder.encode(text[-_TAIL:-1]), ids_N):
            return True
        return not self._seen_V[ids_N[-1]]


def can_write(encoder: Encoder, text: str) -> bool:
    """True if some elements, one after another, contain a text.

    True also where the text of an element depends on its neighbours.

    Arguments:
        encoder: of the model.
        text: not empty.
    """
    for form in (text, " " + text):
        ids_N = encoder.encode(form)
        if UNKNOWN_ID not in ids_N and text in encoder.decode(ids_N):
            return True
    try:
        pieces = {piece for piece in encoder.element_bytes() if piece}
    except SettingsError:
        return True
    if encoder.spaced:
        pieces |= {b" " + piece for piece in pieces}
    wanted = text.encode("utf-8", "surrogatepass")
    if any(wanted in piece for piece in pieces):
        return True
    size = len(wanted)
    reached = [any(piece.endswith(wanted[:end]) for piece in pieces) for end in range(size + 1)]
    for end in range(1, size):
        reached[end] |= any(reached[at] and wanted[at:end] in pieces for at in range(1, end))
    return any(
        reached[at] and any(p.startswith(wanted[at:]) for p in pieces) for at in range(1, size)
    )


def named(pieces: Sequence[str], show: Callable[[str], str] = repr, most: int = 8) -> str:
    """The first pieces of a list, and the number of others."""
    more = f" and {len(pieces) - most:,} more" if len(pieces) > most else ""
    return ", ".join(map(show, pieces[:most])) + more
