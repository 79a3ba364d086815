"""Predictors of series, many at once. Loads torch.

Each series is at its own step.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.bundle.device import RowLimit, numbers, tensor_on
from rhapsode.bundle.distribution import (
    GREEDY_BELOW,
    Distribution,
    Elements,
    Floats,
    Sample,
    Singles,
    Table,
)
from rhapsode.bundle.element_facts import History, ValueBundle, ValueCondition, ValuePaths
from rhapsode.bundle.network import Network
from rhapsode.bundle.network_rows import in_rows, score_rows, torch_workers
from rhapsode.bundle.predictor import Predictor
from rhapsode.data import Batch, Condition
from rhapsode.errors import BundleError, SettingsError
from rhapsode.heads import Bins, DensityHead
from rhapsode.models import State

B_co = TypeVar("B_co", bound=ValueBundle, covariant=True)

# Steps that one call of the network reads.
WINDOW = 256
# Numbers of the distributions that one call of many rows gives at most.
NUMBERS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class ValueState:
    """State of B paths: the network's memory and the last values.

    Arguments:
        memory: of the network before the next value, B rows.
        paths: the last values, B paths; reading writes into them.
        ahead: memory of the network after the known inputs of the next value, once its distribution
            was requested.
    """

    memory: State
    paths: ValuePaths
    ahead: State | None = None

    def select(self, rows_R: NDArray[np.int64]) -> ValueState:
        ahead = None if self.ahead is None else self.ahead.select(rows_R)
        return ValueState(self.memory.select(rows_R), self.paths.select(rows_R), ahead)

    def fork(self) -> ValueState:
        return self.select(np.arange(len(self.paths)))


class ValueDistribution(Distribution):
    """Distribution of the next K values of every path.

    Values are in the data's own units.

    Arguments:
        head: of the network.
        parameters_BP: of its distribution.
        paths: the values before.
    """

    def __init__(self, head: DensityHead, parameters_BP: Tensor, paths: ValuePaths) -> None:
        self.head = head
        self.parameters_BP = parameters_BP
        self._paths = paths

    def __len__(self) -> int:
        return len(self.parameters_BP)

    @property
    def logits_BKV(self) -> Singles | None:
        if not isinstance(self.head, Bins):
            return None
        return numbers(self.head.logits(self.parameters_BP).float())

    @torch.no_grad()
    def log_prob(self, elements: Elements) -> Floats:
        targets_BK, jacobian_B = self._paths.encode_next(np.asarray(elements, dtype=np.float64))
        log_prob_B1 = self.head.log_prob(
            self.parameters_BP[:, None], self._tensor(targets_BK)[:, None]
        )
        return np.asarray(numbers(log_prob_B1[:, 0]).astype(np.float64) + jacobian_B)

    def sample(
        self,
        uniforms_BK: Floats,
        temperature: float = 1.0,
        logits_BKV: Singles | None = None,
    ) -> Sample:
        uniforms = self._tensor(np.ascontiguousarray(uniforms_BK))
        if logits_BKV is None or not isinstance(self.head, Bins):
            targets_BK = self.head.sample(self.parameters_BP, uniforms, temperature)
            return Sample(self._paths.decode_next(numbers(targets_BK)), None)
        targets_BK, bins_BK = self.head.draw_bins(self._tensor(logits_BKV), uniforms)
        if temperature < GREEDY_BELOW:
            targets_BK = self.head.centres().to(bins_BK.device)[bins_BK]
        return Sample(self._paths.decode_next(numbers(targets_BK)), numbers(bins_BK))

    def given(self, elements: Elements) -> Sample:
        """Sample of values (B, K), and the bins they lie in.

        Only binned values have bins; a missing value is in the first one.
        """
        values_BK = np.asarray(elements, dtype=np.float64)
        if not isinstance(self.head, Bins):
            return Sample(values_BK, None)
        targets_BK, _ = self._paths.encode_next(values_BK)
        return Sample(values_BK, numbers(self.head.bins_of(self._tensor(targets_BK))))

    @torch.no_grad()
    def table(self, k: int) -> Table:
        levels_C = np.arange(1, k + 1) / (k + 1)
        rows = [
            self._paths.decode_next(numbers(self.head.quantile(self.parameters_BP, float(level))))
            for level in levels_C
        ]
        return Table(np.stack(rows, axis=1), levels_C)

    def select(self, rows_R: NDArray[np.int64]) -> ValueDistribution:
        parameters_RP = self.parameters_BP[self._tensor(rows_R)]
        return ValueDistribution(self.head, parameters_RP, self._paths.select(rows_R))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return tensor_on(self.parameters_BP.device, array)


class ValuePredictor(Predictor, Generic[B_co]):
    """A predictor of the next values of series.

    Arguments:
        bundle: encoder and covariates.
        network: its network, in evaluation mode.

    Raises:
        BundleError: a head that does not fit.
    """

    def __init__(self, bundle: B_co, network: Network) -> None:
        if not isinstance(network.head, DensityHead):
            raise BundleError("its head is not a distribution over numbers")
        if network.head.counts != bundle.encoder.counts:
            raise BundleError("its head and its encoder disagree on whether values are counts")
        self.bundle = bundle
        self.network = network
        self._device = network.device
        self._limit = RowLimit(self._device)
        self.head = network.head
        self.vocab_size = self.head.bins if isinstance(self.head, Bins) else 0
        self.element_size = bundle.encoder.target_size
        # Fewer if the distribution of a step has many parameters.
        self.batch_rows = max(1, min(self.batch_rows, NUMBERS_AT_ONCE // self.head.width))

    @torch.no_grad()
    def start(self, rows: int, condition: Any = None) -> ValueState:
        """Initial state of series that have no past.

        Arguments:
            rows: B.
            condition: `ValueCondition`, or scales alone: `SeriesStats`, one for all rows, or one
                for each.

        Raises:
            SettingsError: there is no scale, or not one for each; or the network cannot use what
                the series depend on.
        """
        if condition is None:
            raise SettingsError("the scale of a series is missing")
        if not isinstance(condition, ValueCondition):
            condition = ValueCondition(condition)
        one = not isinstance(condition.scales, Sequence)
        paths = self.bundle.encoder.paths(condition.scales, rows if one else 1)
        if len(paths) != rows:
            raise SettingsError(f"{len(paths)} scales were given for {rows} series")
        memory = self.network.model.init_state(rows, condition=condition.sources)
        return ValueState(memory, paths)

    @torch.no_grad()
    def advance(
        self,
        elements: Elements,
        state: ValueState,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[ValueDistribution, ValueState]:
        """Read values (B, T, K) and predict the next ones.

        Returns the distribution of the next values, and the state after those read.

        Arguments:
            elements: in the data's own units, NaN where missing; T may be 0.
            state: before them; its last values are written into.
            known_BUX: covariates, scaled, of the times of the values and of the time after them;
                those of a value whose distribution was already requested are ignored.
            features: ignored for values.

        Raises:
            EncodingError: values that the encoder's settings declare impossible.
            SettingsError: covariates of other times than these.
        """
        rows, time = elements.shape[:2]
        wanted = (rows, time + 1, self.bundle.facts.covariate_size)
        if known_BUX is None and not wanted[-1]:
            known_BUX = np.zeros(wanted, dtype=np.float32)
        if known_BUX is None or known_BUX.shape != wanted:
            shape = None if known_BUX is None else known_BUX.shape
            raise SettingsError(
                f"{time} values of {rows} series need {wanted[-1]} covariates "
                f"at {time + 1} times, not {shape}"
            )
        for step in range(time):
            state = self._observe(elements[:, step], state, known_BUX[:, step])
        parameters_BP, ahead = self._parameters(state.paths, state.memory, known_BUX[:, time])
        following = ValueDistribution(self.head, parameters_BP, state.paths)
        return following, ValueState(state.memory, state.paths, ahead)

    @torch.no_grad()
    def observe(self, values_BK: Elements, state: ValueState, known_BX: Singles) -> ValueState:
        """Read the next value of every path, without predicting another one.

        Arguments:
            values_BK: in the data's own units, NaN where missing.
            state: before them; its last values are written into.
            known_BX: covariates of that time, scaled.

        Raises:
            EncodingError: values that the encoder's settings declare impossible.
        """
        return self._observe(values_BK, state, known_BX)

    def _observe(self, values_BK: Elements, state: ValueState, known_BX: Singles) -> ValueState:
        # Entering `no_grad` takes a few per cent of a step of a small network: the caller does it.
        ahead = state.ahead
        if ahead is None:
            _, ahead = self._parameters(state.paths, state.memory, known_BX)
        state.paths.push(np.asarray(values_BK, dtype=np.float64))
        return ValueState(ahead, state.paths)

    @torch.no_grad()
    def begin(self, histories: Sequence[History], sources: Condition | None = None) -> ValueState:
        """Read the histories of series.

        Unless a scale is given, all values of a history set it; at most its last `warm_up` values
        go through the network. The state of a series does not depend on the others.

        Arguments:
            histories: one a series.
            sources: what each series depends on, for a network with a conditioner.

        Raises:
            EncodingError: values that the encoder's settings declare impossible.
            SettingsError: the network cannot use the sources, or there is not one for each series.
        """
        if sources is not None and sources.rows != len(histories):
            raise SettingsError(
                f"the condition has {sources.rows} rows for {len(histories)} series"
            )
        encoder = self.bundle.encoder
        none_0D = np.zeros((0, self.bundle.facts.sizes(encoder).input[1]), dtype=np.float32)
        paths, features = [], []
        for history in histories:
            scale = history.scale or encoder.stats(history.values_TK)
            length = len(history.values_TK)
            read = min(length, self.bundle.facts.warm_up)
            # Values beyond the reach of features are skipped; over gaps a difference reaches any
            # distance.
            gaps = encoder.spans_gaps and not np.isfinite(history.values_TK).all()
            spared = 0 if gaps else max(0, length - read - encoder.span)
            tail_TK = history.values_TK[spared:]
            encoded = encoder.encode(tail_TK, scale)
            paths.append(encoder.paths_after(tail_TK, scale))
            parts = (encoded.features_TD[len(tail_TK) - read :], history.known_TX[-read:])
            features.append(np.concatenate(parts, axis=1) if read else none_0D)
        return ValueState(self._memory(features, sources), type(paths[0]).join(paths))

    def _memory(self, features: Sequence[Singles], sources: Condition | None = None) -> State:
        """State of the network after series (T, D) of any lengths.

        All end together; a shorter one joins when the others have as many steps left.
        """
        lengths = np.array([len(each) for each in features])
        lefts = sorted({*lengths.tolist(), 0}, reverse=True)
        states: list[State] = []
        order: list[int] = []
        for left, later in zip(lefts, [*lefts[1:], 0], strict=True):
            enter = np.flatnonzero(lengths == left)
            if len(enter):
                own = None if sources is None else sources.select(enter)
                states.append(self.network.model.init_state(len(enter), condition=own))
                order += enter.tolist()
            state = type(states[0]).join(states)
            for start in range(left, later, -WINDOW):
                time = min(start - later, WINDOW)
                x_BTD = np.stack([features[r][len(features[r]) - start :][:time] for r in order])
                _, state = self.network.model(
                    self.network.input(tensor_on(self._device, x_BTD)), state
                )
            states = [state]
        return state.select(np.argsort(order))

    def _parameters(
        self, paths: ValuePaths, memory: State, known_BX: Singles
    ) -> tuple[Tensor, State]:
        """Parameters (B, P) of the next distributions, and the network's next state.

        There is one distribution for every path's next target.
        """
        inputs_BD = tensor_on(self._device, paths.features())
        if known_BX.shape[1]:
            inputs_BD = torch.cat((inputs_BD, tensor_on(self._device, known_BX)), dim=1)

        def read(rows: slice, own: State | None) -> tuple[list[Tensor], State]:
            assert own is not None
            parameters_RP, after = self.network.step(inputs_BD[rows], own)
            return [parameters_RP], after

        (parameters_BP,), memory = in_rows(self._limit, len(inputs_BD), memory, read)
        if self.head.counts:
            log_scale_BK = tensor_on(self._device, paths.log_scale()).float()
            parameters_BP = self.head.scaled(parameters_BP, log_scale_BK)
        return parameters_BP, memory

    @torch.no_grad()
    def attended(self, features_TD: Singles, state: ValueState) -> NDArray[np.int64]:
        """The elements of the source that are attended to most, (T,).

        There is one before each target. A window that has left the source attends to nothing: its
        element is the last one.

        Arguments:
            features_TD: of one series.
            state: before it, one row, of a network that attends to sources.
        """
        x_1TD = self.network.input(tensor_on(self._device, features_TD[None]))
        weights_1TS = self.network.model.probe(x_1TD, state.memory)["attention"]
        weights_TS = numbers(weights_1TS[0])
        some_T = weights_TS.any(axis=-1)
        left_T = np.logical_or.accumulate(some_T) & ~some_T
        heaviest_T = weights_TS.argmax(axis=-1)
        return np.asarray(np.where(left_T, weights_TS.shape[1] - 1, heaviest_T))

    @torch.no_grad()
    def score(self, batch: Batch, state: ValueState | State | None = None) -> tuple[Singles, State]:
        """Log-density (nats) of every target, (B, T).

        It is in the data's own units. The network's state after the targets is returned, too. A
        batch holds features, from which values cannot be recovered: its state only continues with
        further batches.
        """
        memory = state.memory if isinstance(state, ValueState) else state
        return score_rows(self.network, self._limit, batch, memory)

    def join(self, states: Sequence[ValueState]) -> ValueState:
        memory, ahead = [state.memory for state in states], [state.ahead for state in states]
        known = [each for each in ahead if each is not None]
        return ValueState(
            type(memory[0]).join(memory),
            type(states[0].paths).join([state.paths for state in states]),
            type(known[0]).join(known) if len(known) == len(states) else None,
        )

    def workers(self, calls: int) -> AbstractContextManager[Executor | None]:
        return torch_workers(calls)
