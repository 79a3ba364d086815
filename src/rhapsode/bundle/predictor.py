"""The predictor contract, which generation and evaluation use. No torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Distribution, Elements, LogitsDistribution, Singles
from rhapsode.bundle.row_table import RowParts, TableRequest, WritingTable
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
    from rhapsode.counts.mixing.experts import Experts
    from rhapsode.data import Batch, Condition
    from rhapsode.encoding.automata import GrammarTable
    from rhapsode.encoding.state_machine import Grammar


@dataclass(frozen=True)
class Examined:
    """Summary of the distributions that scored a batch; all (B, T).

    Arguments:
        log_prob_BT: log-probability of every target, nats.
        top_BT: the likeliest element.
        top_log_prob_BT: its log-probability, nats.
        entropy_BT: of the distribution, nats.
    """

    log_prob_BT: Singles
    top_BT: NDArray[np.int64]
    top_log_prob_BT: Singles
    entropy_BT: Singles

    @classmethod
    def of(cls, parts: Iterable[Singles], batch: Batch) -> Examined:
        """Describe distributions over ids.

        Arguments:
            parts: log-probabilities (B, some T, V), nats, from the first position to the last.
            batch: a target that its mask does not allow gets 0.
        """
        targets_BT1 = np.asarray(batch.targets, dtype=np.int64)[..., None]
        columns: list[tuple[NDArray[Any], ...]] = []
        done = 0
        for log_prob_BTV in parts:
            own_BT1 = targets_BT1[:, done : done + log_prob_BTV.shape[1]]
            done += log_prob_BTV.shape[1]
            top_BT = log_prob_BTV.argmax(axis=-1)
            at_target, at_top = (
                np.take_along_axis(log_prob_BTV, which_BT1, axis=-1)[..., 0]
                for which_BT1 in (own_BT1, top_BT[..., None])
            )
            # Impossible elements add nothing to an entropy.
            entropy_BT = -(np.exp(log_prob_BTV) * np.maximum(log_prob_BTV, -1e4)).sum(axis=-1)
            columns.append((at_target, top_BT, at_top, entropy_BT))
        examined = cls(*(np.concatenate(column, axis=1) for column in zip(*columns, strict=True)))
        examined.log_prob_BT[batch.forbidden_targets()] = 0.0
        return examined


@dataclass(frozen=True)
class Job:
    """One continuation to write.

    Arguments:
        prompt_N: ids of the prompt, without the end-of-sequence that precedes every text.
        sequence: index of the continuation; with the seed it decides the draw.
        length: maximum number of new elements, end-of-sequence not counted.
        condition: what the whole text depends on, one row; None: nothing.

    Raises:
        ValueError: a condition of several rows.
    """

    prompt_N: NDArray[np.int64]
    sequence: int
    length: int
    condition: Condition | None = None

    def __post_init__(self) -> None:
        if self.condition is not None and self.condition.rows != 1:
            raise ValueError(f"a job has one condition, not {self.condition.rows}")


class CompiledSteps(Protocol):
    """Filters before a draw that may have a compiled form."""

    def compiled(self) -> list[tuple[str, Any]] | None:
        """Name and value of every step, in order.

        None if a step has no compiled form.
        """


@dataclass(frozen=True)
class StretchRequest:
    """Continuations that a fast path writes many elements at a time.

    Arguments:
        jobs: what to continue; their prompts have the same number of elements.
        chain: filters before the draw.
        seed: of the draw.
        dropped: indices of jobs that the caller has ended; it may grow meanwhile.
        window: number of last elements that count; 0 for all.
        experts: counts that are mixed into every distribution; None: none.
        grammar: restricts the elements; None: no restriction.
    """

    jobs: Sequence[Job]
    chain: CompiledSteps
    seed: int
    dropped: set[int]
    window: int = 0
    experts: Experts | None = None
    grammar: GrammarTable | None = None


@dataclass(frozen=True)
class Stretch:
    """Elements that were chosen for one job, one after the other.

    Arguments:
        job: index into the jobs.
        elements: ids; the last one is end-of-sequence where the text ended by itself.
        last: why the job ended, "stop" or "length"; None while it goes on.
    """

    job: int
    elements: Sequence[int]
    last: str | None


class Predictor(ABC):
    """A distribution over the next element, given those before it.

    A state has `select(rows)` and `fork()`. `advance` may write into the state that it is given:
    fork it first to keep it. The result of a row never depends on other rows.
    """

    vocab_size: int
    """V, the number of identifiers; 0 where elements are values drawn from a density."""
    element_size: int = 1
    """K, the numbers of an element, which filters see one by one."""
    batch_rows: int = 8192
    """Maximum rows of one call of `advance`."""
    window: int = 0
    """Number of last elements that count; 0 for all."""

    @abstractmethod
    def start(self, rows: int, condition: Any = None) -> Any:
        """State of rows that have read nothing.

        Arguments:
            rows: B.
            condition: what a whole sequence depends on.

        Raises:
            SettingsError: this predictor cannot use a condition.
        """

    @abstractmethod
    def advance(
        self,
        elements: Elements,
        state: Any,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[Distribution, Any]:
        """Read elements and predict the next one.

        Returns the distribution of the next element, and the state after the elements.

        Arguments:
            elements: ids (B, T), T at least 1; or values (B, T, K), T may be 0.
            state: before them; it may be written into.
            known_BUX: covariates of the times of the elements and of the time after them, U = T +
                1, for values.
            features: True if the distribution shall hold the network's features, if there is a
                network.
        """

    @abstractmethod
    def score(self, batch: Batch, state: Any | None = None) -> tuple[Singles, Any]:
        """Log-probability (nats) of every target of a batch, (B, T).

        The state after the batch is returned, too. Targets of weight 0 may get 0. A model of a
        `window:N` context reads every batch from the zero state: its state is None.
        """

    def join(self, states: Sequence[Any]) -> Any:
        """The rows of several states, in order."""
        return type(states[0]).join(states)

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """State of some rows, in that order.

        A row may occur twice.
        """
        return state.select(rows_R)

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        """Score a batch and describe each distribution over ids; see `score`."""
        parts, after = self.distributions(batch, state)
        return Examined.of(parts, batch), after

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[Singles], Any]:
        """Log-probabilities (nats) of all elements after every input.

        They come in parts (B, some T, V), from the first position to the last. The state after the
        batch is returned, too.

        Raises:
            SettingsError: the model has no vocabulary.
        """
        raise SettingsError("this model predicts numbers, not elements of a vocabulary")

    def distributions_where(
        self, batch: Batch, wanted_BT: NDArray[np.bool_], state: Any | None = None
    ) -> tuple[Singles, Any]:
        """Log-probabilities (nats) of all elements after chosen inputs, (P, V).

        Batch row by batch row, as `np.flatnonzero(wanted_BT)` orders them. The state after the
        batch is returned, too.

        Arguments:
            batch: as for `distributions`.
            wanted_BT: True at the P inputs.
            state: before the batch.

        Raises:
            SettingsError: the model has no distributions over a vocabulary.
        """
        log_prob_PV = np.empty((np.count_nonzero(wanted_BT), self.vocab_size), dtype=np.float32)
        number_BT = np.cumsum(wanted_BT).reshape(wanted_BT.shape) - 1
        parts, after = self.distributions(batch, state)
        done = 0
        for part_BTV in parts:
            place = slice(done, done + part_BTV.shape[1])
            done = place.stop
            wanted_part_BT = wanted_BT[:, place]
            log_prob_PV[number_BT[:, place][wanted_part_BT]] = part_BTV[wanted_part_BT]
        return log_prob_PV, after

    def read(
        self, histories: Sequence[NDArray[np.int64]], state: Any
    ) -> tuple[LogitsDistribution, Any]:
        """Read one history of ids per row; see `advance`.

        Each may have any length from 1 up.
        """
        lengths = np.array([len(history_T) for history_T in histories])
        logits, allowed, states, order = [], [], [], []
        for length in dict.fromkeys(lengths):
            rows_R = np.flatnonzero(lengths == length)
            elements_RT = np.stack([histories[int(row)] for row in rows_R])
            following, after = self.advance(elements_RT, self.select(state, rows_R))
            own_BV = following.allowed_BV
            logits.append(following.logits_BV)
            allowed.append(np.isfinite(following.logits_BV) if own_BV is None else own_BV)
            states.append(after)
            order.append(rows_R)
        back = np.argsort(np.concatenate(order))
        allowed_BV = np.concatenate(allowed)[back]
        mask_BV = None if allowed_BV.all() else allowed_BV
        joined = LogitsDistribution(np.concatenate(logits)[back], allowed_BV=mask_BV)
        return joined, self.select(self.join(states), back)

    def restricted(self, grammar: Grammar) -> Predictor:
        """The same predictor, normalised over the elements that a grammar allows."""
        from rhapsode.bundle.combined.grammatical import Grammatical

        return Grammatical(self, grammar)

    @property
    def mixed(self) -> MixedPredictor | None:
        """This predictor if it mixes a network with counts; None otherwise."""
        return None

    def masked(self, batch: Batch, state: Any | None = None) -> Batch:
        """The batch with its mask, if this predictor has a grammar.

        Arguments:
            batch: a batch that has a mask stays as it is.
            state: before the batch; it is not changed.
        """
        return batch

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Write continuations many elements at a time.

        The result equals that of the loop. None if this is not possible.
        """
        return None

    def row_parts(self, state: Any) -> RowParts:
        """The parts of a state of one row that a table needs."""
        return RowParts((state,))

    def table(self, request: TableRequest) -> WritingTable | None:
        """A table of continuations of many requests.

        They are written side by side. The elements equal those of the loop. None if this is not
        possible.
        """
        return None

    def workers(self, calls: int) -> AbstractContextManager[Executor | None]:
        """Threads for parallel calls of `advance` with different rows.

        None if they would not be faster.

        Arguments:
            calls: number of calls.
        """
        return nullcontext()


def refuse_condition(condition: Any) -> None:
    """Refuse a condition.

    Raises:
        SettingsError: there is one.
    """
    if condition is not None:
        raise SettingsError("this model cannot use a condition")


@dataclass(frozen=True)
class States:
    """States of several models for the same rows.

    Arguments:
        parts: one state each.
    """

    parts: tuple[Any, ...]

    def select(self, rows_R: NDArray[np.int64]) -> States:
        return States(tuple(part.select(rows_R) for part in self.parts))

    def fork(self) -> States:
        return States(tuple(part.fork() for part in self.parts))

    @classmethod
    def joined(cls, models: Sequence[Any], states: Sequence[States]) -> States:
        """The rows of several states, in order.

        Each part is joined by its model.
        """
        columns = zip(*(state.parts for state in states), strict=True)
        return cls(tuple(model.join(own) for model, own in zip(models, columns, strict=True)))

    @classmethod
    def after(cls, *parts: Any) -> States | None:
        """States after a batch; None for windowed models."""
        return None if parts[0] is None else cls(parts)
