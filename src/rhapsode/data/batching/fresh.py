"""Batches of documents, each read from the zero state.

Documents of similar length share a batch and are padded.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import Batch, lay_out_spans
from rhapsode.errors import DataError

_POOL = 64


def document_spans(starts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Begin and end of every document that has elements, (documents, 2)."""
    if not len(starts):
        return np.zeros((0, 2), dtype=np.int64)
    ends = np.append(starts[1:], total)
    spans = np.stack((starts, ends), axis=1)
    return spans[spans[:, 1] > spans[:, 0]]


@dataclass(frozen=True)
class _Epoch:
    """Batches of one pass, as rows of spans.

    `first_step` and `first_scored` are the first step and element of each batch.
    """

    batches: list[NDArray[np.int64]]
    first_step: NDArray[np.int64]
    first_scored: NDArray[np.int64]


def _window(
    elements_N: NDArray[np.unsignedinteger],
    spans: NDArray[np.int64],
    *,
    rows: int,
    offset: int,
    window: int,
    scored_N: NDArray[np.bool_] | None = None,
) -> Batch:
    """Columns of documents from `offset` on, padded to `rows` rows.

    The first window resets the state.
    """
    longest = int((spans[:, 1] - spans[:, 0]).max())
    spans_B2 = np.zeros((rows, 2), dtype=np.int64)
    spans_B2[: len(spans)] = spans
    width = min(window, longest - offset)
    batch = lay_out_spans(elements_N, spans_B2, offset=offset, width=width, scored_N=scored_N)
    if offset:
        return batch
    reset_BT = np.zeros((rows, width), dtype=bool)
    reset_BT[:, 0] = True
    return replace(batch, reset_BT=reset_BT)


class FreshStream:
    """Shuffled documents, each read from the zero state after end-of-sequence.

    Documents of similar length share a batch. Documents longer than a window take several steps,
    with carried state.

    Arguments:
        elements_N: ids of the corpus.
        starts: where each document begins.
        batch_size: documents side by side, B.
        window: most elements per row and step, T.
        seed: seed of the shuffling.
        scored_N: False for elements of prompts, which are not learnt; None if all are learnt.
        beside_D: lengths of what belongs to each document, such as its source; documents of equal
            length are sorted by them. None: nothing.

    Raises:
        DataError: no document has an element.
    """

    carries = True

    def __init__(
        self,
        elements_N: NDArray[np.unsignedinteger],
        starts: NDArray[np.int64],
        *,
        batch_size: int,
        window: int,
        seed: int,
        scored_N: NDArray[np.bool_] | None = None,
        beside_D: NDArray[np.int64] | None = None,
    ) -> None:
        self._scored_N = scored_N
        self._spans = document_spans(starts, len(elements_N))
        self._beside = None
        if beside_D is not None:
            self._beside = beside_D[np.searchsorted(starts, self._spans[:, 0], side="right") - 1]
        if not len(self._spans):
            raise DataError("the training split has no document")
        self._elements_N = elements_N
        self._lengths = self._spans[:, 1] - self._spans[:, 0]
        if scored_N is not None:
            before_N = np.concatenate(([0], np.cumsum(scored_N)))
            self._lengths = before_N[self._spans[:, 1]] - before_N[self._spans[:, 0]]
        self.batch_size = batch_size
        self.window = window
        self._seed = seed
        self._epochs: list[_Epoch] = []
        self._first_step = [0]
        self._newest: tuple[int, _Epoch] | None = None

    @property
    def elements_per_epoch(self) -> int:
        """Scored elements of all documents, ends included, prompts excluded."""
        return int(self._lengths.sum())

    def _epoch(self, number: int) -> _Epoch:
        if self._newest is not None and self._newest[0] == number:
            return self._newest[1]
        generator = np.random.default_rng((self._seed, number))
        order = generator.permutation(len(self._spans))
        lengths = self._spans[:, 1] - self._spans[:, 0]
        batches: list[NDArray[np.int64]] = []
        pool = _POOL * self.batch_size
        for start in range(0, len(order), pool):
            some = order[start : start + pool]
            keys = (lengths[some],) if self._beside is None else (self._beside[some], lengths[some])
            some = some[np.lexsort(keys)]
            cut = [some[i : i + self.batch_size] for i in range(0, len(some), self.batch_size)]
            batches.extend(cut[i] for i in generator.permutation(len(cut)))
        steps = [-(-int(lengths[batch].max()) // self.window) for batch in batches]
        scored = [int(self._lengths[batch].sum()) for batch in batches]
        made = _Epoch(batches, np.cumsum([0, *steps]), np.cumsum([0, *scored]))
        self._newest = (number, made)
        return made

    def _locate(self, step: int) -> tuple[_Epoch, int, int]:
        """Epoch of a step, its number, and the step inside it."""
        while step >= self._first_step[-1]:
            epoch = self._epoch(len(self._first_step) - 1)
            self._first_step.append(self._first_step[-1] + int(epoch.first_step[-1]))
        number = bisect_right(self._first_step, step) - 1
        return self._epoch(number), number, step - self._first_step[number]

    def batch(self, step: int) -> Batch:
        """Batch of a step, (B, up to T).

        Rows without a document have weight 0.
        """
        epoch, _, inside = self._locate(step)
        index = int(np.searchsorted(epoch.first_step, inside, side="right")) - 1
        spans = self._spans[epoch.batches[index]]
        return _window(
            self._elements_N,
            spans,
            rows=self.batch_size,
            offset=(inside - int(epoch.first_step[index])) * self.window,
            window=self.window,
            scored_N=self._scored_N,
        )

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps.

        Within a batch of long documents the number is estimated.
        """
        if steps <= 0:
            return 0
        epoch, number, inside = self._locate(steps)
        index = int(np.searchsorted(epoch.first_step, inside, side="right")) - 1
        length = int(epoch.first_step[index + 1] - epoch.first_step[index])
        share = (inside - int(epoch.first_step[index])) / length
        scored = epoch.first_scored
        part = int(scored[index] + share * (scored[index + 1] - scored[index]))
        return number * self.elements_per_epoch + part

    def steps(self, epochs: float) -> int:
        """Steps that read the corpus `epochs` times, at least 1."""
        whole = int(epochs)
        done = sum(int(self._epoch(number).first_step[-1]) for number in range(whole))
        if epochs > whole:
            done += round((epochs - whole) * int(self._epoch(whole).first_step[-1]))
        return max(1, done)


def sweep_fresh(
    elements_N: NDArray[np.unsignedinteger],
    starts: NDArray[np.int64],
    *,
    rows: int,
    window: int,
    scored_N: NDArray[np.bool_] | None = None,
) -> Iterator[Batch]:
    """Batches that score every element once, document by document.

    Each document is read from the zero state.

    Arguments:
        elements_N: elements to score.
        starts: where each document begins.
        rows: documents side by side.
        window: most elements per row and batch.
        scored_N: False for elements of prompts, which are not scored; None if all are scored.
    """
    spans = document_spans(starts, len(elements_N))
    lengths = spans[:, 1] - spans[:, 0]
    order = np.argsort(-lengths, kind="stable")
    for first in range(0, len(order), rows):
        some = spans[order[first : first + rows]]
        longest = int((some[:, 1] - some[:, 0]).max())
        for offset in range(0, longest, window):
            yield _window(
                elements_N, some, rows=rows, offset=offset, window=window, scored_N=scored_N
            )
