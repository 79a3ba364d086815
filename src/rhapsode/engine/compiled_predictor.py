"""The predictor whose network is compiled code: no torch, one core, no lock held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Bundle, Examined, Predictor
from rhapsode.counts.ngram import NGramModel
from rhapsode.encoding import END_ID
from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_chain import Plan, plan_of
from rhapsode.engine.compiled_steps import (
    LENGTH,
    STOP,
    TOGETHER,
    entries_for,
    helper_for,
    score_rows,
    spread_features,
)
from rhapsode.engine.contract import Stretch
from rhapsode.engine.kernels.tiles import padded
from rhapsode.engine.packed_weights import Laid, lay_out
from rhapsode.engine.threads import Helped, abreast, cores, may_help, parts_of
from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import Chosen, Job, generate_elements

if TYPE_CHECKING:
    from rhapsode.data import Batch

__all__ = [
    "CompiledPredictor",
    "CompiledState",
    "CompiledWindowPredictor",
    "Counting",
    "Remembered",
    "compiled_predictor",
    "write_through",
]

ELEMENTS = 64
"""Most elements of a row that are written before Python hears of them."""
SECONDS = 0.02
"""And about the longest time."""
_SPREAD_AT_ONCE = 1 << 21
"""Numbers of the distributions that are given at once."""
_NO_NGRAM = (0.0, *(np.zeros(1, dtype=np.int32) for _ in range(3)), np.zeros(1), np.zeros(1))


@dataclass(frozen=True)
class Counting:
    """The n-gram model that takes part in a network's writing.

    Arguments:
        ngram: the model.
        share: what of every probability it gives, above 0.
    """

    ngram: NGramModel
    share: float


@dataclass(frozen=True)
class CompiledState:
    """What rows remember; a value, never changed in place.

    Arguments:
        values_BS: hidden values, rings of keys, values or inputs, as the family needs.
        count_B: elements read, int64.
    """

    values_BS: NDArray[np.float32]
    count_B: NDArray[np.int64]

    def select(self, rows_R: NDArray[np.int64]) -> CompiledState:
        """The state of some rows."""
        return CompiledState(self.values_BS[rows_R], self.count_B[rows_R])

    def fork(self) -> CompiledState:
        """A state of its own."""
        return self


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


class CompiledPredictor:
    """A `Predictor` over arrays. A row's numbers are the same bits alone and beside others, at once and in pieces.

    Arguments:
        network: weights and what they are.
        threads: cores that one text, or one batch, may use where that pays.
    """

    def __init__(self, network: Laid, threads: int = 1) -> None:
        self._network = network
        self._threads = threads
        self._entries = entries_for(network[at.FAMILY], network.kind)
        self._asked = (network.weights, network.matrices, network.spec)
        self._row = padded(network[at.VOCAB])
        # A guess at how long a step takes, to begin with: an eighth of a nanosecond a byte.
        self._step_seconds = network.matrices.nbytes * 1.25e-10

    @property
    def vocab_size(self) -> int:
        """V."""
        return self._network[at.VOCAB]

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> Any:
        """The state of rows that have read nothing."""
        return self._zero(rows)

    def _zero(self, rows: int) -> CompiledState:
        values_BS = np.zeros((rows, self._network[at.STATE]), dtype=np.float32)
        return CompiledState(values_BS, np.zeros(rows, dtype=np.int64))

    def _read(
        self,
        elements_BT: NDArray[Any],
        state: CompiledState,
        found: list[NDArray[np.float32]] | None = None,
    ) -> tuple[NDArray[np.float32], CompiledState]:
        """Logits behind the last element and the state there; `found` takes the features (B, some T, H) in turn."""
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
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any]:
        """Read elements (B, T); logits (B, V) of what follows, and the state behind them."""
        return self._read(elements_BT, state)

    def features(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Any]:
        """Read elements (B, T); the model's features (B, T, H) behind each, logits (B, V), and the state."""
        found: list[NDArray[np.float32]] = []
        logits_BV, state = self._read(elements_BT, state, found)
        return np.concatenate(found, axis=1), logits_BV, state

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], Any]:
        """Log-probability (nats) of every target, (B, T), and the state behind the batch."""
        examined, state = self.examine(batch, state)
        return examined.log_prob_BT, state

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        """Log-probabilities of the targets, likeliest elements and entropies, all (B, T), and the state behind."""
        targets_BT = np.array(batch.targets, dtype=np.int64, order="C")
        if targets_BT.size and not 0 <= targets_BT.min() <= targets_BT.max() < self.vocab_size:
            raise ValueError(f"targets must lie from 0 to {self.vocab_size - 1}")
        y_BTH, known = self._features(batch, state)
        told_N4 = np.empty((targets_BT.size, 4))
        score_rows(*self._asked, y_BTH.reshape(-1), targets_BT.reshape(-1), told_N4)
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
        """Log-probabilities of all elements behind every input, in parts (B, some T, V), and the state behind."""
        y_BTH, known = self._features(batch, state)
        rows, length = y_BTH.shape[:2]
        most = max(1, _SPREAD_AT_ONCE // (rows * self._row))
        parts = (y_BTH[:, start : start + most] for start in range(0, length, most))
        return (self._spread(part_BTH) for part_BTH in parts), known

    def _spread(self, y_BTH: NDArray[np.float32]) -> NDArray[np.float32]:
        logits_BTV = np.empty((*y_BTH.shape[:2], self.vocab_size), dtype=np.float32)
        y = np.ascontiguousarray(y_BTH).reshape(-1)
        spread_features(*self._asked, y, logits_BTV.reshape(-1, self.vocab_size))
        wide_BTV = logits_BTV.astype(np.float64)
        wide_BTV -= wide_BTV.max(axis=-1, keepdims=True)
        wide_BTV -= np.log(np.exp(wide_BTV).sum(axis=-1, keepdims=True))
        return wide_BTV.astype(np.float32)

    def _features(
        self, batch: Batch, state: Any | None
    ) -> tuple[NDArray[np.float32], CompiledState]:
        """Features (B, T, H) behind every input of a batch, and the state behind it."""
        known = self._zero(batch.rows) if state is None else state
        elements_BT = np.asarray(batch.inputs)
        found: list[NDArray[np.float32]] = []
        for start, end in _segments(batch.reset_BT, elements_BT.shape[1]):
            if batch.reset_BT is not None:
                keep_B = ~batch.reset_BT[:, start]
                known = CompiledState(known.values_BS * keep_B[:, None], known.count_B * keep_B)
            _, known = self._read(elements_BT[:, start:end], known, found)
        return np.ascontiguousarray(np.concatenate(found, axis=1)), known

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """The state of some rows."""
        return state.select(rows_R)

    def generate(
        self, jobs: Sequence[Job], chain: Chain, *, seed: int, dropped: set[int] | None = None
    ) -> Iterator[Chosen]:
        """As `generate_elements`, in the compiled loop where the chain's steps are.

        Arguments:
            jobs: what to continue.
            chain: filters before the draw.
            seed: of the draw.
            dropped: indices of jobs that the caller has ended.
        """
        dropped = dropped if dropped is not None else set()
        stretches = self.stretches(jobs, chain, seed=seed, dropped=dropped)
        yield from write_through(self, stretches, jobs, chain, seed=seed, dropped=dropped)

    def stretches(
        self,
        jobs: Sequence[Job],
        chain: Chain,
        *,
        seed: int,
        dropped: set[int] | None = None,
        counting: Counting | None = None,
    ) -> Iterator[Stretch] | None:
        """Write all jobs side by side, a stretch of each in turn; None where a step of the chain is not compiled.

        Arguments:
            jobs: what to continue; their prompts have the same number of elements.
            chain: filters before the draw.
            seed: of the draw.
            dropped: indices of jobs that the caller has ended.
            counting: an n-gram model that the network's probabilities are mixed with.

        Raises:
            ValueError: prompts of different lengths.
        """
        plan = plan_of(chain)
        if plan is None:
            return None
        if len({len(job.prompt_N) for job in jobs if job.length > 0}) > 1:
            raise ValueError("prompts of one call must have the same number of elements")
        dropped = dropped if dropped is not None else set()
        return self._stretches(jobs, plan, seed, dropped, counting)

    def _stretches(
        self,
        jobs: Sequence[Job],
        plan: Plan,
        seed: int,
        dropped: set[int],
        counting: Counting | None,
    ) -> Iterator[Stretch]:
        live = [index for index, job in enumerate(jobs) if job.length > 0]
        if not live:
            return
        parts = [
            self._rounds(jobs, [live[row] for row in part], plan, seed, dropped, alone, counting)
            for spans in [parts_of(len(live), self._threads)]
            for alone in [len(spans) == 1]
            for part in spans
        ]
        for stretches in abreast(parts, lambda found: sum(len(one.elements) for one in found)):
            yield from (one for one in stretches if one.job not in dropped)

    def _rounds(  # noqa: PLR0917
        self,
        jobs: Sequence[Job],
        live: list[int],
        plan: Plan,
        seed: int,
        dropped: set[int],
        alone: bool,
        counting: Counting | None,
    ) -> Iterator[list[Stretch]]:
        """What rows that go on together write, call by call; `alone` on the machine, they may be helped."""
        rows = _Rows(self, [jobs[index] for index in live], plan, counting)
        helped = Helped(self._network, self._threads if alone else 1)
        rows.use(helped.spec)
        position = 0
        while live:
            per_step = max(self._step_seconds * len(live), 1e-9)
            steps = max(1, min(ELEMENTS, int(SECONDS / per_step)))
            began = time.perf_counter()
            out_BT, end_B = helped.run(
                lambda first=position, count=steps: rows.write(seed, first, count),  # type: ignore[misc]
                lambda found: found[0].size,
            )
            done = out_BT.shape[1]
            self._step_seconds = (time.perf_counter() - began) / (done * len(live))
            position += done
            going: list[int] = []
            lasts = [{STOP: "stop", LENGTH: "length"}.get(int(end)) for end in end_B]
            yield [
                Stretch(index, out_BT[row].tolist(), lasts[row]) for row, index in enumerate(live)
            ]
            for row, (index, last) in enumerate(zip(live, lasts, strict=True)):
                if last is None and index not in dropped:
                    going.append(row)
            if len(going) < len(live):
                live = [live[row] for row in going]
                rows.select(np.array(going, dtype=np.int64))

    def _open(
        self, elements_BT: NDArray[np.int64], rows_R: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], CompiledState, NDArray[np.int64]]:
        """Distinct prompts read: logits, state and, with a window, the elements in it, for rows that share them."""
        logits_BV, state = self._read(elements_BT, self._zero(len(elements_BT)))
        return logits_BV[rows_R], state.select(rows_R), np.zeros((1, 0), dtype=np.int64)

    @property
    def window(self) -> int:
        """Elements that count, 0 where all do."""
        return 0


