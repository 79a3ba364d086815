"""Elements that a grammar allows at every place of a text. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import AllowedElements, document_spans
from rhapsode.encoding import END_ID

if TYPE_CHECKING:
    from rhapsode.encoding import Grammar

__all__ = ["allowed_elements"]

_ROWS = 256
_NUMBERS_AT_ONCE = 1 << 22


def allowed_elements(
    grammar: Grammar, elements_N: NDArray[np.unsignedinteger], starts: NDArray[np.int64]
) -> AllowedElements:
    """Elements that may stand at each place, each document read from its beginning.

    Every document is read behind an end-of-sequence element, as prompts are.

    Arguments:
        grammar: over the same elements.
        elements_N: ids, each document followed by end-of-sequence.
        starts: where documents begin; the array begins with one.
    """
    total = len(elements_N)
    which_N = np.zeros(total, dtype=np.int64)
    known: dict[bytes, int] = {}
    masks: list[NDArray[np.bool_]] = []
    spans = document_spans(np.union1d(np.zeros(1, dtype=np.int64), starts), total)
    spans = spans[np.argsort(spans[:, 0] - spans[:, 1], kind="stable")]  # the longest first
    for first in range(0, len(spans), _ROWS):
        begins, ends = spans[first : first + _ROWS].T
        longest = int((ends - begins).max())
        most = max(1, _NUMBERS_AT_ONCE // (len(begins) * grammar.vocab_size))
        state = grammar.init(len(begins))
        for offset in range(0, longest, most):
            columns_T = np.arange(offset, min(longest, offset + most), dtype=np.int64)
            places_BT = begins[:, None] + columns_T
            inside_BT = places_BT < ends[:, None]
            read_BT = inside_BT & (columns_T > 0)
            before_BT = np.clip(places_BT - 1, 0, total - 1)
            inputs_BT = np.where(read_BT, elements_N[before_BT], END_ID).astype(np.int64)
            allowed_BTV, state = grammar.masks(inputs_BT, state)
            distinct_MV, which_M = np.unique(allowed_BTV[inside_BT], axis=0, return_inverse=True)
            numbers_M = np.empty(len(distinct_MV), dtype=np.int64)
            for row, mask_V in enumerate(distinct_MV):
                numbers_M[row] = known.setdefault(mask_V.tobytes(), len(masks))
                if numbers_M[row] == len(masks):
                    masks.append(mask_V)
            which_N[places_BT[inside_BT]] = numbers_M[which_M.reshape(-1)]
    table_MV = np.stack(masks) if masks else np.ones((1, grammar.vocab_size), dtype=np.bool_)
    return AllowedElements(table_MV, which_N)
