"""The predictor with a compiled network.

It needs no torch. The compiled calls hold no lock; helper threads share large products.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import (
    Bundle,
    Elements,
    Examined,
    LogitsDistribution,
    Predictor,
    Stretch,
    StretchRequest,
    log_softmax,
    refuse_condition,
)
from rhapsode.bundle.combined.averaged_predictor import AveragedPredictor, as_one
from rhapsode.bundle.predictor import States
from rhapsode.bundle.row_table import RowParts, TableRequest, WritingTable
from rhapsode.compiling import cores
from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_steps import (
    TOGETHER,
    entries_for,
    helper_for,
    score_rows,
    spread_features,
)
from rhapsode.engine.compiled_table import CompiledTable
from rhapsode.engine.compiled_writing import CompiledState, CompiledWriter
from rhapsode.engine.kernels.tiles import padded
from rhapsode.engine.packed_weights import Laid, lay_out
from rhapsode.engine.threads import may_help
from rhapsode.log import log

if TYPE_CHECKING:
    from rhapsode.data import Batch

# Numbers of the distributions that are given at once.
_SPREAD_AT_ONCE = 1 << 21


class CompiledPredictor(Predictor):
    """A predictor with arrays and compiled code.

    A row's numbers are the same bits alone and in a batch, read at once and in pieces.

    Arguments:
        network: weights and what they are.
        threads: cores that one text, or one batch, may use where that pays.
    """

    def __init__(self, network: Laid, threads: int = 1) -> None:
        self._network, self._threads = network, threads
        self.vocab_size = network[at.VOCAB]
        self._entries = entries_for(network[at.FAMILY], network.kind)
        self._asked = (network.weights, network.matrices, network.spec)
        self._row = padded(network[at.VOCAB])
        self._writer = CompiledWriter([network], [1.0], threads, self._read_prompts)

    def start(self, rows: int, condition: Any = None) -> CompiledState:
        refuse_condition(condition)
        values_BS = np.zeros((rows, self._network[at.STATE]), dtype=np.float32)
        return CompiledState(values_BS, np.zeros(rows, dtype=np.int64))

    def _read_prompts(
        self, elements_BT: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], tuple[CompiledState]]:
        logits_BV, state = self._read(elements_BT, self.start(len(elements_BT)))
        return logits_BV, (state,)

    def _read(
        self,
        elements_BT: NDArray[Any],
        state: CompiledState,
        found: list[NDArray[np.float32]] | None = None,
    ) -> tuple[NDArray[np.float32], CompiledState]:
        """Logits after the last element, and the state there.

        Features (B, some T, H) are appended to `found`, part by part.
        """
        ids_BT = np.asarray(elements_BT)
        rows, length = ids_BT.shape
        if length == 0:
            raise ValueError("advance needs at least one element")
        if ids_BT.size and not 0 <= int(ids_BT.min()) <= int(ids_BT.max()) < self.vocab_size:
            raise ValueError(f"elements must lie from 0 to {self.vocab_size - 1}")
        size = self._network[at.FEATURES]
        values, count_B = state.values_BS.copy().reshape(-1), state.count_B.copy()
        z = np.empty(rows * self._row, dtype=np.float32)
        most = max(1, TOGETHER // max(1, rows))
        for start in range(0, length, most):
            some_BT = np.array(ids_BT[:, start : start + most], dtype=np.int64, order="C")
            y = np.empty(some_BT.size * size, dtype=np.float32)
            self._entries.read(*self._asked, some_BT, values, count_B, y, z)
            if found is not None:
                found.append(y.reshape(*some_BT.shape, size))
        logits_BV = z.reshape(rows, self._row)[:, : self.vocab_size].copy()
        return logits_BV, CompiledState(values.reshape(state.values_BS.shape), count_B)

    def advance(
        self,
        elements: Elements,
        state: CompiledState,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, CompiledState]:
        parts: list[NDArray[np.float32]] | None = [] if features else None
        logits_BV, state = self._read(elements, state, parts)
        features_BTH = np.concatenate(parts, axis=1) if parts is not None else None
        return LogitsDistribution(logits_BV, features_BTH), state

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], Any]:
        examined, state = self.examine(batch, state)
        return examined.log_prob_BT, state

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        refuse_condition(batch.condition)
        targets_BT = np.array(batch.targets, dtype=np.int64, order="C")
        if targets_BT.size and not 0 <= targets_BT.min() <= targets_BT.max() < self.vocab_size:
            raise ValueError(f"targets must lie from 0 to {self.vocab_size - 1}")
        allowed_BTV = batch.mask()
        y_BTH, known = self._features(batch, state)
        told_N4 = np.empty((targets_BT.size, 4))
        targets_N, allowed_NV = targets_BT.reshape(-1), None
        if allowed_BTV is not None:
            allowed_NV = np.require(allowed_BTV, np.bool_, ["C", "W"]).reshape(-1, self.vocab_size)
        score_rows(*self._asked, y_BTH.reshape(-1), targets_N, allowed_NV, told_N4)
        if allowed_BTV is not None:
            told_N4[batch.forbidden_targets().reshape(-1), 0] = 0.0
        log_prob, top, top_log_prob, entropy = told_N4.T.reshape(4, *targets_BT.shape)
        return (
            Examined(
                log_prob.astype(np.float32),
                top.astype(np.int64),
                top_log_prob.astype(np.float32),
                entropy.astype(np.float32),
            ),
            known,
        )

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], Any]:
        """Log-probabilities of all elements after every input, and the final state.

        They come in parts (B, some T, V).
        """
        refuse_condition(batch.condition)
        allowed_BTV = batch.mask()
        y_BTH, known = self._features(batch, state)
        rows, length = y_BTH.shape[:2]
        most = max(1, _SPREAD_AT_ONCE // (rows * self._row))
        parts = (slice(start, start + most) for start in range(0, length, most))
        return (
            self._spread(y_BTH[:, part], None if allowed_BTV is None else allowed_BTV[:, part])
            for part in parts
        ), known

    def _spread(
        self, y_BTH: NDArray[np.float32], allowed_BTV: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        z_BTV = np.empty((*y_BTH.shape[:2], self._row), dtype=np.float32)
        spread_features(*self._asked, np.ascontiguousarray(y_BTH).reshape(-1), z_BTV.reshape(-1))
        logits_BTV = z_BTV[..., : self.vocab_size]
        if allowed_BTV is not None:
            logits_BTV = np.where(allowed_BTV, logits_BTV, np.float32(-np.inf))
        return log_softmax(logits_BTV).astype(np.float32)

    def _features(
        self, batch: Batch, state: Any | None
    ) -> tuple[NDArray[np.float32], CompiledState]:
        """Features (B, T, H) after every input, and the final state."""
        known = self.start(batch.rows) if state is None else state
        elements_BT = np.asarray(batch.inputs)
        found: list[NDArray[np.float32]] = []
        for start, end in _segments(batch.reset_BT, elements_BT.shape[1]):
            if batch.reset_BT is not None:
                keep_B = ~batch.reset_BT[:, start]
                known = CompiledState(known.values_BS * keep_B[:, None], known.count_B * keep_B)
            _, known = self._read(elements_BT[:, start:end], known, found)
        return np.ascontiguousarray(np.concatenate(found, axis=1)), known

    def join(self, states: Sequence[CompiledState]) -> CompiledState:
        return CompiledState(
            np.concatenate([state.values_BS for state in states]),
            np.concatenate([state.count_B for state in states]),
        )

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Write all jobs side by side, a stretch of each in turn.

        None where a step of the chain is not compiled, prompts are of unequal length, or the chain
        may leave nothing of what the grammar allows.

        Raises:
            SettingsError: a job has a condition.
        """
        return self._writer.stretches(request)

    def table(self, request: TableRequest) -> WritingTable | None:
        return CompiledTable(self._writer, request)


