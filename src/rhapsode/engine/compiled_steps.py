"""Entries of compiled code: reading elements, and writing some in one go.

They are compiled once, kept on disk, and free of the lock.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import types

# Compiled into what is kept here: `STAMP` covers them.
from rhapsode.counts.mixing.ngram_evidence import (
    add_up,
    collect,
    read_element,
    room_for,
    shift_of,
)
from rhapsode.engine.kernels.attention import read_attention
from rhapsode.engine.kernels.convolution import read_convolution
from rhapsode.engine.kernels.jit import STAMP, entry, ready
from rhapsode.engine.kernels.logits import logits_of
from rhapsode.engine.kernels.maths import fill
from rhapsode.engine.kernels.products import help_out
from rhapsode.engine.kernels.recurrent_steps import read_recurrent
from rhapsode.engine.kernels.tiles import PANEL
from rhapsode.engine.offsets import CLASSIC, CONVOLUTION, FEATURES, STATE, TRANSFORMER, VOCAB
from rhapsode.engine.sampling_steps import average_row, draw, filter_row, mask_row, uniform

# Why a row ended.
STOP, LENGTH = 1, 2

# Groups of families that are compiled apart: nobody waits for what they do not use.
RECURRENT, ATTENTION, CONVOLVING = range(3)

# Positions, of all rows, that are read at once: their gates and the like must find room in the
# cache.
TOGETHER = 512


@cache
def _of_group(group: int, stamp: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The entries for one group of families.

    The branches of the other groups are removed before compilation. Their closures contain plain
    values only: an entry with a function in its closure is never found in the cache.
    """

    @entry
    def read_rows(
        w: Any, m: Any, spec: Any, elements_BT: Any, values: Any, count_B: Any, y: Any, z: Any
    ) -> None:
        """Read elements; state and counts go on in place.

        Arguments:
            w: tables, norms and biases.
            m: matrices.
            spec: what the network is.
            elements_BT: ids, T at least 1.
            values: states, flat.
            count_B: elements that each row has read.
            y: takes the features of all positions, flat.
            z: takes the logits after the last one, flat, in rows of whole panels.
        """
        _ = stamp
        rows, time = elements_BT.shape
        size = spec[FEATURES]
        if group == RECURRENT:
            read_recurrent(w, m, spec, elements_BT, values, y)
        elif group == ATTENTION:
            read_attention(w, m, spec, elements_BT, values, count_B, y)
        else:
            read_convolution(w, m, spec, elements_BT, values, count_B, y)
        for b in range(rows):
            count_B[b] += time
        logits_of(w, m, spec, y, (time - 1) * size, time * size, rows, z)

    @entry
    def write_rows(
        w: Any, m: Any, specs_MS: Any, weight_M: Any, values_MBS: Any, count_B: Any, z_BV: Any,
        last_B1: Any, seen_BN: Any, read_BV: Any, written_BV: Any, recent_BN: Any,
        sequence_B: Any, length_B: Any, node_B: Any, word_BW: Any, memory_BN: Any, head_BLS: Any,
        before_BLN: Any, kept_B: Any, weight_BF: Any, place_BK: Any, fresh: bool, window: int,
        steps_BS: Any, values_BS: Any, least_B: Any, seed_B: Any, position_B: Any,
        banned_N: Any, spared_V: Any, end_element: int,
        first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
        bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, kind_K: Any,
        letter_V: Any, prior_V: Any, lead: int,
        next_SV: Any, allowed_SV: Any, out_TB: Any, end_B: Any,
    ) -> int:  # fmt: skip
        """Choose element after element for all rows.

        The loop stops when a row ends or there is no more room.

        Arguments:
            w: tables, norms and biases.
            m: matrices.
            specs_MS: description of every member, all over the same vectors.
            weight_M: of the members' probabilities, one in total.
            values_MBS: states, changed in place.
            count_B: elements that each row has read since its state began.
            z_BV: logits after them, in rows of whole panels.
            last_B1: the last choices; they are read first, unless `fresh` is true.
            seen_BN: with a window, the last N elements of each row, or `count_B` of them until
                it is full.
            read_BV: how often each element occurs in the prompt; empty rows where no step uses it.
            written_BV: how often each has been chosen; as `read_BV`.
            recent_BN: the last elements whose occurrences count, a ring by position; -1 for none.
                Without columns all count.
            sequence_B: index of each continuation.
            length_B: most elements of each row.
            node_B: state of counts as in `rhapsode.counts.mixing.experts`, changed in place.
            word_BW: likewise.
            memory_BN: likewise.
            head_BLS: likewise.
            before_BLN: likewise.
            kept_B: likewise.
            weight_BF: weights of network and counts, a row for each or one for all; without columns
                there are no counts.
            place_BK: places of each row in the automata of a grammar, int32, changed in place;
                None, a type of its own, without one.
            fresh: true if the logits already follow `last_B1`.
            window: elements that count, 0 where all do.
            steps_BS: steps of the chain of each row, in order.
            values_BS: parameter of each step.
            least_B: elements of a row before which end-of-sequence is not chosen.
            seed_B: of the draws of each row, uint64.
            position_B: number of the first element to choose; it goes on in place.
            banned_N: elements that are never chosen.
            spared_V: elements whose occurrences do not count; as `read_BV`.
            end_element: end-of-sequence.
            first_M: tables of the counts, as for `rhapsode.counts.mixing.ngram_evidence`.
            element_M: likewise.
            suffix_M: likewise.
            evidence_M: likewise.
            kind_M: likewise.
            bucket_B: likewise.
            key_K: likewise.
            first_K: likewise.
            element_J: likewise.
            evidence_J: likewise.
            kind_K: likewise.
            letter_V: likewise.
            prior_V: likewise.
            lead: likewise.
            next_SV: transitions of the grammar, by state, int32; None as for `place_BK`.
            allowed_SV: elements that the grammar allows, by state; None likewise.
            out_TB: takes the chosen elements.
            end_B: takes why a row ended, 0 where it did not.

        Returns:
            Number of elements chosen for each row.
        """
        _ = stamp
        first, members, rows = specs_MS[0], len(specs_MS), len(count_B)
        vocab, size, state = first[VOCAB], first[FEATURES], first[STATE]
        values, z = values_MBS.reshape(-1), z_BV.reshape(-1)
        own_MBV = np.empty((members if members > 1 else 0, *z_BV.shape), dtype=np.float32)
        log_M = np.empty(members)
        y = np.empty(rows * max(1, window) * size, dtype=np.float32)
        some_V, weight_V = np.empty(vocab, dtype=np.float32), np.empty(vocab)
        mixing = weight_BF.shape[1] > 0
        room = room_for(vocab) if mixing else 0
        element_E, weight_E = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int16)
        value_E = np.empty(room, dtype=np.float32)
        seen_V = np.zeros(vocab if mixing else 0, dtype=np.int32)
        counting, span = written_BV.shape[1] == vocab, recent_BN.shape[1]
        done = 0
        while done < len(out_TB):
            if not (fresh and done == 0):
                time = 1
                if window:
                    known = count_B[0]
                    if known < window:
                        for b in range(rows):
                            seen_BN[b, known] = last_B1[b, 0]
                    else:
                        time = window
                        for b in range(rows):
                            seen_N = seen_BN[b]
                            for n in range(window - 1):
                                seen_N[n] = seen_N[n + 1]
                            seen_BN[b, window - 1] = last_B1[b, 0]
                            count_B[b] = 0
                        fill(values, 0, np.float32(0.0), len(values))
                few = rows if time == 1 else max(1, TOGETHER // time)
                for n in range(members):
                    # Forwards and backwards in turn: what was read last is still in the cache.
                    k = members - 1 - n if position_B[0] & 1 else n
                    spec, begin = specs_MS[k], k * rows
                    for b in range(0, rows, few):
                        to = min(rows, b + few)
                        ids_BT = last_B1[b:to] if time == 1 else seen_BN[b:to]
                        own = values[(begin + b) * state : (begin + to) * state]
                        own_y = y[b * time * size :]
                        if group == RECURRENT:
                            read_recurrent(w, m, spec, ids_BT, own, own_y)
                        elif group == ATTENTION:
                            read_attention(w, m, spec, ids_BT, own, count_B[b:to], own_y)
                        else:
                            read_convolution(w, m, spec, ids_BT, own, count_B[b:to], own_y)
                    own_z = z if members == 1 else own_MBV[k].reshape(-1)
                    logits_of(w, m, spec, y, (time - 1) * size, time * size, rows, own_z)
                for b in range(rows):
                    count_B[b] += time
                    if members > 1:
                        average_row(own_MBV[:, b, :vocab], weight_M, z_BV[b, :vocab], log_M)
            ended = False
            for b in range(rows):
                z_V = z_BV[b, :vocab]
                if next_SV is not None:  # else cut off before it is compiled
                    for k in range(place_BK.shape[1]):
                        if not (fresh and done == 0):
                            place_BK[b, k] = next_SV[place_BK[b, k], last_B1[b, 0]]
                        mask_row(z_V, allowed_SV[place_BK[b, k]])
                if mixing:
                    node, word_W = int(node_B[b]), word_BW[b]
                    if not (fresh and done == 0):
                        last = last_B1[b, 0]
                        node = read_element(
                            first_M, element_M, suffix_M, kind_M, letter_V, node, word_W,
                            memory_BN[b], head_BLS[b], before_BLN[b], int(kept_B[b]), last,
                        )  # fmt: skip
                        node_B[b] = node
                        kept_B[b] += 1
                    shift = 0.0
                    if memory_BN.shape[1] > 0:
                        shift = shift_of(z_V, some_V)
                    listed = collect(
                        first_M, element_M, suffix_M, evidence_M, kind_M,
                        bucket_B, key_K, first_K, element_J, evidence_J, kind_K,
                        node, word_W, memory_BN[b], head_BLS[b], before_BLN[b], int(kept_B[b]),
                        lead, letter_V, prior_V, z_V, shift, seen_V,
                        element_E, weight_E, value_E,
                    )  # fmt: skip
                    own_F = weight_BF[b % len(weight_BF)]
                    add_up(z_V, prior_V, own_F, listed, element_E, weight_E, value_E)
                for n in range(len(banned_N)):
                    z_V[banned_N[n]] = -np.inf
                position = position_B[b]
                if position < least_B[b]:
                    z_V[end_element] = -np.inf
                filter_row(
                    z_V, steps_BS[b], values_BS[b], read_BV[b], written_BV[b], some_V, weight_V
                )
                point = uniform(seed_B[b], sequence_B[b], position)
                element = draw(z_V, point, weight_V)
                last_B1[b, 0] = element
                out_TB[done, b] = element
                if counting:
                    counts = not spared_V[element]
                    if span:
                        slot = position % span
                        gone = recent_BN[b, slot]
                        if gone >= 0 and position >= span:
                            written_BV[b, gone] -= 1
                        elif gone >= 0 and read_BV.shape[1] == vocab:
                            read_BV[b, gone] -= 1
                        recent_BN[b, slot] = element if counts else -1
                    if counts:
                        written_BV[b, element] += 1
                if element == end_element:
                    end_B[b] = STOP
                    ended = True
                elif position + 1 >= length_B[b]:
                    end_B[b] = LENGTH
                    ended = True
                position_B[b] = position + 1
            done += 1
            if ended:
                break
        return done

    return read_rows, write_rows


def _of_all(stamp: str) -> tuple[Callable[..., Any], ...]:
    """The entries that are the same for all families."""

    @entry
    def score_rows(
        w: Any, m: Any, spec: Any, y: Any, targets_N: Any, allowed_NV: Any, found_N4: Any
    ) -> None:
        """Describe the distributions after features.

        Arguments:
            w: tables, norms and biases.
            m: matrices.
            spec: what the network is.
            y: features, flat.
            targets_N: the target after each.
            allowed_NV: which elements may follow each; None, a type of its own: all.
            found_N4: takes the log-probability of that, the likeliest element, its log-probability
                and the entropy, float64.
        """
        _ = stamp
        vocab, size = spec[VOCAB], spec[FEATURES]
        row = (vocab + PANEL - 1) // PANEL * PANEL
        few = 16
        z = np.empty(few * row, dtype=np.float32)
        for start in range(0, len(targets_N), few):
            rows = min(few, len(targets_N) - start)
            logits_of(w, m, spec, y, start * size, size, rows, z)
            for r in range(rows):
                z_V = z[r * row : r * row + vocab]
                if allowed_NV is not None:
                    mask_row(z_V, allowed_NV[start + r])
                best = 0
                for v in range(1, vocab):
                    if z_V[v] > z_V[best]:
                        best = v
                most = np.float64(z_V[best])
                total, mean = 0.0, 0.0
                for v in range(vocab):
                    weight = np.exp(np.float64(z_V[v]) - most)
                    total += weight
                    if weight > 0.0:
                        mean += weight * (np.float64(z_V[v]) - most)
                shift = np.log(total)
                n = start + r
                found_N4[n, 0] = np.float64(z_V[targets_N[n]]) - most - shift
                found_N4[n, 1] = best
                found_N4[n, 2] = -shift
                found_N4[n, 3] = shift - mean / total

    @entry
    def spread_features(w: Any, m: Any, spec: Any, y: Any, z: Any) -> None:
        """Logits after features.

        Arguments:
            w: tables, norms and biases.
            m: matrices.
            spec: what the network is.
            y: features, flat.
            z: takes the logits, flat, in rows of whole panels.
        """
        _ = stamp
        size = spec[FEATURES]
        logits_of(w, m, spec, y, 0, size, len(y) // size, z)

    @entry
    def help_write(board: int, m: Any) -> int:
        """Help with the large products of a concurrent `write`.

        See `products.help_out`.
        """
        _ = stamp
        return help_out(board, m)

    return score_rows, spread_features, help_write


score_rows, spread_features, help_write = _of_all(STAMP)

_F1, _F2, _F3 = types.float32[::1], types.float32[:, ::1], types.float32[:, :, ::1]
_I1, _I2, _INT = types.int64[::1], types.int64[:, ::1], types.int64
_D1, _N1, _N2 = types.float64[::1], types.int32[::1], types.int32[:, ::1]
_READ = (_I1, _I2, _F1, _I1, _F1, _F1)
_N3, _S1 = types.int32[:, :, ::1], types.int16[::1]
_OF_ROWS = (
    _F3, _I1, _F2, _I2, _I2, _N2, _N2, _I2, _I1, _I1, _N1, _I2, _N2, _N3, _N3, _I1,
    types.float64[:, ::1],
)  # fmt: skip
_OF_ALL = (
    types.boolean, _INT, _I2, types.float64[:, ::1], _I1, types.uint64[::1], _I1,
    _I1, types.boolean[::1], _INT,
    _N1, _N1, _N1, _F1, _S1, _N1, _I1, _N1, _N1, _F1, _S1, _I1, _F1, _INT,
)  # fmt: skip
_OUT = (_I2, _I1)
_NONE = types.none
_WRITE = (_I2, _D1, *_OF_ROWS, _NONE, *_OF_ALL, _NONE, _NONE, *_OUT)
_WRITE_GRAMMAR = (_I2, _D1, *_OF_ROWS, _N2, *_OF_ALL, _N2, types.boolean[:, ::1], *_OUT)
_KINDS = {
    "float32": _F1,
    "bf16": types.uint32[::1],
    "int8": types.uint8[::1],
}
_GROUPS = {TRANSFORMER: ATTENTION, CLASSIC: ATTENTION, CONVOLUTION: CONVOLVING}


@dataclass(frozen=True)
class Entries:
    """The entries for one group of families and a kind of weights.

    Arguments:
        read: reads elements.
        write: writes elements.
        compiled: how many of the two had to be compiled; those kept by an earlier run are not
            counted.
        kind: of the weights.
    """

    read: Callable[..., None]
    write: Callable[..., int]
    compiled: int
    kind: str

    def within_grammar(self) -> None:
        """Compile or load the form of `write` with a grammar.

        The other forms do not wait for it.
        """
        ready(self.write, (_F1, _KINDS[self.kind], *_WRITE_GRAMMAR))


@cache
def entries_for(family: int, kind: str = "float32") -> Entries:
    """The entries for a family, compiled or loaded.

    Arguments:
        family: as in `spec`.
        kind: of the weights.
    """
    read, write = _of_group(_GROUPS.get(family, RECURRENT), STAMP)
    compiled = sum(
        ready(function, (_F1, _KINDS[kind], *signature))
        for function, signature in ((read, _READ), (write, _WRITE))
    )
    return Entries(read, write, compiled, kind)


def helper_for(kind: str) -> int:
    """Compile or load `help_write` for a kind of weights.

    Returns:
        1 if it had to be compiled.
    """
    return ready(help_write, (types.int64, _KINDS[kind]))