class CompiledWindowPredictor(CompiledPredictor):
    """The same for models of a `window:N` context: every distribution is read anew off the last N elements.

    Arguments:
        network: weights and what they are.
        size: N.
        threads: as there.
    """

    def __init__(self, network: Laid, size: int, threads: int = 1) -> None:
        super().__init__(network, threads)
        self._size = size

    @property
    def window(self) -> int:
        """N."""
        return self._size

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> Remembered:
        """The memory of rows that have read nothing."""
        return Remembered(np.zeros((rows, 0), dtype=np.int64))

    def _seen(self, elements_BT: NDArray[np.int64], state: Remembered) -> NDArray[np.int64]:
        if elements_BT.shape[1] == 0:
            raise ValueError("advance needs at least one element")
        return np.concatenate((state.elements_BT, elements_BT), axis=1)[:, -self._size :]

    def advance(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any]:
        """Read elements (B, T); logits (B, V) of what follows the last N, and the memory of these."""
        seen_BT = self._seen(elements_BT, state)
        logits_BV, _ = self._read(seen_BT, self._zero(len(seen_BT)))
        return logits_BV, Remembered(seen_BT)

    def features(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Any]:
        """Read elements (B, T); features of those among the last N, as the window holds them, then as `advance`."""
        seen_BT = self._seen(elements_BT, state)
        found: list[NDArray[np.float32]] = []
        logits_BV, _ = self._read(seen_BT, self._zero(len(seen_BT)), found)
        features_BTH = np.concatenate(found, axis=1)[:, -elements_BT.shape[1] :]
        return features_BTH, logits_BV, Remembered(seen_BT)

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

    def _open(
        self, elements_BT: NDArray[np.int64], rows_R: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], CompiledState, NDArray[np.int64]]:
        seen_BT = elements_BT[:, -self._size :]
        logits_BV, state, _ = super()._open(seen_BT, rows_R)
        seen_RN = np.zeros((len(rows_R), self._size), dtype=np.int64)
        seen_RN[:, : seen_BT.shape[1]] = seen_BT[rows_R]
        return logits_BV, state, seen_RN


