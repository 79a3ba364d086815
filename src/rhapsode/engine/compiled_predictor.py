"""The predictor with a compiled network.

It needs no torch. The compiled calls hold no lock; helper threads share large products.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from rhapsode.bundle.combined.averaged_predictor import as_one
from rhapsode.encoding import END_ID, FiniteGrammar
from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_chain import CompiledChain, compile_chain
from rhapsode.engine.compiled_steps import (
    LENGTH,
    STOP,
    TOGETHER,
    entries_for,
    helper_for,
    score_rows,
    spread_features,
)
from rhapsode.engine.kernels.tiles import padded
from rhapsode.engine.packed_weights import Laid, lay_out
from rhapsode.engine.threads import Helped, abreast, cores, may_help, parts_of
from rhapsode.generation.loop import distinct_prompts
from rhapsode.log import log

if TYPE_CHECKING:
    from rhapsode.data import Batch

# Most elements of a row that are written before Python hears of them.
ELEMENTS = 64
# And about the longest time.
SECONDS = 0.02
# Numbers of the distributions that are given at once.
_SPREAD_AT_ONCE = 1 << 21
_NO_COUNTS = (
    *(np.zeros(0, dtype=kind) for kind in ("i4", "i4", "i4", "f4", "i2", "i4", "i8", "i4", "i4")),
    *(np.zeros(0, dtype=kind) for kind in ("f4", "i2", "i8", "f4")),
    0,
)


@dataclass(frozen=True)
class CompiledState:
    """The state of some rows; a value, never changed in place.

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
        # A guess at how long a step takes, to begin with: an eighth of a nanosecond a byte.
        self._step_seconds = network.matrices.nbytes * 1.25e-10

    def start(self, rows: int, condition: Any = None) -> CompiledState:
        refuse_condition(condition)
        values_BS = np.zeros((rows, self._network[at.STATE]), dtype=np.float32)
        return CompiledState(values_BS, np.zeros(rows, dtype=np.int64))

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
        for job in request.jobs:
            refuse_condition(job.condition)
        chain = compile_chain(request.chain, self.vocab_size)
        lengths = {len(job.prompt_N) for job in request.jobs if job.length > 0}
        if chain is None or len(lengths) > 1:
            return None
        if request.grammar is not None and chain.blocks(request.grammar):
            return None
        return self._stretches(request, chain)

    def _stretches(self, request: StretchRequest, chain: CompiledChain) -> Iterator[Stretch]:
        live = [index for index, job in enumerate(request.jobs) if job.length > 0]
        if not live:
            return
        spans = parts_of(len(live), self._threads)
        parts = [
            self._rounds(request, chain, [live[row] for row in span], alone=len(spans) == 1)
            for span in spans
        ]
        for stretches in abreast(parts, lambda found: sum(len(one.elements) for one in found)):
            yield from (one for one in stretches if one.job not in request.dropped)

    def _rounds(
        self, request: StretchRequest, chain: CompiledChain, live: list[int], *, alone: bool
    ) -> Iterator[list[Stretch]]:
        """Stretches of rows that continue together, call by call.

        Rows that are `alone` on the machine may have help from other threads.
        """
        helped = Helped(self._network, self._threads if alone else 1)
        rows = _CompiledRows(self, request, chain, live, helped.spec)
        position = 0
        while live:
            per_step = max(self._step_seconds * len(live), 1e-9)
            steps = max(1, min(ELEMENTS, int(SECONDS / per_step)))
            began = time.perf_counter()
            out_BT, end_B = helped.run(
                partial(rows.write, position, steps), lambda written: written[0].size
            )
            done = out_BT.shape[1]
            if position:  # the first elements come from logits that are there
                self._step_seconds = (time.perf_counter() - began) / (done * len(live))
            position += done
            lasts = [{STOP: "stop", LENGTH: "length"}.get(int(end)) for end in end_B]
            yield [
                Stretch(index, out_BT[row].tolist(), lasts[row]) for row, index in enumerate(live)
            ]
            going = [
                row
                for row, (index, last) in enumerate(zip(live, lasts, strict=True))
                if last is None and index not in request.dropped
            ]
            if len(going) < len(live):
                live = [live[row] for row in going]
                rows.select(np.array(going, dtype=np.int64))


