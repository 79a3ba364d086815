"""Cost of spelling unknown pieces, to compare figures across encodings."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

ORDER = 4
END, OTHER, FIRST = 0, 1, 2
# Characters that Unicode has room for, without halves of surrogate pairs.
CODE_POINTS = 0x110000 - 0x800


class Speller:
    """Nats of unknown pieces, character by character.

    If the vocabulary holds longer pieces, the cost is that of a character n-gram model, learnt from
    each piece once, with its end. Characters outside the pieces are uniform over Unicode, as are
    all unknown characters of a vocabulary of single characters.

    Arguments:
        vocabulary: the text of every element.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        pieces = sorted({piece.strip() for piece in vocabulary} - {""})
        self._ids: dict[str, int] = {}
        self._model: Any = None
        if all(len(piece) == 1 for piece in pieces):
            self.name = "uniform over Unicode"
            return
        from rhapsode.counts import NGramModel  # loads the compiler

        characters = sorted(set("".join(pieces)))
        self._ids = {character: element for element, character in enumerate(characters, FIRST)}
        self.name = f"a character {ORDER}-gram over the vocabulary"
        starts = np.cumsum([0, *(len(piece) + 1 for piece in pieces[:-1])])
        self._model = NGramModel.learn(
            self._elements(pieces),
            FIRST + len(self._ids),
            order=ORDER,
            smoothing="absolute",
            starts=starts,
        )

    def _elements(self, pieces: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        ids = [
            element
            for piece in pieces
            for element in (*(self._ids.get(character, OTHER) for character in piece), END)
        ]
        return np.array(ids, dtype=np.int32)

    def nats(self, pieces: Iterable[str] | Counter[str]) -> float:
        """The cost of spelling pieces, each with its end, nats.

        Arguments:
            pieces: texts without an element of their own, every occurrence, or each with how often
                it occurs.
        """
        counts = pieces if isinstance(pieces, Counter) else Counter(pieces)
        if not counts:
            return 0.0
        distinct = list(counts)
        times_P = np.array([counts[piece] for piece in distinct], dtype=np.float64)
        lengths_P = np.array([len(piece) for piece in distinct])
        if self._model is None:
            return float((times_P * lengths_P).sum() * math.log(CODE_POINTS))
        elements_N = self._elements(distinct)
        starts_P = np.cumsum(lengths_P + 1) - (lengths_P + 1)
        nats_N = -self._model.log_prob(elements_N, starts=starts_P)
        nats_N = nats_N + np.where(elements_N == OTHER, math.log(CODE_POINTS), 0.0)
        return float((np.add.reduceat(nats_N, starts_P) * times_P).sum())