class CompiledAverage(AveragedPredictor):
    """A predictor that averages the probabilities of compiled networks.

    Arguments:
        networks: in the same vectors.
        weights: of each, one in total.
        threads: as for one network.
    """

    def __init__(
        self, networks: Sequence[Laid], weights: Sequence[float], threads: int = 1
    ) -> None:
        super().__init__([CompiledPredictor(each, threads) for each in networks], weights)
        self._writer = CompiledWriter(networks, weights, threads, self._read_prompts)

    def _read_prompts(
        self, elements_BT: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], tuple[CompiledState, ...]]:
        following, state = self.advance(elements_BT, self.start(len(elements_BT)))
        return following.logits_BV, state.parts

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Write all jobs side by side; see `CompiledPredictor.stretches`."""
        return self._writer.stretches(request)

    def row_parts(self, state: States) -> RowParts:
        return RowParts(state.parts)

    def table(self, request: TableRequest) -> WritingTable | None:
        return CompiledTable(self._writer, replace(request, parts=request.parts or self.row_parts))


def compiled_predictor(
    bundle: Bundle[Any, Any], *, weights: str = "float32", threads: int | None = None
) -> Predictor:
    """The predictor that sees what the network was trained to see.

    Arguments:
        bundle: the model.
        weights: "float32", or rounded to "bf16" or "int8", which reads fewer bytes an element.
        threads: cores that may be used where that pays; None: those that there are.

    Raises:
        BundleError: the arrays do not fit the configuration, or the engine has no form of a part.
    """
    networks = lay_out(bundle, weights)
    network = networks[0]
    threads = cores() if threads is None else threads
    began = time.perf_counter()
    compiled = entries_for(network[at.FAMILY], weights).compiled
    if may_help(network, threads):
        compiled += helper_for(weights)
    seconds = time.perf_counter() - began
    if compiled and seconds > 1.0:  # not what is there by now
        log.info(f"compiled the generator ({seconds:.0f} s, once per machine)")
    one: Predictor = CompiledPredictor(network, threads)
    if len(networks) > 1:
        one = CompiledAverage(networks, bundle.weights, threads)
    return as_one([one], [1.0], bundle.context)


def _segments(reset_BT: NDArray[np.bool_] | None, length: int) -> Iterator[tuple[int, int]]:
    """Stretches of a batch without restarts of rows inside them."""
    starts = [0]
    if reset_BT is not None:
        starts += [int(t) + 1 for t in np.flatnonzero(reset_BT[:, 1:].any(axis=0))]
    return zip(starts, [*starts[1:], length], strict=True)
