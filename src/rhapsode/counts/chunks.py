"""Chunks of element ids for compiled code.

Elements are checked and converted to one type, a chunk at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Elements per chunk.
_CHUNK = 1 << 22

Elements = NDArray[np.integer]


def as_ids(elements: Elements, vocab_size: int) -> NDArray[np.int32]:
    """Copy elements to int32 for the compiled loops.

    Raises:
        ValueError: an element is not an id of the vocabulary.
    """
    ids = np.asarray(elements)
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocab_size):
        raise ValueError(f"elements must be ids from 0 up to {vocab_size - 1}")
    return np.array(ids, dtype=np.int32, order="C")


def first_places(elements: int, starts: Elements | None) -> NDArray[np.int64]:
    """Sorted, distinct starts of documents, including position 0.

    Raises:
        ValueError: a start lies outside of the elements.
    """
    if not elements:
        return np.zeros(0, dtype=np.int64)
    if starts is None:
        return np.zeros(1, dtype=np.int64)
    starts_N = np.unique(np.append(np.asarray(starts, dtype=np.int64), 0))
    if starts_N[0] < 0 or starts_N[-1] > elements:
        raise ValueError(f"starts must lie from 0 up to {elements}")
    return starts_N[: np.searchsorted(starts_N, elements)]


@dataclass(frozen=True)
class Chunk:
    """A piece of a text and the elements that follow it.

    Arguments:
        size: elements of the piece, openings included; the rest of `text_T` follows the piece.
        text_T: ids of the piece and of what follows it, int32.
        starts_N: where documents begin among the first `size`, int64.
        stops_N: where documents begin after the first element of the chunk, and finally the end of
            `text_T`.
    """

    size: int
    text_T: NDArray[np.int32]
    starts_N: NDArray[np.int64]
    stops_N: NDArray[np.int64]


def chunks(
    elements_N: Elements,
    starts_N: NDArray[np.int64],
    vocab_size: int,
    *,
    reach: int = 0,
    opening: int | None = None,
) -> Iterator[Chunk]:
    """Split a text into pieces small enough to copy.

    Each piece comes with up to `reach` following elements. `opening`, if any, is put before every
    document.
    """
    for at in range(0, len(elements_N), _CHUNK):
        text_T = as_ids(elements_N[at : at + _CHUNK + reach], vocab_size)
        size = min(_CHUNK, len(elements_N) - at)
        ends = (at, at + size, at + len(text_T))
        first, last, beyond = np.searchsorted(starts_N, ends).tolist()
        inside_N = starts_N[first:beyond] - at
        if opening is not None:
            text_T = np.insert(text_T, inside_N, opening)
            inside_N += np.arange(len(inside_N))
            size += last - first
        yield Chunk(
            size=size,
            text_T=text_T,
            starts_N=inside_N[: last - first],
            stops_N=np.append(inside_N[inside_N > 0], len(text_T)),
        )
