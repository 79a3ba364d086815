"""Batches that carry state: a training stream and a scoring sweep."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import END, Batch, lay_out
from rhapsode.errors import DataError

# Elements to one end-of-sequence, from which on it is rare; and elements that are searched for it.
RARE, _SEARCHED = 4096, 1 << 20
# Where it is rare, one reader of so many steps begins after it.
BEGIN_EVERY = 4


class CarriedStream:
    """Endless stream of windows over a corpus read as a ring.

    `batch_size` readers are spaced evenly. Row b of step s+1 begins where row b of step s ended, so
    that a carried state sees one unbroken text. At the end of the corpus a reader continues at its
    beginning, after an end-of-sequence element. The windows depend only on the number of the step,
    which is the whole cursor.

    Where end-of-sequence is rare, some windows begin after it all the same, so that a network knows
    it: every text is written and scored from it.

    Arguments:
        elements_N: ids of the corpus, documents followed by end-of-sequence.
        batch_size: readers, B.
        window: elements per reader and step, T.
        complete: True if the corpus ends with a scored end-of-sequence; if not, one is read there,
            not scored.

    Raises:
        DataError: fewer elements than one window.
    """

    carries = True

    def __init__(
        self,
        elements_N: NDArray[np.unsignedinteger],
        *,
        batch_size: int,
        window: int,
        complete: bool = True,
    ) -> None:
        if len(elements_N) < window:
            raise DataError(
                f"the training split has {len(elements_N)} elements, "
                f"fewer than one window of {window}",
                hint="give more text, or a smaller --set training.window=N",
            )
        self._elements_N = elements_N
        self._length = len(elements_N) + (0 if complete else 1)
        self.batch_size = batch_size
        self.window = window
        some_N = elements_N[:_SEARCHED]
        self._begins = (np.count_nonzero(some_N == END) + 1) * RARE <= len(some_N)

    @property
    def elements_per_epoch(self) -> int:
        """Elements of one pass."""
        return self._length

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""
        return steps * self.batch_size * self.window

    def steps(self, epochs: float) -> int:
        """Steps that read the corpus `epochs` times, at least 1."""
        return max(1, round(epochs * self._length / (self.batch_size * self.window)))

    def batch(self, step: int) -> Batch:
        """Windows of a step (0, 1, 2, ...), (B, T) int64."""
        length, window = self._length, self.window
        starts_B = np.arange(self.batch_size, dtype=np.int64) * length // self.batch_size
        first_B = starts_B + step * window
        # One element before the window too: it is the first input.
        positions = (first_B[:, None] + np.arange(-1, window, dtype=np.int64)) % length
        total = len(self._elements_N)
        ids = self._elements_N[np.minimum(positions, total - 1)].astype(np.int64)
        weights_BT = np.ones((self.batch_size, window), dtype=np.float32)
        if length > total:
            appended = positions == total
            if appended.any():
                ids[appended] = END
                weights_BT[appended[:, 1:]] = 0.0
        row = step % (BEGIN_EVERY * self.batch_size)
        if self._begins and row < self.batch_size:
            ids[row, 0] = END
        return Batch(ids[:, :-1], ids[:, 1:], weights_BT, positions_BT=positions[:, 1:])


def sweep_lanes(
    elements: int, *, exact_up_to: int = 200_000, longest: int = 16_384, most: int = 64
) -> int:
    """Default number of lanes of `sweep`.

    Texts that are scored in seconds get one lane.
    """
    return 1 if elements <= exact_up_to else min(most, -(-elements // longest))


def sweep(
    elements_N: NDArray[np.unsignedinteger],
    *,
    lanes: int,
    window: int,
    warm_up: int = 0,
) -> Iterator[Batch]:
    """Batches that score every element once, with carried states.

    With one lane, elements are read in order. With more, the text is cut into equal lanes read
    side by side; every lane but the first reads the `warm_up` elements before it without scoring
    them.

    Arguments:
        elements_N: elements to score; the first one is predicted from end-of-sequence.
        lanes: B, rows of every batch.
        window: T, elements per row of every batch; the last batch may be shorter.
        warm_up: length of the warm-up context before a lane; rounded up to whole windows.
    """
    total = len(elements_N)
    if total == 0:
        return
    lanes = min(lanes, total)
    share = -(-total // lanes)
    before = -(-warm_up // window) * window if lanes > 1 else 0
    starts_B = np.arange(lanes, dtype=np.int64) * share
    for offset in range(-before, share, window):
        width = min(window, share - offset)
        columns_T = np.arange(offset, offset + width, dtype=np.int64)
        positions_BT = starts_B[:, None] + columns_T
        inside_BT = (positions_BT >= 0) & (positions_BT < total)
        read_BT = (positions_BT > 0) & (positions_BT <= total)
        weights_BT = inside_BT & (columns_T >= 0)
        reset_BT = positions_BT == 0
        yield lay_out(
            elements_N,
            positions_BT,
            inside_BT=inside_BT,
            read_BT=read_BT,
            weights_BT=weights_BT,
            reset_BT=reset_BT if before and reset_BT.any() else None,
        )
