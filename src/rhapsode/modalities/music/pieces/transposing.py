"""Pieces in all keys, for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.contract import MusicEncoder

KEYS = tuple(range(-6, 6))
"""Semitones of the keys that are added, 0 among them."""
SEED = 0


def can_transpose(encoder: MusicEncoder) -> bool:
    """True if elements of an encoding are pitches."""
    return bool((encoder.pitch_V >= 0).any())


def in_keys(
    encoder: MusicEncoder, documents: Sequence[NDArray[Any]], keys: Sequence[int]
) -> Iterator[NDArray[Any]]:
    """Documents in several keys, as far as their pitches allow.

    A pass over all documents in one key each follows another, so that readers of a long text meet
    every piece before they meet it again.

    Arguments:
        encoder: of the elements.
        documents: elements of each.
        keys: semitones.
    """
    generator = np.random.default_rng(SEED)
    orders = [generator.permutation(keys) for _ in documents]
    for place in range(len(keys)):
        for ids_N, order_K in zip(documents, orders, strict=True):
            key = int(order_K[place])
            moved_N = ids_N if key == 0 else encoder.transposed(ids_N, key)
            if moved_N is not None:
                yield moved_N
