"""Continuations of many requests in the arrays of the compiled loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import CompiledSteps, Stretch
from rhapsode.bundle.row_table import Entrant, RowParts, TableRequest, WritingTable
from rhapsode.encoding import END_ID
from rhapsode.engine.compiled_chain import CompiledChain, compile_chain
from rhapsode.engine.compiled_steps import LENGTH, STOP
from rhapsode.engine.compiled_writing import ELEMENTS, NO_COUNTS, CompiledWriter, uncounted
from rhapsode.engine.kernels.tiles import padded
from rhapsode.engine.sampling_steps import NONE
from rhapsode.engine.threads import Helped

# Steps of the longest chain with a compiled form.
STEPS = 8
_LASTS = {STOP: "stop", LENGTH: "length"}


@dataclass(frozen=True)
class _Kind:
    """What rows of one call have in common.

    Arguments:
        banned: elements that are never chosen.
        reads: True if occurrences in prompts count.
        counts: True if occurrences count.
        span: number of last elements in which they count.
        spared: elements whose occurrences do not.
    """

    banned: tuple[int, ...]
    reads: bool
    counts: bool
    span: int
    spared: tuple[int, ...]

    @classmethod
    def of(cls, chain: CompiledChain) -> _Kind:
        return cls(
            tuple(chain.banned_N.tolist()), chain.reads, chain.counts, chain.span, chain.spared
        )


class CompiledTable(WritingTable):
    """Continuations that the compiled loop writes.

    Arguments:
        writer: the networks; their context is not a window.
        request: counts and grammar, and how states are split.
    """

    def __init__(self, writer: CompiledWriter, request: TableRequest) -> None:
        self._writer, self._request = writer, request
        self._groups: dict[_Kind, _Group] = {}

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def _compiled(self, chain: CompiledSteps) -> CompiledChain | None:
        compiled = compile_chain(chain, self._writer.vocab_size)
        grammar = self._request.grammar
        if compiled is None or len(compiled.steps_S) > STEPS:
            return None
        return None if grammar is not None and compiled.blocks(grammar) else compiled

    def admits(self, chain: CompiledSteps) -> bool:
        return self._compiled(chain) is not None

    def join(self, entrants: Sequence[Entrant]) -> list[Stretch]:
        groups: dict[_Kind, list[tuple[Entrant, CompiledChain]]] = {}
        chains: dict[int, tuple[_Kind, CompiledChain]] = {}
        for entrant in entrants:
            known = chains.get(id(entrant.chain))
            if known is None:
                compiled = self._compiled(entrant.chain)
                if compiled is None:
                    raise ValueError("the filters have no compiled form")
                known = chains[id(entrant.chain)] = _Kind.of(compiled), compiled
            groups.setdefault(known[0], []).append((entrant, known[1]))
        stretches: list[Stretch] = []
        for kind, several in groups.items():
            if kind not in self._groups:
                self._groups[kind] = _Group(self._writer, self._request, kind)
            stretches += self._groups[kind].join(several)
        return stretches

    def leave(self, keys: set[int]) -> None:
        for group in self._groups.values():
            group.leave(keys)

    def write(self, seconds: float, *, alone: bool = False) -> list[Stretch]:
        busy = [group for group in self._groups.values() if len(group)]
        stretches: list[Stretch] = []
        for group in busy:
            stretches += group.write(seconds / len(busy), alone=alone)
        self._groups = {kind: group for kind, group in self._groups.items() if len(group)}
        return stretches


class _Group:
    """Rows of one call of the compiled loop, in arrays with room for more."""

    def __init__(self, writer: CompiledWriter, request: TableRequest, kind: _Kind) -> None:
        self._writer, self._request, self._kind = writer, request, kind
        self._keys: list[int] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self._values_MRS: NDArray[np.float32] | None = None
        experts = request.experts
        self._tables = NO_COUNTS if experts is None else experts.compiled
        self._grammar: tuple[Any, Any] = (None, None)
        if request.grammar is not None:
            writer.entries.within_grammar()
            self._grammar = (request.grammar.next_SV, request.grammar.allowed_SV)
        network = writer.networks[0]
        self._helped = Helped(writer.networks, writer.threads)
        specs_MS = self._helped.specs_MS
        self._network = (network.weights, network.matrices, specs_MS, writer.weight_M)
        self._banned_N = np.array(kind.banned, dtype=np.int64)
        self._spared_V = np.zeros(writer.vocab_size if kind.counts else 0, dtype=np.bool_)
        self._spared_V[list(kind.spared)] = True
        # A guess to begin with, as in `CompiledWriter`.
        self._step_seconds = network.matrices.nbytes * 1.25e-10

    def __len__(self) -> int:
        return len(self._keys)

    def join(self, several: Sequence[tuple[Entrant, CompiledChain]]) -> list[Stretch]:
        """Add rows, and return the first element of each."""
        rows = [self._row(entrant, chain) for entrant, chain in several]
        arrays = {name: np.concatenate([row[name] for row, _ in rows]) for name in rows[0][0]}
        values_MRS = np.concatenate([values for _, values in rows], axis=1)
        keys = [entrant.key for entrant, _ in several]
        out_TR, end_R = self._call(arrays, values_MRS, 1, fresh=True)
        stretches = _stretches(keys, out_TR, end_R)
        going = np.flatnonzero(end_R == 0)
        self._append(
            [keys[row] for row in going],
            {name: array[going] for name, array in arrays.items()},
            values_MRS[:, going],
        )
        return stretches

    def _row(
        self, entrant: Entrant, chain: CompiledChain
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        """Arrays of one row, and states of the networks."""
        vocab, kind = self._writer.vocab_size, self._kind
        parts: RowParts = (
            RowParts((entrant.state,))
            if self._request.parts is None
            else self._request.parts(entrant.state)
        )
        z_1V = np.zeros((1, padded(vocab)), dtype=np.float32)
        z_1V[0, :vocab] = entrant.logits_V
        read_1V, written_1V, recent_1N = _occurrences(entrant, kind, vocab)
        if parts.counted is None:
            counted = uncounted(1)
        else:
            own = parts.counted
            assert self._request.experts is not None
            weight_1F = (
                self._request.experts.weight_F[None] if own.weight_BF is None else own.weight_BF
            )
            counted = (*own.arrays(), weight_1F)
        steps_1S = np.full((1, STEPS), NONE, dtype=np.int64)
        values_1S = np.zeros((1, STEPS), dtype=np.float64)
        steps_1S[0, : len(chain.steps_S)] = chain.steps_S
        values_1S[0, : len(chain.values_S)] = chain.values_S
        whole = {"sequence": entrant.sequence, "length": entrant.length}
        # In the order in which `write_rows` takes them.
        arrays: dict[str, Any] = {
            "count": parts.networks[0].count_B,
            "z": z_1V,
            "last": np.zeros((1, 1), dtype=np.int64),
            "seen": np.zeros((1, 0), dtype=np.int64),
            "read": read_1V,
            "written": written_1V,
            "recent": recent_1N,
            **{name: np.array([value], dtype=np.int64) for name, value in whole.items()},
            **{f"counted_{number}": array for number, array in enumerate(counted)},
            **({} if parts.place is None else {"place": parts.place}),
            "steps": steps_1S,
            "values": values_1S,
            "least": np.array([chain.least], dtype=np.int64),
            "seed": np.array([entrant.seed], dtype=np.uint64),
            "position": np.array([len(entrant.written_N)], dtype=np.int64),
        }
        return arrays, np.stack([state.values_BS for state in parts.networks])

    def _append(
        self, keys: list[int], arrays: dict[str, NDArray[Any]], values_MRS: NDArray[np.float32]
    ) -> None:
        if not keys:
            return
        begin, end = len(self._keys), len(self._keys) + len(keys)
        if self._values_MRS is None or end > self._values_MRS.shape[1]:
            self._grow(arrays, values_MRS, max(8, 2 * end))
        assert self._values_MRS is not None
        for name, array in arrays.items():
            self._arrays[name][begin:end] = array
        self._values_MRS[:, begin:end] = values_MRS
        self._keys += keys

    def _grow(
        self, arrays: dict[str, NDArray[Any]], values_MRS: NDArray[np.float32], room: int
    ) -> None:
        """Make room for more rows."""
        rows = len(self._keys)
        for name, array in arrays.items():
            larger = np.empty((room, *array.shape[1:]), dtype=array.dtype)
            if rows:
                larger[:rows] = self._arrays[name][:rows]
            self._arrays[name] = larger
        members, _, size = values_MRS.shape
        values = np.empty((members, room, size), dtype=np.float32)
        if self._values_MRS is not None:
            values[:, :rows] = self._values_MRS[:, :rows]
        self._values_MRS = values

    def leave(self, keys: set[int]) -> None:
        """Remove rows: the last one takes the place of each."""
        assert self._values_MRS is not None
        for row in reversed(range(len(self._keys))):
            if self._keys[row] not in keys:
                continue
            last = len(self._keys) - 1
            if row != last:
                self._keys[row] = self._keys[last]
                for array in self._arrays.values():
                    array[row] = array[last]
                self._values_MRS[:, row] = self._values_MRS[:, last]
            self._keys.pop()

    def write(self, seconds: float, *, alone: bool) -> list[Stretch]:
        """Write all rows, call by call, until a time is over."""
        parts: dict[int, list[int]] = {}
        lasts: dict[int, str | None] = {}
        begun = time.perf_counter()
        while self._keys:
            rows, now = len(self._keys), time.perf_counter()
            left = seconds - (now - begun)
            most = max(map(len, parts.values()), default=0)
            if parts and (left <= 0 or most >= ELEMENTS):
                break
            per_step = max(self._step_seconds * rows, 1e-7)
            steps = max(1, min(ELEMENTS - most, int(left / per_step)))
            arrays = {name: array[:rows] for name, array in self._arrays.items()}
            assert self._values_MRS is not None
            values_MRS = np.ascontiguousarray(self._values_MRS[:, :rows])
            call = partial(self._call, arrays, values_MRS, steps, fresh=False)
            out_RT, end_R = (
                self._helped.run(call, lambda written: written[0].size) if alone else call()
            )
            if len(values_MRS) > 1:
                self._values_MRS[:, :rows] = values_MRS
            self._step_seconds = (time.perf_counter() - now) / out_RT.size
            for stretch in _stretches(self._keys, out_RT, end_R):
                parts.setdefault(stretch.job, []).extend(stretch.elements)
                lasts[stretch.job] = stretch.last
            if end_R.any():
                self.leave({self._keys[row] for row in np.flatnonzero(end_R)})
        return [Stretch(key, elements, lasts[key]) for key, elements in parts.items()]

    def _call(
        self,
        arrays: dict[str, NDArray[Any]],
        values_MRS: NDArray[np.float32],
        steps: int,
        *,
        fresh: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Elements (R, T) of some rows, and why rows ended."""
        rows = values_MRS.shape[1]
        out_TR = np.empty((steps, rows), dtype=np.int64)
        end_R = np.zeros(rows, dtype=np.int64)
        names = list(arrays)
        of_requests = names[-5:]
        of_rows = [arrays[name] for name in names[:-5]]
        if self._grammar[0] is None:
            of_rows.append(None)  # type: ignore[arg-type]
        done = self._writer.entries.write(
            *self._network,
            values_MRS,
            *of_rows,
            fresh,
            0,
            *(arrays[name] for name in of_requests),
            self._banned_N,
            self._spared_V,
            END_ID,
            *self._tables,
            *self._grammar,
            out_TR,
            end_R,
        )
        return out_TR[:done].T, end_R


