"""Many chunks of text at once: through a tokenizer on all cores, or a bounded sample of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rhapsode.encoding.contract import line_chunks

# Chunks that are encoded together: enough for many cores, little enough to keep in memory.
_TOGETHER = 256


class Sample:
    """Evenly spaced chunks of texts, at most a budget of them, found in one pass.

    Every chunk is kept until the budget is full; then every second one is dropped, and from there on only every
    second one is taken, and so on.

    Arguments:
        texts: read once.
        budget: bytes of UTF-8 to keep at most.
    """

    def __init__(self, texts: Iterable[str], budget: int) -> None:
        self.chunks: list[str] = []
        self.bytes = 0
        """Of all the texts."""
        sizes: list[int] = []
        kept, stride = 0, 1
        for index, chunk in enumerate(piece for text in texts for piece in line_chunks(text)):
            size = len(chunk) if chunk.isascii() else len(chunk.encode("utf-8", "surrogatepass"))
            self.bytes += size
            if index % stride:
                continue
            self.chunks.append(chunk)
            sizes.append(size)
            kept += size
            while kept > budget and len(self.chunks) > 1:
                self.chunks, sizes = self.chunks[::2], sizes[::2]
                kept, stride = sum(sizes), stride * 2


def encode_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> NDArray[np.uint32]:
    """The ids of chunks, joined; `tokenizers` divides them among the cores."""
    parts: list[NDArray[np.uint32]] = []
    for group in _groups(chunks):
        parts.extend(
            # An array of the buffer protocol fills twice as fast as NumPy's own.
            np.frombuffer(array("I", encoding.ids), dtype=np.uint32)
            for encoding in tokenizer.encode_batch_fast(group, add_special_tokens=False)
        )
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32)


def _groups(chunks: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(chunks)
    while group := list(islice(rest, _TOGETHER)):
        yield group
