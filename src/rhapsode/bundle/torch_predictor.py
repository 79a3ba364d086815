"""Predictors that run a network in torch, float32."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode.bundle.combined.averaged_predictor import as_one
from rhapsode.bundle.device import RowLimit, numbers, tensor_on
from rhapsode.bundle.distribution import Elements, LogitsDistribution
from rhapsode.bundle.network import SCORED_AT_ONCE, Network, Reading, evaluating, mask_logits
from rhapsode.bundle.network_rows import in_rows, score_rows
from rhapsode.bundle.predictor import Examined, Predictor, refuse_condition
from rhapsode.config import SeenContext
from rhapsode.data import Batch, Condition
from rhapsode.errors import SettingsError
from rhapsode.models import State

_LONGEST = 1024
_SPREAD_AT_ONCE = 1 << 21
"""Numbers of the distributions that are computed at once."""


class TorchPredictor(Predictor):
    """A predictor over a network in torch.

    Its state is carried, so that a single element costs one step.

    Arguments:
        network: the network, used in evaluation mode.
        vocab_size: V.
    """

    def __init__(self, network: Network, vocab_size: int) -> None:
        self._network = network
        self._device = network.device
        self._limit = RowLimit(self._device)
        self.vocab_size = vocab_size

    @torch.no_grad()
    def start(self, rows: int, condition: Any = None) -> State:
        """State of rows that have read nothing.

        Arguments:
            rows: B.
            condition: a `Condition` with one source for all rows, or one for each.

        Raises:
            SettingsError: the network cannot use a condition, or not this one.
        """
        if not self._network.model.uses_condition:
            refuse_condition(condition)
        elif not isinstance(condition, Condition | None):
            raise SettingsError(f"the condition is a {type(condition).__name__}, not a Condition")
        with evaluating(self._network):
            return self._network.model.init_state(rows, condition=condition)

    @torch.no_grad()
    def advance(
        self,
        elements: Elements,
        state: State,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, State]:
        if elements.shape[1] == 0:
            raise ValueError("advance needs at least one element")
        ids_BT = np.ascontiguousarray(elements, dtype=np.int64)

        def read(rows: slice, own: State | None) -> tuple[list[Any], State]:
            assert own is not None
            return self._read(ids_BT[rows], own, features=features)

        with evaluating(self._network):
            (logits_BV, *kept), after = in_rows(self._limit, len(ids_BT), state, read)
        return LogitsDistribution(logits_BV, *kept), after

    def _read(self, elements: Elements, state: State, *, features: bool) -> tuple[list[Any], State]:
        """Logits (B, V), with features (B, T, H) if requested, and the state after the elements."""
        ids_BT = tensor_on(self._device, elements)
        if ids_BT.shape[1] == 1 and not features:
            logits_BV, state = self._network.step(ids_BT[:, 0], state)
            return [numbers(logits_BV.float())], state
        parts = []
        for start in range(0, ids_BT.shape[1], _LONGEST):
            x_BTD = self._network.input(ids_BT[:, start : start + _LONGEST])
            y_BTH, state = self._network.model(x_BTD, state)
            if features:
                parts.append(y_BTH)
        logits_BV = self._network.head(y_BTH[:, -1:])[:, 0].float()
        kept = [numbers(torch.cat(parts, dim=1).float())] if features else []
        return [numbers(logits_BV), *kept], state

    @torch.no_grad()
    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], Any]:
        with evaluating(self._network):
            return score_rows(self._network, self._limit, batch, state)

    @torch.no_grad()
    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        def read(rows: slice, own: State | None) -> tuple[list[Any], State]:
            return self._examine(batch.select(rows), own)

        with evaluating(self._network):
            columns, after = in_rows(self._limit, batch.rows, state, read)
        return Examined(*columns), after

    def _examine(self, batch: Batch, state: State | None) -> tuple[list[Any], State]:
        reading = self._network.read(batch, state)
        parts = []
        for place, logits_BTV in self._logits(reading, SCORED_AT_ONCE):
            log_prob_BTV = logits_BTV.log_softmax(-1)
            target_BT = log_prob_BTV.gather(-1, reading.targets[:, place, None])[..., 0]
            if reading.masks is not None:
                target_BT = target_BT.masked_fill(reading.masks[1][:, place], 0.0)
            top_BT, which_BT = log_prob_BTV.max(-1)
            entropy_BT = -(log_prob_BTV.exp() * log_prob_BTV.clamp_min(-1e4)).sum(-1)
            parts.append((target_BT, which_BT, top_BT, entropy_BT))
        columns = [numbers(torch.cat(column, dim=1)) for column in zip(*parts, strict=True)]
        return columns, reading.state

    @torch.no_grad()
    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], Any]:
        with evaluating(self._network):
            reading = self._network.read(batch, state)
        parts = self._logits(reading, _SPREAD_AT_ONCE)
        return (numbers(logits_BTV.log_softmax(-1)) for _, logits_BTV in parts), reading.state

    @torch.no_grad()
    def distributions_where(
        self, batch: Batch, wanted_BT: NDArray[np.bool_], state: Any | None = None
    ) -> tuple[NDArray[np.float32], Any]:
        with evaluating(self._network):
            reading = self._network.read(batch, state)
        place_P = tensor_on(self._device, np.flatnonzero(wanted_BT))

        def select_places(values: torch.Tensor) -> torch.Tensor:
            return values.flatten(0, 1)[place_P][None]

        masks = reading.masks
        chosen = Reading(
            select_places(reading.y_BTH),
            select_places(reading.targets),
            None if masks is None else (select_places(masks[0]), select_places(masks[1])),
            reading.state,
        )
        log_prob_PV = np.empty((len(place_P), self.vocab_size), dtype=np.float32)
        for place, logits_1PV in self._logits(chosen, _SPREAD_AT_ONCE):
            log_prob_PV[place] = numbers(logits_1PV[0].log_softmax(-1))
        return log_prob_PV, reading.state

    @torch.no_grad()
    def _logits(self, reading: Reading, at_once: int) -> Iterator[tuple[slice, torch.Tensor]]:
        rows, length = reading.targets.shape
        most = max(1, at_once // (rows * self._network.head.width))
        for start in range(0, length, most):
            place = slice(start, start + most)
            # A slice of columns is not contiguous: torch would multiply row by row instead of once.
            logits_BTV = self._network.head(reading.y_BTH[:, place].contiguous()).float()
            if reading.masks is not None:
                logits_BTV = mask_logits(logits_BTV, reading.masks[0][:, place])
            yield place, logits_BTV


def torch_predictor(
    networks: Network | Sequence[Network],
    vocab_size: int,
    context: SeenContext,
    weights: Sequence[float] = (1.0,),
) -> Predictor:
    """Predictor over networks in the context that they were trained in.

    Arguments:
        networks: one, or the members of a model.
        vocab_size: V.
        context: what they were trained to see.
        weights: of the members, one in total.
    """
    members = [networks] if isinstance(networks, Network) else networks
    return as_one([TorchPredictor(each, vocab_size) for each in members], weights, context)