def _occurrences(
    entrant: Entrant, kind: _Kind, vocab: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Occurrences in prompt and continuation, and the ring of the last elements that count."""
    read_1V = np.zeros((1, vocab if kind.reads else 0), dtype=np.int32)
    written_1V = np.zeros((1, vocab if kind.counts else 0), dtype=np.int32)
    recent_1N = np.full((1, kind.span), -1, dtype=np.int64)
    if not kind.counts:
        return read_1V, written_1V, recent_1N
    prompt = len(entrant.prompt_N)
    all_N = np.concatenate((entrant.prompt_N, entrant.written_N))
    first = max(0, len(all_N) - kind.span) if kind.span else 0
    own_N = np.where(np.isin(all_N, kind.spared), -1, all_N)[first:]
    position_N = np.arange(first, len(all_N)) - prompt
    if kind.span:
        recent_1N[0, position_N % kind.span] = own_N
    if kind.reads:
        of_prompt_N = own_N[(position_N < 0) & (own_N >= 0)]
        read_1V[0] = np.bincount(of_prompt_N, minlength=vocab)
    of_text_N = own_N[(position_N >= 0) & (own_N >= 0)]
    written_1V[0] = np.bincount(of_text_N, minlength=vocab)
    return read_1V, written_1V, recent_1N


def _stretches(
    keys: Sequence[int], out_RT: NDArray[np.int64], end_R: NDArray[np.int64]
) -> list[Stretch]:
    return [
        Stretch(key, elements, _LASTS.get(end))
        for key, elements, end in zip(keys, out_RT.tolist(), end_R.tolist(), strict=True)
    ]
