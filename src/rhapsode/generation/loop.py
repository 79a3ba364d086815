"""The generation loop: rows of a request, continued element by element."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Distribution, Elements, Job, Predictor
from rhapsode.data.batch import Condition
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.draw import uniforms
from rhapsode.generation.filters.contract import Context
from rhapsode.generation.trace import Trace, trace_of

Ids = NDArray[np.int64]
Singles = NDArray[np.float32]
_BUFFER = 64
_UNIFORMS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class DrawKey:
    """Keys of the draws of R rows.

    With position and lane they decide every uniform.

    Arguments:
        seed: of all rows, or of each (R,), uint64.
        sequence_R: index of each continuation, below 2**32.
    """

    seed: int | NDArray[np.uint64]
    sequence_R: Ids

    def select(self, rows_R: Ids) -> DrawKey:
        """The keys of some rows."""
        seed = self.seed if isinstance(self.seed, int) else self.seed[rows_R]
        return DrawKey(seed, self.sequence_R[rows_R])

    @classmethod
    def join(cls, keys: Sequence[DrawKey]) -> DrawKey:
        """The keys of several rows; whole numbers as seeds must be equal."""
        sequence_R = np.concatenate([key.sequence_R for key in keys])
        arrays = [key.seed for key in keys if not isinstance(key.seed, int)]
        return cls(np.concatenate(arrays) if arrays else keys[0].seed, sequence_R)


@dataclass
class Step:
    """Elements by which rows go on.

    Arguments:
        elements: one for each row that goes on: ids (R,), or values (R, K).
        ids_RK: their identifiers, where filters may look at them.
        rows_R: which rows go on; a row may occur twice. None: all, in order.
        filtered_RKV: logits after the filters, of all rows; None for a density without filters.
        removed: candidates that each filter removed from each row, where they were counted.
    """

    elements: Elements
    ids_RK: Ids | None
    rows_R: Ids | None = None
    filtered_RKV: Singles | None = None
    removed: list[Ids] | None = None

    def keep(self, places: Sequence[int] | Ids) -> None:
        """Let only some of the rows go on."""
        places_R = np.array(places, dtype=np.int64)
        self.rows_R = places_R if self.rows_R is None else self.rows_R[places_R]
        self.elements = self.elements[places_R]
        self.ids_RK = None if self.ids_RK is None else self.ids_RK[places_R]


class Rows:
    """Rows of a request at the same position: elements and states.

    Only this class advances a predictor. A written element is read when the next distribution is
    needed.

    Arguments:
        predictor: the model.
        state: after the elements that the rows have read; it is used up.
        chain: filters between logits and the choice.
        key: of the draws.
        unread: elements that follow, ids (R, T) or values (R, T, K); None where `following` comes
            after all of them.
        following: the distribution after the elements read.
        prompts: ids before the output of each row, for filters.
        filter_key: of the draws of filters, with a single seed; None: the same as `key`.
        known_RHX: covariates of the times of the unread elements and of the following steps, for
            values.
        features: True if distributions contain the network's features.
        steps: number of steps, if known: their uniforms are made at once.
        written_RT: ids that the rows had written before, in a request that goes on after a pause.
    """

    def __init__(
        self,
        predictor: Predictor,
        state: Any,
        chain: Chain,
        key: DrawKey,
        *,
        unread: Elements | None = None,
        following: Distribution | None = None,
        prompts: tuple[Ids, ...] | None = None,
        filter_key: DrawKey | None = None,
        known_RHX: Singles | None = None,
        features: bool = False,
        steps: int | None = None,
        written_RT: Ids | None = None,
    ) -> None:
        rows = len(key.sequence_R)
        self.predictor, self.chain = predictor, chain
        self.state, self.position = state, 0 if written_RT is None else written_RT.shape[1]
        self._unread, self._following, self._features = unread, following, features
        self._first = 0 if unread is None else unread.shape[1]
        self._key, self._filter_key = key, filter_key or key
        self._prompts = prompts or (np.zeros(0, dtype=np.int64),) * rows
        self._known_RHX = known_RHX
        lanes = predictor.element_size
        self._states = [chain.init(rows) for _ in range(lanes)]
        self._written_KRT = np.empty((lanes, rows, 0), dtype=np.int64)
        if written_RT is not None:
            self._written_KRT = np.array(written_RT[None], dtype=np.int64)
        self._uniforms_RTK = np.empty((rows, 0, lanes))
        self._uniforms_end, self._steps = 0, steps

    @classmethod
    def of_jobs(
        cls,
        predictor: Predictor,
        jobs: Sequence[Job],
        chain: Chain,
        seed: int,
        *,
        features: bool = False,
    ) -> Rows:
        """Rows after the prompts of jobs.

        Every prompt begins with the end-of-sequence that starts each text.

        Equal prompts under equal conditions are read once.

        Raises:
            SettingsError: jobs have a condition and the predictor cannot use it.
            DataError: their conditions differ in kind or size.
            ValueError: only some of them have one.
        """
        distinct, prompts, rows_R = distinct_prompts(jobs)
        conditions = [job.condition for job in distinct if job.condition is not None]
        if len(conditions) not in {0, len(distinct)}:
            raise ValueError("jobs with and without a condition cannot share a batch")
        condition = Condition.join(conditions) if conditions else None
        start = predictor.start(len(distinct), condition)
        following, state = (
            predictor.advance(np.stack(prompts), start, features=features)
            if len({len(prompt) for prompt in prompts}) == 1
            else predictor.read(prompts, start)
        )
        return cls(
            predictor,
            predictor.select(state, rows_R),
            chain,
            DrawKey(seed, np.array([job.sequence for job in jobs], dtype=np.int64)),
            following=following.select(rows_R),
            prompts=tuple(job.prompt_N for job in jobs),
            features=features,
        )

    def __len__(self) -> int:
        """R, the number of rows."""
        return len(self._prompts)

    @property
    def unread(self) -> Elements | None:
        """Elements that the next distribution waits for; None if it is there."""
        return self._unread if self._following is None else None

    def follow(self, following: Distribution) -> None:
        """Take the distribution after the unread elements, which count as read.

        The caller has advanced the state; see `SharedRows`.
        """
        self._following, self._unread = following, None

    @property
    def output_RT(self) -> Ids:
        """Ids that rows have written, of the first lane."""
        return self._written_KRT[0, :, : self.position]

    def following(self) -> Distribution:
        """The distribution of the next element of every row."""
        if self._following is None:
            assert self._unread is not None
            known = self._known_RHX
            if known is not None:
                time = self._unread.shape[1]
                here = self._first + self.position
                known = known[:, here - time : here + 1]
            self._following, self.state = self.predictor.advance(
                self._unread, self.state, known, features=self._features
            )
            self._unread = None
        return self._following

    def context(self, lane: int = 0) -> Context:
        """The context of the filters before the next choice."""
        lanes, rows = len(self._states), len(self)
        written_RT = self._written_KRT[lane, :, : self.position]
        written_RT.flags.writeable = False
        key = self._filter_key
        assert isinstance(key.seed, int)
        position_R = np.full(rows, self.position * lanes + lane, dtype=np.int64)
        return Context(self._prompts, tuple(written_RT), position_R, key.sequence_R, key.seed)

    def filter(self, removed: list[Ids] | None = None) -> Singles:
        """Logits (R, K, V) after the filters.

        Arguments:
            removed: takes how many candidates each filter removed from each row, of the first lane.

        Raises:
            SettingsError: a density, on which no filter can act.
        """
        following = self.following()
        logits_RKV = following.logits_BKV
        if logits_RKV is None:
            logits_RKV = following.logits_BV[:, None]  # which says why there are none
        filtered = [
            self.apply(np.ascontiguousarray(logits_RKV[:, lane]), lane, None if lane else removed)
            for lane in range(len(self._states))
        ]
        return filtered[0][:, None] if len(filtered) == 1 else np.stack(filtered, axis=1)

    def apply(self, logits_RV: Singles, lane: int = 0, removed: list[Ids] | None = None) -> Singles:
        """Logits after the filters."""
        filtered_RV, self._states[lane] = self.chain.apply(
            logits_RV, self.context(lane), self._states[lane], removed
        )
        return filtered_RV

    def apply_step(self, number: int, logits_RV: Singles) -> Singles:
        """Logits after one of the filters."""
        states = list(self._states[0])
        filtered_RV, states[number] = self.chain.filters[number].apply(
            logits_RV, self.context(), states[number]
        )
        self._states[0] = tuple(states)
        return filtered_RV

    def draw(self, temperature: float = 1.0, *, count: bool = False) -> Step:
        """Draw an element for every row, after the filters.

        Arguments:
            temperature: of a density; where elements are identifiers the chain holds it, and here 0
                only says that a bin stands for its centre.
            count: whether to count what filters remove.
        """
        removed: list[Ids] | None = [] if count else None
        filtered_RKV = self.filter(removed) if self.chain.filters or count else None
        own = filtered_RKV if self.chain.filters else None
        drawn = self.following().sample(self._uniforms(), temperature, own)
        return Step(drawn.elements, drawn.ids_BK, None, filtered_RKV, removed)

    def _uniforms(self) -> NDArray[np.float64]:
        """Uniforms (R, K) of the next draw, made many steps at once."""
        if self.position >= self._uniforms_end:
            key, rows, lanes = self._key, len(self), len(self._states)
            made = self._uniforms_RTK.shape[1]
            wished = min(2 * made, 32) if self._steps is None else self._steps - self.position
            time = max(1, min(wished, _UNIFORMS_AT_ONCE // (rows * lanes)))
            positions = np.tile(np.arange(self.position, self.position + time), rows)
            sequences = np.repeat(key.sequence_R, time)
            seeds = key.seed if isinstance(key.seed, int) else np.repeat(key.seed, time)
            columns = [uniforms(seeds, sequences, positions, lane) for lane in range(lanes)]
            self._uniforms_RTK = np.stack(columns, axis=1).reshape(rows, time, lanes)
            self._uniforms_end = self.position + time
        uniforms_RK: NDArray[np.float64] = self._uniforms_RTK[:, self.position - self._uniforms_end]
        return uniforms_RK

    def trace(self, element: int, top: int) -> Trace:
        """Trace the choice of an id by the only row, without drawing.

        Arguments:
            element: the id to explain.
            top: how many of the likeliest ids to list.
        """
        following, removed = self.following(), list[Ids]()
        logits_1V = following.logits_BV
        states = self.chain.fork(self._states[0])
        after_1V, _ = self.chain.apply(logits_1V, self.context(), states, removed)
        return trace_of(
            self.chain,
            logits_1V,
            after_1V,
            removed,
            element=element,
            top=top,
            parts=following.contributions(0),
        )

    def select(self, rows_R: Ids) -> None:
        """Go on with some rows; a row may occur twice."""
        self.state = self.predictor.select(self.state, rows_R)
        self._states = [self.chain.select(states, rows_R) for states in self._states]
        if self._following is not None:
            self._following = self._following.select(rows_R)
        if self._unread is not None:
            self._unread = self._unread[rows_R]
        if self._known_RHX is not None:
            self._known_RHX = self._known_RHX[rows_R]
        self._key, self._filter_key = self._key.select(rows_R), self._filter_key.select(rows_R)
        self._prompts = tuple(self._prompts[row] for row in rows_R)
        self._uniforms_RTK = self._uniforms_RTK[rows_R]
        self._written_KRT = self._written_KRT[:, rows_R]

    def write(self, step: Step) -> None:
        """Go on with the rows of a step, each by its element."""
        self._following = None
        if step.rows_R is not None:
            self.select(step.rows_R)
        if step.ids_RK is not None:
            lanes, rows, room = self._written_KRT.shape
            if self.position == room:
                more = np.empty((lanes, rows, max(_BUFFER, room)), dtype=np.int64)
                self._written_KRT = np.concatenate((self._written_KRT, more), axis=2)
            self._written_KRT[:, :, self.position] = step.ids_RK.T
        self._unread = step.elements[:, None]
        self.position += 1


def distinct_prompts(jobs: Sequence[Job]) -> tuple[list[Job], list[Ids], Ids]:
    """Distinct jobs by prompt and condition, their prompts, and each job's place.

    Prompts begin with end-of-sequence, which every text starts after.
    """
    texts = [(job.prompt_N.tobytes(), _name(job.condition)) for job in jobs]
    distinct = dict(zip(texts, jobs, strict=True))
    order = {text: place for place, text in enumerate(distinct)}
    prompts = [np.append(END_ID, job.prompt_N).astype(np.int64) for job in distinct.values()]
    rows_R = np.array([order[text] for text in texts], dtype=np.int64)
    return list(distinct.values()), prompts, rows_R


def _name(condition: Condition | None) -> Hashable:
    """A name of a condition, the same for equal ones."""
    if condition is None:
        return None
    arrays = (getattr(condition, field.name) for field in fields(condition))
    return tuple(None if each is None else (each.shape, each.tobytes()) for each in arrays)


def forced(rows: Rows, elements: Elements) -> Step:
    """The step that continues every row with a given element.

    The elements before it are read first.

    Arguments:
        rows: what goes on.
        elements: ids (R,), or values (R, K).
    """
    given = rows.following().given(elements)
    return Step(given.elements, given.ids_BK)


def run(rows: Rows, choose: Callable[[Rows], Step | None]) -> Iterator[Step]:
    """Continue rows element by element until none is left.

    Arguments:
        rows: the rows to continue.
        choose: gives the next step; None ends.

    Yields:
        Every step before it is taken; rows that the caller drops from it end.
    """
    while len(rows):
        step = choose(rows)
        if step is None:
            return
        yield step
        if step.rows_R is not None and not len(step.rows_R):
            return
        rows.write(step)