class _Rows:
    """The rows of a request in the arrays that the compiled loop goes on in."""

    def __init__(
        self,
        predictor: CompiledPredictor,
        jobs: Sequence[Job],
        plan: Plan,
        counting: Counting | None,
    ) -> None:
        self._asked, self._plan, self._window = predictor._asked, plan, predictor.window
        self._entries = predictor._entries
        texts = [job.prompt_N.tobytes() for job in jobs]
        first = {text: place for place, text in reversed(list(enumerate(texts)))}
        distinct = list(dict.fromkeys(texts))
        elements_BT = np.stack(
            [np.concatenate(([END_ID], jobs[first[text]].prompt_N)) for text in distinct]
        ).astype(np.int64)
        rows_R = np.array([distinct.index(text) for text in texts], dtype=np.int64)
        logits_RV, state, self._seen_RN = predictor._open(elements_BT, rows_R)
        self._ngram, self._node_R = _NO_NGRAM, np.zeros(len(jobs), dtype=np.int32)
        if counting is not None:
            ngram = counting.ngram
            self._ngram = (counting.share, *ngram.arrays)
            self._node_R = ngram.advance(elements_BT, ngram.start(len(distinct))).node_B[rows_R]
        self._values_RS = np.ascontiguousarray(state.values_BS)
        self._count_R = state.count_B
        self._z_RV = np.zeros((len(jobs), predictor._row), dtype=np.float32)
        self._z_RV[:, : predictor.vocab_size] = logits_RV
        self._last_R1 = np.zeros((len(jobs), 1), dtype=np.int64)
        self._fresh = True
        self._sequence_R = np.array([job.sequence for job in jobs], dtype=np.int64)
        self._length_R = np.array([job.length for job in jobs], dtype=np.int64)
        vocab = predictor.vocab_size
        counted = (len(jobs), vocab) if plan.counts else (1, 1)
        self._written_RV = np.zeros(counted, dtype=np.int32)
        self._read_RV = self._written_RV
        if plan.reads:
            self._read_RV = np.stack(
                [np.bincount(job.prompt_N, minlength=vocab).astype(np.int32) for job in jobs]
            )

    def use(self, spec_S: NDArray[np.int64]) -> None:
        """Go on with another description of the same network."""
        self._asked = (*self._asked[:2], spec_S)

    def write(
        self, seed: int, position: int, steps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Some elements of each row, (R, T), and why rows ended, 0 where they did not."""
        rows = len(self._count_R)
        out_TR = np.empty((steps, rows), dtype=np.int64)
        end_R = np.zeros(rows, dtype=np.int64)
        done = self._entries.write(
            *self._asked,
            self._values_RS.reshape(-1),
            self._count_R,
            self._z_RV.reshape(-1),
            self._last_R1,
            self._fresh,
            self._window,
            self._seen_RN,
            self._plan.steps_S,
            self._plan.values_S,
            self._plan.banned_N,
            self._plan.least,
            self._read_RV,
            self._written_RV,
            np.uint64(seed),
            self._sequence_R,
            position,
            self._length_R,
            END_ID,
            *self._ngram,
            self._node_R,
            out_TR,
            end_R,
        )
        self._fresh = False
        return out_TR[:done].T, end_R

    def select(self, rows_R: NDArray[np.int64]) -> None:
        """Go on with some rows."""
        self._values_RS = self._values_RS[rows_R]
        self._count_R = self._count_R[rows_R]
        self._z_RV = self._z_RV[rows_R]
        self._last_R1 = self._last_R1[rows_R]
        self._node_R = self._node_R[rows_R]
        self._sequence_R = self._sequence_R[rows_R]
        self._length_R = self._length_R[rows_R]
        if self._window:
            self._seen_RN = self._seen_RN[rows_R]
        if self._plan.counts:
            self._written_RV = self._written_RV[rows_R]
            self._read_RV = self._read_RV[rows_R]


def write_through(
    predictor: Predictor,
    stretches: Iterator[Stretch] | None,
    jobs: Sequence[Job],
    chain: Chain,
    *,
    seed: int,
    dropped: set[int],
) -> Iterator[Chosen]:
    """Elements one by one, out of stretches, or where there are none step by step; see `generate_elements`."""
    if stretches is None:
        yield from generate_elements(predictor, jobs, chain, seed=seed, dropped=dropped)
        return
    for stretch in stretches:
        end = len(stretch.elements) - 1
        for place, element in enumerate(stretch.elements):
            if stretch.job in dropped:
                break
            yield Chosen(stretch.job, element, stretch.last if place == end else None)


def compiled_predictor(
    bundle: Bundle,
    tell: Callable[[str], None] | None = None,
    *,
    weights: str = "float32",
    threads: int | None = None,
) -> CompiledPredictor:
    """The predictor that sees what the network was trained to see.

    Arguments:
        bundle: the model.
        tell: takes a line where the engine had to be compiled first.
        weights: "float32", or rounded to "bf16" or "int8", which reads fewer bytes an element.
        threads: cores that may be used where that pays; None: those that there are.

    Raises:
        BundleError: the arrays do not fit the configuration, or the engine has no form of a part.
    """
    network = lay_out(bundle, weights)
    threads = cores() if threads is None else threads
    began = time.perf_counter()
    compiled = entries_for(network[at.FAMILY], weights).compiled
    if may_help(network, threads):
        compiled += helper_for(weights).compiled
    seconds = time.perf_counter() - began
    if compiled and seconds > 1.0 and tell is not None:  # not what is there by now
        tell(f"compiled what writes in {seconds:.0f} s; it is kept for next time")
    if bundle.context.kind == "window":
        return CompiledWindowPredictor(network, bundle.context.size, threads)
    return CompiledPredictor(network, threads)


def _segments(reset_BT: NDArray[np.bool_] | None, length: int) -> Iterator[tuple[int, int]]:
    """The stretches of a batch in which no row starts afresh but at the first position."""
    starts = [0]
    if reset_BT is not None:
        starts += [int(t) + 1 for t in np.flatnonzero(reset_BT[:, 1:].any(axis=0))]
    yield from zip(starts, [*starts[1:], length], strict=True)
