"""Windows of a fixed size, each from the zero state."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rhapsode.data.batch import Batch, lay_out_spans
from rhapsode.data.batching.fresh import document_spans
from rhapsode.data.source_store import SourceStore
from rhapsode.data.store import ElementStore
from rhapsode.errors import DataError


class WindowStream:
    """Windows of `size` inputs with the element after each as target.

    Arguments:
        elements_N: ids of the corpus, documents followed by end-of-sequence; windows run across
            them.
        size: elements of a window, T.
        batch_size: windows a step, B.
        stride: elements between the beginnings of two windows; None lays them end to end, with a
            different offset in every pass.
        shuffle: True to shuffle the windows before every pass.
        drop_last: True to leave out a last batch that is not full.
        loss: "all" scores every target, "last" only the target after the window.
        seed: seed of the shuffling.

    Raises:
        DataError: no window fits, or no full batch with `drop_last`.
    """

    carries = False

    def __init__(
        self,
        elements_N: NDArray[np.unsignedinteger],
        *,
        size: int,
        batch_size: int,
        stride: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        loss: Literal["all", "last"] = "all",
        seed: int = 0,
    ) -> None:
        if len(elements_N) < size + 1:
            raise DataError(
                f"the training split has {len(elements_N)} elements, fewer than one window of "
                f"{size} and the element after it",
                hint="give more text, or a smaller window",
            )
        self._windows_WN = sliding_window_view(elements_N, size + 1)
        self._size = size
        self.batch_size = batch_size
        self._roams = stride is None
        self._stride = stride if stride is not None else size
        self._shuffle = shuffle
        self._last = loss == "last"
        self._seed = seed
        # Windows laid end to end begin anywhere in the first one, and the last must still fit.
        room = self._stride - 1 if self._roams else 0
        self._count = max(1, (len(self._windows_WN) - 1 - room) // self._stride + 1)
        self._steps = self._count // batch_size if drop_last else -(-self._count // batch_size)
        if self._steps == 0:
            raise DataError(
                f"{self._count} windows do not fill a batch of {batch_size}",
                hint="set training.drop_last=false, or a smaller training.batch_size",
            )
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def elements_per_epoch(self) -> int:
        """Elements scored in one pass."""
        return self.scored(self._steps)

    def _starts(self, epoch: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != epoch:
            generator = np.random.default_rng((self._seed, epoch))
            room = len(self._windows_WN) - (self._count - 1) * self._stride
            offset = int(generator.integers(min(self._stride, room))) if self._roams else 0
            starts = np.arange(self._count, dtype=np.int64) * self._stride + offset
            self._order = (epoch, generator.permutation(starts) if self._shuffle else starts)
        return self._order[1]

    def batch(self, step: int) -> Batch:
        """Windows of a step, (B, T).

        The last batch of a pass may have fewer rows.
        """
        epoch, inside = divmod(step, self._steps)
        starts = self._starts(epoch)[inside * self.batch_size : (inside + 1) * self.batch_size]
        ids = self._windows_WN[starts].astype(np.int64)
        weights_BT = np.ones((len(starts), self._size), dtype=np.float32)
        if self._last:
            weights_BT[:, :-1] = 0.0
        positions_BT = starts[:, None] + np.arange(1, self._size + 1, dtype=np.int64)
        return Batch(ids[:, :-1], ids[:, 1:], weights_BT, positions_BT=positions_BT)

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""
        epochs, inside = divmod(steps, self._steps)
        windows = epochs * min(self._count, self._steps * self.batch_size) + min(
            inside * self.batch_size, self._count
        )
        return windows * (1 if self._last else self._size)

    def steps(self, epochs: float) -> int:
        """Steps that make `epochs` passes over the windows, at least 1."""
        return max(1, round(epochs * self._steps))


def sweep_windows(
    elements_N: NDArray[np.unsignedinteger], *, size: int, rows: int, every: int = 1
) -> Iterator[Batch]:
    """Batches that score every element from the `size` elements before it.

    The first batch has one row, the beginning of the text after end-of-sequence, and scores all of
    it. Every batch is read from the zero state.

    Arguments:
        elements_N: elements to score; may be empty.
        size: elements of context.
        rows: windows side by side.
        every: score only every n-th element after the first window, for a cheaper estimate.
    """
    total = len(elements_N)
    if total == 0:
        return
    width = min(size, total)
    yield lay_out_spans(elements_N, np.array([[0, width]]), offset=0, width=width)
    if total <= size:
        return
    windows_WN = sliding_window_view(elements_N, size + 1)
    for start in range(0, len(windows_WN), rows * every):
        ids = windows_WN[start : start + rows * every : every].astype(np.int64)
        weights_BT = np.zeros((len(ids), size), dtype=np.float32)
        weights_BT[:, -1] = 1.0
        begins_B = np.arange(start, start + len(ids) * every, every, dtype=np.int64)
        positions_BT = begins_B[:, None] + np.arange(1, size + 1, dtype=np.int64)
        yield Batch(ids[:, :-1], ids[:, 1:], weights_BT, positions_BT=positions_BT)


WIDTH = 512
PARTS = 8


def part_of(
    store: ElementStore, most: int, *, fresh: bool
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Sample of about `most` elements of a store.

    It consists of every n-th document, or of the beginnings of eight parts.

    Arguments:
        store: the store.
        most: number of elements.
        fresh: True to keep documents whole.

    Returns:
        Ids, the starts of documents among them, and a mask of those that are scored (None: all).
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


def sources_of_part(store: ElementStore, most: int) -> SourceStore | None:
    """Sources of the documents that `part_of` keeps whole.

    None where there are none.

    Arguments:
        store: the store; none of its documents is empty.
        most: number of elements.
    """
    if store.sources is None or len(store) <= most:
        return store.sources
    numbers_D = np.arange(len(store.starts), dtype=np.int64)
    return store.sources.select(numbers_D[:: -(-len(store) // most)])


def sweep_strided(
    elements_N: NDArray[np.unsignedinteger], *, window: int, stride: int, rows: int
) -> Iterator[Batch]:
    """Batches that score every element once, in overlapping windows.

    An element has at least `window - stride` elements of context, if the text has them. Every batch
    is read from the zero state; the last one may have fewer and shorter rows.

    Arguments:
        elements_N: elements to score; the first one is predicted from end-of-sequence.
        window: elements read at once.
        stride: elements between the beginnings of two windows, 1 to `window`.
        rows: windows side by side.
    """
    total = len(elements_N)
    scored = 0
    begins = range(0, max(1, total - window + stride), stride)
    for first in range(0, len(begins), rows):
        begins_R = np.array(begins[first : first + rows], dtype=np.int64)
        width = min(window, total - int(begins_R[0]))
        spans_R2 = np.stack((begins_R, begins_R + width), axis=1)
        batch = lay_out_spans(elements_N, spans_R2, offset=0, width=width)
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
    """Windows of rows that begin at given positions.

    The first window is read from the zero state; the others carry it on.

    Arguments:
        elements_N: ids.
        begins_R: where each row begins.
        length: elements of every row; elements after the text have weight 0.
        width: most elements of a window.

    Yields:
        The number of elements that every row has read before the window, and the window.
    """
    spans_R2 = np.stack((begins_R, begins_R + length), axis=1)
    for offset in range(0, length, width):
        yield (
            offset,
            lay_out_spans(elements_N, spans_R2, offset=offset, width=min(width, length - offset)),
        )
