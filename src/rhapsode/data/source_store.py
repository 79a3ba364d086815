"""Sources of documents: identifiers that each document is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import END, Batch, Condition


@dataclass(frozen=True)
class SourceStore:
    """Identifiers of the sources of documents, one source after another.

    Every source ends with end-of-sequence, so that none is empty.

    Arguments:
        ids_N: identifiers.
        offsets: begin of each source, and the end of the last.
    """

    ids_N: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sequence[NDArray[np.unsignedinteger]]) -> SourceStore:
        """Sources, without end-of-sequence."""
        ids_N, offsets = ended_texts(sources)
        return cls(ids_N.astype(np.int64), offsets)

    def __len__(self) -> int:
        """Number of sources."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Elements of each source."""
        return np.diff(self.offsets)

    def condition(self, sources_B: NDArray[np.int64]) -> Condition:
        """Some of the sources as a condition, in that order."""
        begins_B1, lengths_B = self.offsets[sources_B, None], self.lengths[sources_B]
        places_S = np.arange(int(lengths_B.max()), dtype=np.int64)
        inside_BS = places_S < lengths_B[:, None]
        ids_BS = self.ids_N[np.where(inside_BS, begins_B1 + places_S, 0)]
        return Condition(ids_BS=np.where(inside_BS, ids_BS, END), lengths_B=lengths_B)

    def select(self, sources_R: NDArray[np.int64]) -> SourceStore:
        """Some of the sources, in that order."""
        parts = [self.ids_N[self.offsets[r] : self.offsets[r + 1]] for r in sources_R.tolist()]
        ids_N = np.concatenate(parts) if parts else self.ids_N[:0]
        return SourceStore(ids_N, np.cumsum([0, *map(len, parts)], dtype=np.int64))

    def fill(self, batch: Batch, starts: NDArray[np.int64]) -> Batch:
        """Add the source of each row to a batch of whole documents.

        Arguments:
            batch: a batch with `positions_BT`; each row reads one document.
            starts: where each document begins among the elements.
        """
        assert batch.positions_BT is not None, "the batch must give the positions of its targets"
        # A row that has ended reads padding: any source will do.
        place_B = np.searchsorted(starts, batch.positions_BT[:, 0], side="right") - 1
        documents_B = np.clip(place_B, 0, len(self) - 1).astype(np.int64)
        return replace(batch, condition=self.condition(documents_B))


def ended_texts(
    texts: Sequence[NDArray[np.unsignedinteger]],
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """Identifiers of texts one after another, each with its end.

    Returns:
        The identifiers, and where each text begins and the last one ends.
    """
    offsets = np.cumsum([0, *(len(ids_N) + 1 for ids_N in texts)], dtype=np.int64)
    if not len(texts):
        return np.zeros(0, dtype=np.uint8), offsets
    ids_N = np.concatenate(texts)
    ended_N = np.full(offsets[-1], END, dtype=ids_N.dtype)
    inside_N = np.ones(len(ended_N), dtype=np.bool_)
    inside_N[offsets[1:] - 1] = False
    ended_N[inside_N] = ids_N
    return ended_N, offsets
