"""Writing with compiled networks: many elements of every row in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Stretch, StretchRequest, refuse_condition
from rhapsode.encoding import END_ID, FiniteGrammar
from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_chain import CompiledChain, compile_chain
from rhapsode.engine.compiled_steps import LENGTH, STOP, entries_for
from rhapsode.engine.kernels.tiles import padded
from rhapsode.engine.packed_weights import Laid
from rhapsode.engine.threads import Helped, abreast, parts_of
from rhapsode.generation.loop import distinct_prompts

# Most elements of a row that are written before Python hears of them.
ELEMENTS = 64
# And about the longest time.
SECONDS = 0.02
NO_COUNTS = (
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


ReadPrompts = Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], tuple[CompiledState, ...]]]
"""Logits after prompts (B, T), and the state of every member there."""


class CompiledWriter:
    """The networks of a model, as they write.

    Arguments:
        networks: in the same vectors; their probabilities are averaged.
        weights: of each, one in total.
        threads: cores that one text, or one batch, may use where that pays.
        read: reads prompts.
    """

    def __init__(
        self, networks: Sequence[Laid], weights: Sequence[float], threads: int, read: ReadPrompts
    ) -> None:
        self.networks, self.read, self.threads = networks, read, threads
        network = networks[0]
        self.vocab_size = network[at.VOCAB]
        self.entries = entries_for(network[at.FAMILY], network.kind)
        self.weight_M = np.array(weights, dtype=np.float64)
        # A guess at how long a step takes, to begin with: an eighth of a nanosecond a byte.
        self._step_seconds = network.matrices.nbytes * 1.25e-10

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Write all jobs side by side; see `CompiledPredictor.stretches`."""
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
        spans = parts_of(len(live), self.threads)
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
        helped = Helped(self.networks, self.threads if alone else 1)
        rows = _CompiledRows(self, request, chain, live, helped.specs_MS)
        first = True
        while live:
            per_step = max(self._step_seconds * len(live), 1e-9)
            steps = max(1, min(ELEMENTS, int(SECONDS / per_step)))
            began = time.perf_counter()
            out_BT, end_B = helped.run(partial(rows.write, steps), lambda written: written[0].size)
            done = out_BT.shape[1]
            if not first:  # the first elements come from logits that are there
                self._step_seconds = (time.perf_counter() - began) / (done * len(live))
            first = False
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
        writer: the networks.
        request: what to write.
        chain: its filters.
        live: indices of the jobs.
        specs_MS: descriptions of the networks.
    """

    def __init__(
        self,
        writer: CompiledWriter,
        request: StretchRequest,
        chain: CompiledChain,
        live: Sequence[int],
        specs_MS: NDArray[np.int64],
    ) -> None:
        jobs = [request.jobs[index] for index in live]
        _, prompts, rows_R = distinct_prompts(jobs)
        elements_BT = np.stack(prompts)
        rows, vocab, window = len(jobs), writer.vocab_size, request.window
        seen_BT = elements_BT[:, -window:]
        logits_BV, states = writer.read(seen_BT)
        states = tuple(state.select(rows_R) for state in states)
        z_RV = np.zeros((rows, padded(vocab)), dtype=np.float32)
        z_RV[:, :vocab] = logits_BV[rows_R]
        seen_RN = np.zeros((rows, window), dtype=np.int64)
        seen_RN[:, : seen_BT.shape[1]] = seen_BT[rows_R, :window]
        read_RV = np.zeros((rows, vocab if chain.reads else 0), dtype=np.int32)
        if chain.reads:
            for row, job in enumerate(jobs):
                counted_N = chain.tail(job.prompt_N)
                read_RV[row] = np.bincount(counted_N[counted_N >= 0], minlength=vocab)
        experts = request.experts
        self._tables = NO_COUNTS if experts is None else experts.compiled
        counted = uncounted(rows) if experts is None else experts.read(elements_BT, rows_R)
        self._grammar: tuple[Any, Any] = (None, None)
        place_R = None
        if request.grammar is not None:
            writer.entries.within_grammar()
            self._grammar = (request.grammar.next_SV, request.grammar.allowed_SV)
            grammar = FiniteGrammar(request.grammar)
            place_R = grammar.advance(elements_BT, grammar.init(len(prompts))).state_BK[rows_R]
        # In the order in which `write_rows` takes them.
        self._of_rows: dict[str, Any] = {
            "count": states[0].count_B,
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
        # The same of all rows here, but not of all that share the compiled loop.
        self._of_requests: dict[str, NDArray[Any]] = {
            "steps": np.tile(chain.steps_S, (rows, 1)),
            "values": np.tile(chain.values_S, (rows, 1)),
            "least": np.full(rows, chain.least, dtype=np.int64),
            "seed": np.full(rows, request.seed, dtype=np.uint64),
            "position": np.zeros(rows, dtype=np.int64),
        }
        self._values_MRS = np.stack([state.values_BS for state in states])
        network = writer.networks[0]
        self._network = (network.weights, network.matrices, specs_MS, writer.weight_M)
        self._write = writer.entries.write
        self._banned_N, self._window = chain.banned_N, window
        self._spared_V = np.zeros(vocab if chain.counts else 0, dtype=np.bool_)
        self._spared_V[list(chain.spared)] = True
        self._fresh = True

    def write(self, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Some elements of each row, (R, T), and why rows ended.

        The reason is 0 for rows that have not ended.
        """
        rows = len(self._of_rows["count"])
        out_TR = np.empty((steps, rows), dtype=np.int64)
        end_R = np.zeros(rows, dtype=np.int64)
        done = self._write(
            *self._network,
            self._values_MRS,
            *self._of_rows.values(),
            self._fresh,
            self._window,
            *self._of_requests.values(),
            self._banned_N,
            self._spared_V,
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
        self._values_MRS = np.take(self._values_MRS, rows_R, axis=1)
        self._of_rows = {
            name: None if array is None else array[rows_R] for name, array in self._of_rows.items()
        }
        self._of_requests = {name: array[rows_R] for name, array in self._of_requests.items()}


def uncounted(rows: int) -> tuple[NDArray[Any], ...]:
    """State and weights of rows without counts."""
    chains = np.zeros((rows, 1, 1), dtype=np.int32)
    words = np.zeros((rows, 2), dtype=np.int64)
    memory, node = np.zeros((rows, 0), dtype=np.int32), np.zeros(rows, dtype=np.int32)
    kept = np.zeros(rows, dtype=np.int64)
    return node, words, memory, chains, chains, kept, np.zeros((rows, 0))
