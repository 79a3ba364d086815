"""A predictor small enough to be computed by hand: the next element depends on the two before it."""

import itertools
import math
from collections.abc import Iterable, Mapping

import numpy as np

from rhapsode.data import Batch
from tests.generation.even import Ruled


class Markov(Ruled):
    """A table of P(next | two before). Before a text stand two end-of-sequences; a fresh row has read one of them.

    Arguments:
        share_VVV: probabilities of the next element given the one before the last, and the last.
    """

    def __init__(self, share_VVV: np.ndarray) -> None:
        super().__init__(len(share_VVV))
        self.share_VVV = share_VVV / share_VVV.sum(axis=2, keepdims=True)
        self.log_VVV = np.log(self.share_VVV)
        self.seen: list[list[list[int]]] = []

    @classmethod
    def random(cls, vocab_size: int, seed: int = 0) -> "Markov":
        """A table of random, rather uneven shares."""
        noise = np.random.default_rng(seed).gamma(0.7, size=(vocab_size,) * 3)
        return cls(noise + 0.02)

    def logits(self, elements_BT: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(elements_BT.tolist())
        read_BT = np.concatenate((state, elements_BT), axis=1)
        logits_BV = self.log_VVV[read_BT[:, -2], read_BT[:, -1]]
        return logits_BV.astype(np.float32), read_BT[:, -1:]

    def score(self, batch: Batch, state: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        if state is None:
            state = self.start(batch.rows)
        earlier_BT = np.concatenate((state, batch.inputs[:, :-1]), axis=1)
        if batch.reset_BT is not None:
            earlier_BT = np.where(batch.reset_BT, 0, earlier_BT)
        return self.log_VVV[earlier_BT, batch.inputs, batch.targets], batch.inputs[:, -1:]

    def loss(self, elements: Iterable[int], before: tuple[int, int] = (0, 0)) -> float:
        """Nats of elements, one by one."""
        total = 0.0
        for element in elements:
            total -= math.log(self.share_VVV[before[0], before[1], element])
            before = (before[1], element)
        return total

    def endings(self, length: int, prompt: tuple[int, ...] = ()) -> Mapping[tuple[int, ...], float]:
        """Every continuation of at most `length` elements, end-of-sequence last if at all, with its probability."""
        before = (0, 0, *prompt)[-2:]
        found = {}
        for size in range(1, length + 1):
            for path in itertools.product(range(self.vocab_size), repeat=size):
                if 0 not in path[:-1] and (path[-1] == 0 or size == length):
                    found[path] = math.exp(-self.loss(path, before))
        return found
