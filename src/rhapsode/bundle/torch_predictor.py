"""The predictor that runs a network in torch, float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode.bundle.network import Network
from rhapsode.data import Batch
from rhapsode.models import State

__all__ = ["TorchPredictor"]

_LONGEST = 1024


class TorchPredictor:
    """A `Predictor` over a network; state is carried and a single element costs one step.

    Arguments:
        network: the network, used in evaluation mode.
        vocab_size: V.
    """

    def __init__(self, network: Network, vocab_size: int) -> None:
        self._network = network
        self._vocab_size = vocab_size

    @property
    def vocab_size(self) -> int:
        """V."""
        return self._vocab_size

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> State:
        """The zero state of some rows."""
        return self._network.model.init_state(rows)

    @torch.no_grad()
    def advance(
        self, elements_BT: NDArray[np.int64], state: State
    ) -> tuple[NDArray[np.float32], State]:
        """Read elements (B, T); logits (B, V) of what follows, and the state behind them."""
        elements = torch.from_numpy(np.ascontiguousarray(elements_BT, dtype=np.int64))
        was_training = self._network.training
        self._network.eval()
        try:
            if elements.shape[1] == 1:
                logits_BV, state = self._network.step(elements[:, 0], state)
                return logits_BV.float().numpy(), state
            for start in range(0, elements.shape[1], _LONGEST):
                x_BTD = self._network.input(elements[:, start : start + _LONGEST])
                y_BTH, state = self._network.model(x_BTD, state)
            return self._network.head(y_BTH[:, -1:])[:, 0].float().numpy(), state
        finally:
            self._network.train(was_training)

    @torch.no_grad()
    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], State]:
        """Log-probability (nats) of every target, (B, T), and the state behind the batch."""
        was_training = self._network.training
        self._network.eval()
        try:
            log_prob_BT, after = self._network.log_prob(batch, state)
            return log_prob_BT.numpy(), after
        finally:
            self._network.train(was_training)

    def select(self, state: State, rows_R: NDArray[np.int64]) -> State:
        """The state of some rows."""
        return state.select(torch.from_numpy(rows_R))