class _CompiledRows:
    """The rows of a request, in the arrays of the compiled loop.

    Arguments:
        predictor: the network.
        request: what to write.
        chain: its filters.
        live: indices of the jobs.
        spec: description of the network.
    """

    def __init__(
        self,
        predictor: CompiledPredictor,
        request: StretchRequest,
        chain: CompiledChain,
        live: Sequence[int],
        spec: NDArray[np.int64],
    ) -> None:
        jobs = [request.jobs[index] for index in live]
        _, prompts, rows_R = distinct_prompts(jobs)
        elements_BT = np.stack(prompts)
        rows, vocab, window = len(jobs), predictor.vocab_size, request.window
        seen_BT = elements_BT[:, -window:]
        logits_BV, state = predictor._read(seen_BT, predictor.start(len(prompts)))
        state = state.select(rows_R)
        z_RV = np.zeros((rows, predictor._row), dtype=np.float32)
        z_RV[:, :vocab] = logits_BV[rows_R]
        seen_RN = np.zeros((rows, window), dtype=np.int64)
        seen_RN[:, : seen_BT.shape[1]] = seen_BT[rows_R, :window]
        read_RV = np.zeros((rows, vocab if chain.reads else 0), dtype=np.int32)
        if chain.reads:
            for row, job in enumerate(jobs):
                counted_N = chain.tail(job.prompt_N)
                read_RV[row] = np.bincount(counted_N[counted_N >= 0], minlength=vocab)
        experts = request.experts
        self._tables = _NO_COUNTS if experts is None else experts.compiled
        counted = _uncounted(rows) if experts is None else experts.read(elements_BT, rows_R)
        self._grammar: tuple[Any, Any] = (None, None)
        place_R = None
        if request.grammar is not None:
            predictor._entries.within_grammar()
            self._grammar = (request.grammar.next_SV, request.grammar.allowed_SV)
            grammar = FiniteGrammar(request.grammar)
            place_R = grammar.advance(elements_BT, grammar.init(len(prompts))).state_B[rows_R]
        # In the order in which `write_rows` takes them.
        self._of_rows: dict[str, Any] = {
            "values": np.ascontiguousarray(state.values_BS),
            "count": state.count_B,
            "z": z_RV,
            "last": np.zeros((rows, 1), dtype=np.int64),
            "seen": seen_RN,
            "read": read_RV,
            "written": np.zeros((rows, vocab if chain.counts else 0), dtype=np.int32),
            "recent": np.array([chain.tail(job.prompt_N)[: chain.span] for job in jobs]),
            "sequence": np.array([job.sequence for job in jobs], dtype=np.int64),
            "length": np.array([job.length for job in jobs], dtype=np.int64),
            **{f"counted_{number}": array for number, array in enumerate(counted)},
            "place": place_R,
        }
        self._network = (*predictor._asked[:2], spec)
        self._write = predictor._entries.write
        self._chain, self._window, self._seed = chain, window, np.uint64(request.seed)
        self._spared_V = np.zeros(vocab if chain.counts else 0, dtype=np.bool_)
        self._spared_V[list(chain.spared)] = True
        self._fresh = True

    def write(self, position: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Some elements of each row, (R, T), and why rows ended.

        The reason is 0 for rows that have not ended.
        """
        rows = len(self._of_rows["count"])
        out_TR = np.empty((steps, rows), dtype=np.int64)
        end_R = np.zeros(rows, dtype=np.int64)
        done = self._write(
            *self._network,
            *self._of_rows.values(),
            self._fresh,
            self._window,
            self._chain.steps_S,
            self._chain.values_S,
            self._chain.banned_N,
            self._chain.least,
            self._spared_V,
            self._seed,
            position,
            END_ID,
            *self._tables,
            *self._grammar,
            out_TR,
            end_R,
        )
        self._fresh = False
        return out_TR[:done].T, end_R

    def select(self, rows_R: NDArray[np.int64]) -> None:
        """Go on with some rows."""
        self._of_rows = {
            name: None if array is None else array[rows_R] for name, array in self._of_rows.items()
        }


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
    networks = [lay_out(bundle, weights, member) for member in range(len(bundle.members))]
    network = networks[0]
    threads = cores() if threads is None else threads
    began = time.perf_counter()
    compiled = entries_for(network[at.FAMILY], weights).compiled
    if may_help(network, threads):
        compiled += helper_for(weights)
    seconds = time.perf_counter() - began
    if compiled and seconds > 1.0:  # not what is there by now
        log.info(f"compiled the generator ({seconds:.0f} s, once per machine)")
    predictors = [CompiledPredictor(each, threads) for each in networks]
    return as_one(predictors, bundle.weights, bundle.context)


def _uncounted(rows: int) -> tuple[NDArray[Any], ...]:
    """State and weights of rows without counts."""
    chains = np.zeros((rows, 1, 1), dtype=np.int32)
    words = np.zeros((rows, 2), dtype=np.int64)
    memory, node = np.zeros((rows, 0), dtype=np.int32), np.zeros(rows, dtype=np.int32)
    kept = np.zeros(rows, dtype=np.int64)
    return node, words, memory, chains, chains, kept, np.zeros((rows, 0))


def _segments(reset_BT: NDArray[np.bool_] | None, length: int) -> Iterator[tuple[int, int]]:
    """Stretches of a batch without restarts of rows inside them."""
    starts = [0]
    if reset_BT is not None:
        starts += [int(t) + 1 for t in np.flatnonzero(reset_BT[:, 1:].any(axis=0))]
    return zip(starts, [*starts[1:], length], strict=True)
