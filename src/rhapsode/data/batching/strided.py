"""Reading parts of a text: from the zero state, at places of one's own choice."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import Batch, lay_out
from rhapsode.data.batching.fresh import document_spans
from rhapsode.data.store import ElementStore

WIDTH = 512
PARTS = 8


def part_of(
    store: ElementStore, most: int, *, fresh: bool
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64], NDArray[np.bool_] | None]:
    """About `most` elements of a store, taken evenly: every so manieth document, or the beginnings of eight parts.

    Arguments:
        store: what to take from.
        most: elements.
        fresh: whether documents must stay whole.

    Returns:
        Ids, where documents begin among them, and which of them are scored (None: all).
    """
    elements_N, total = np.asarray(store.elements_N), len(store)
    if total <= most:
        return elements_N, store.starts, store.scored_N
    if fresh:
        spans = document_spans(store.starts, total)[:: -(-total // most)]
    else:
        begins = np.arange(PARTS, dtype=np.int64) * total // PARTS
        spans = np.stack((begins, begins + most // PARTS), axis=1)
    chosen = np.concatenate([np.arange(begin, end) for begin, end in spans.tolist()])
    lengths = spans[:, 1] - spans[:, 0]
    starts = np.cumsum(lengths) - lengths
    scored_N = None if store.scored_N is None else store.scored_N[chosen]
    return elements_N[chosen], starts, scored_N


def sweep_strided(
    elements_N: NDArray[np.unsignedinteger], *, window: int, stride: int, rows: int
) -> Iterator[Batch]:
    """Every element scored once, behind at least `window - stride` others where the text has them.

    Every batch is read from the zero state; rows of the last one may be fewer, and shorter.

    Arguments:
        elements_N: what to score; its first element is predicted from end-of-sequence.
        window: elements read at once.
        stride: elements between the beginnings of two windows, 1 to `window`.
        rows: windows side by side.
    """
    total = len(elements_N)
    scored = 0
    begins = range(0, max(1, total - window + stride), stride)
    for first in range(0, len(begins), rows):
        begins_R = np.array(begins[first : first + rows], dtype=np.int64)
        batch = _rows(elements_N, begins_R, 0, min(window, total - int(begins_R[0])))
        assert batch.positions_BT is not None
        weights_BT = batch.weights_BT
        for row in range(len(begins_R)):
            weights_BT[row, batch.positions_BT[row] < scored] = 0.0
            scored = max(scored, min(int(begins_R[row]) + window, total))
        if weights_BT.any():
            yield batch


def sweep_rows(
    elements_N: NDArray[np.unsignedinteger],
    begins_R: NDArray[np.int64],
    *,
    length: int,
    width: int = WIDTH,
) -> Iterator[tuple[int, Batch]]:
    """Rows that begin at given places behind end-of-sequence, read from the zero state, in windows that carry it on.

    Arguments:
        elements_N: ids.
        begins_R: where each row begins.
        length: elements of every row; what lies behind the text has weight 0.
        width: most elements of a window.

    Yields:
        How many elements every row has read before the window, and the window.
    """
    for offset in range(0, length, width):
        yield offset, _rows(elements_N, begins_R, offset, min(width, length - offset))


def _rows(
    elements_N: NDArray[np.unsignedinteger], begins_R: NDArray[np.int64], offset: int, width: int
) -> Batch:
    columns_T = np.arange(offset, offset + width, dtype=np.int64)
    positions_BT = begins_R[:, None] + columns_T
    inside_BT = positions_BT < len(elements_N)
    return lay_out(
        elements_N,
        positions_BT,
        inside_BT=inside_BT,
        read_BT=inside_BT & (columns_T > 0),
        weights_BT=inside_BT,
    )
