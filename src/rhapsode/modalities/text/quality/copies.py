"""How much of written texts stands in the training text. Asks an index; knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.text.quality.text_index import Copied, TextIndex

__all__ = ["LENGTHS", "Copying", "measure_copying"]

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lengths at which novelty is told, characters."""
SPAN = 50
"""Characters from which on a copied span counts as one."""


@dataclass(frozen=True)
class Copying:
    """What texts have in common with the training text.

    Arguments:
        novelty: by length l: the share of all stretches of l characters of the texts that the training text lacks.
            Lengths that no text has are left out.
        longest_copy: the longest stretch that the training text has too, with its place there; None without any.
        longest_copy_in: the number of the text it is in, from 0.
        copied_share: share of characters inside stretches of at least 50 characters that the training text has.
    """

    novelty: Mapping[int, float]
    longest_copy: Copied | None
    longest_copy_in: int | None
    copied_share: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        longest = None
        if self.longest_copy is not None:
            longest = {**self.longest_copy.to_mapping(), "in_text": self.longest_copy_in}
        return {
            "novelty": {str(length): share for length, share in self.novelty.items()},
            "longest_copy": longest,
            "copied_share": self.copied_share,
        }


def measure_copying(
    texts: Sequence[str], index: TextIndex, *, lengths: Sequence[int] = LENGTHS, span: int = SPAN
) -> Copying:
    """Compare texts with the training text.

    Novelty is the measure of McCoy, Smolensky, Linzen, Gao and Celikyilmaz, "How much do language models copy from
    their training data?", TACL 11, 2023, over characters, pooled over the texts.

    Arguments:
        texts: at least one character in all.
        index: of the training text.
        lengths: where novelty is told.
        span: characters from which on a copied span counts as one.
    """
    found = [index.match_lengths(text) for text in texts]
    characters = sum(len(lengths_M) for lengths_M in found)
    longest_in = max(range(len(found)), key=lambda number: int(found[number].max(initial=0)))
    longest = index.longest_copy(texts[longest_in])
    return Copying(
        novelty=_novelty(found, lengths),
        longest_copy=longest,
        longest_copy_in=None if longest is None else longest_in,
        copied_share=sum(_inside(lengths_M, span) for lengths_M in found) / characters,
    )


def _novelty(found: Sequence[NDArray[np.int32]], lengths: Sequence[int]) -> dict[int, float]:
    novelty = {}
    for length in lengths:
        stretches = [lengths_M[: max(0, len(lengths_M) - length + 1)] for lengths_M in found]
        stretches = [known_M for known_M in stretches if len(known_M)]
        total = sum(len(known_M) for known_M in stretches)
        if total:
            new = sum(int(np.count_nonzero(known_M < length)) for known_M in stretches)
            novelty[length] = new / total
    return novelty


def _inside(lengths_M: NDArray[np.int32], span: int) -> int:
    """Characters inside stretches of at least `span`."""
    begins = np.flatnonzero(lengths_M >= span)
    opened_M = np.zeros(len(lengths_M) + 1, dtype=np.int64)
    opened_M[begins] += 1
    np.subtract.at(opened_M, begins + lengths_M[begins], 1)
    return int(np.count_nonzero(np.cumsum(opened_M[:-1])))
