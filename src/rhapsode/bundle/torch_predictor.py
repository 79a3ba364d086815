"""The predictors that run a network in torch, float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode.bundle.network import SCORED_AT_ONCE, Network, batch_tensors
from rhapsode.bundle.predictor import Examined
from rhapsode.config import SeenContext
from rhapsode.data import Batch

__all__ = ["TorchPredictor", "WindowPredictor", "torch_predictor"]

_LONGEST = 1024
_SPREAD_AT_ONCE = 1 << 21
"""Numbers of the distributions that are given at once."""


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

    @property
    def window(self) -> int:
        """Elements that count, 0 where all do."""
        return 0

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> Any:
        """The zero state of some rows."""
        return self._network.model.init_state(rows)

    @torch.no_grad()
    def advance(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any]:
        """Read elements (B, T); logits (B, V) of what follows, and the state behind them."""
        if elements_BT.shape[1] == 0:
            raise ValueError("advance needs at least one element")
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
    def features(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Any]:
        """Read elements (B, T); the model's features (B, T, H) behind each, logits (B, V), and the state."""
        elements = torch.from_numpy(np.ascontiguousarray(elements_BT, dtype=np.int64))
        was_training = self._network.training
        self._network.eval()
        try:
            parts = []
            for start in range(0, elements.shape[1], _LONGEST):
                x_BTD = self._network.input(elements[:, start : start + _LONGEST])
                y_BTH, state = self._network.model(x_BTD, state)
                parts.append(y_BTH)
            logits_BV = self._network.head(parts[-1][:, -1:])[:, 0]
            features_BTH = torch.cat(parts, dim=1)
            return features_BTH.float().numpy(), logits_BV.float().numpy(), state
        finally:
            self._network.train(was_training)

    @torch.no_grad()
    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], Any]:
        """Log-probability (nats) of every target, (B, T), and the state behind the batch."""
        was_training = self._network.training
        self._network.eval()
        try:
            log_prob_BT, after = self._network.log_prob(batch, state)
            return log_prob_BT.numpy(), after
        finally:
            self._network.train(was_training)

    @torch.no_grad()
    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        """Log-probabilities of the targets, likeliest elements and entropies, all (B, T), and the state behind."""
        was_training = self._network.training
        self._network.eval()
        try:
            inputs, targets, reset_BT = batch_tensors(batch, torch.device("cpu"))
            y_BTH, state = self._network.model(
                self._network.input(inputs), state, reset_BT=reset_BT
            )
            rows, length = targets.shape
            most = max(1, SCORED_AT_ONCE // (rows * self._network.head.width))
            parts = []
            for start in range(0, length, most):
                some = slice(start, start + most)
                log_prob_BTV = self._network.head(y_BTH[:, some]).float().log_softmax(-1)
                target_BT = log_prob_BTV.gather(-1, targets[:, some, None])[..., 0]
                top_BT, which_BT = log_prob_BTV.max(-1)
                entropy_BT = -(log_prob_BTV.exp() * log_prob_BTV.clamp_min(-1e4)).sum(-1)
                parts.append((target_BT, which_BT, top_BT, entropy_BT))
            found = [torch.cat(columns, dim=1).numpy() for columns in zip(*parts, strict=True)]
            return Examined(*found), state
        finally:
            self._network.train(was_training)

    @torch.no_grad()
    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], Any]:
        """Log-probabilities of all elements behind every input, in parts (B, some T, V), and the state behind."""
        was_training = self._network.training
        self._network.eval()
        try:
            inputs, _, reset_BT = batch_tensors(batch, torch.device("cpu"))
            y_BTH, state = self._network.model(
                self._network.input(inputs), state, reset_BT=reset_BT
            )
        finally:
            self._network.train(was_training)
        most = max(1, _SPREAD_AT_ONCE // (len(inputs) * self._network.head.width))
        return (self._spread(some_BTH) for some_BTH in y_BTH.split(most, dim=1)), state

    @torch.no_grad()
    def _spread(self, y_BTH: torch.Tensor) -> NDArray[np.float32]:
        log_prob_BTV: NDArray[np.float32] = (
            self._network.head(y_BTH).float().log_softmax(-1).numpy()
        )
        return log_prob_BTV

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """The state of some rows."""
        return state.select(torch.from_numpy(rows_R))


@dataclass(frozen=True)
class Remembered:
    """The last elements of every row, (B, up to N); all rows have read the same number."""

    elements_BT: NDArray[np.int64]

    def select(self, rows_R: NDArray[np.int64]) -> Remembered:
        """The memory of some rows."""
        return Remembered(self.elements_BT[rows_R])

    def fork(self) -> Remembered:
        """A memory of its own."""
        return self


class WindowPredictor(TorchPredictor):
    """A `Predictor` for models of a `window:N` context: every distribution is read anew off the last N elements.

    Arguments:
        network: the network, used in evaluation mode.
        vocab_size: V.
        size: N.
    """

    def __init__(self, network: Network, vocab_size: int, size: int) -> None:
        super().__init__(network, vocab_size)
        self._size = size

    @property
    def window(self) -> int:
        """N."""
        return self._size

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> Remembered:
        """The memory of rows that have read nothing."""
        return Remembered(np.zeros((rows, 0), dtype=np.int64))

    def advance(
        self, elements_BT: NDArray[np.int64], state: Remembered
    ) -> tuple[NDArray[np.float32], Remembered]:
        """Read elements (B, T); logits (B, V) of what follows the last N, and the memory of these."""
        seen_BT = np.concatenate((state.elements_BT, elements_BT), axis=1)[:, -self._size :]
        logits_BV, _ = super().advance(seen_BT, super().start(len(seen_BT)))
        return logits_BV, Remembered(seen_BT)

    def features(
        self, elements_BT: NDArray[np.int64], state: Remembered
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Remembered]:
        """Read elements (B, T); features of those among the last N, as the window holds them, then as `advance`."""
        seen_BT = np.concatenate((state.elements_BT, elements_BT), axis=1)[:, -self._size :]
        features_BTH, logits_BV, _ = super().features(seen_BT, super().start(len(seen_BT)))
        return features_BTH[:, -elements_BT.shape[1] :], logits_BV, Remembered(seen_BT)

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], None]:
        """Log-probability (nats) of the targets of windows, each read from the zero state."""
        log_prob_BT, _ = super().score(batch, None)
        return log_prob_BT, None

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, None]:
        """As for every predictor; windows are read from the zero state."""
        examined, _ = super().examine(batch, None)
        return examined, None

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], None]:
        """As for every network; windows are read from the zero state."""
        parts, _ = super().distributions(batch, None)
        return parts, None

    def select(self, state: Remembered, rows_R: NDArray[np.int64]) -> Remembered:
        """The memory of some rows."""
        return state.select(rows_R)


def torch_predictor(network: Network, vocab_size: int, context: SeenContext) -> TorchPredictor:
    """The predictor that sees what the network was trained to see."""
    if context.kind == "window":
        return WindowPredictor(network, vocab_size, context.size)
    return TorchPredictor(network, vocab_size)
