"""A predictor that knows nothing."""

from typing import Any

import numpy as np


class Even:
    """Every element equally likely, whatever stands before; rows are told apart by the draw."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def start(self, rows: int, condition: Any = None) -> np.ndarray:
        return np.zeros((rows, 1))

    def advance(self, elements_BT: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(elements_BT), self.vocab_size), dtype=np.float32), state

    def select(self, state: np.ndarray, rows_R: np.ndarray) -> np.ndarray:
        return state[rows_R]
