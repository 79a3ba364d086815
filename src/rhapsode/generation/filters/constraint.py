"""Continuations that match a regular expression.

An automaton over bytes follows whole elements.
"""

import importlib.util
import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.generation.filters.automaton_process import MOST_BYTES
from rhapsode.generation.filters.contract import Context, Filter, Logits, refuse_dead_ends

_WHERE = "--regex"
_DEAD = -1
_MOST_STATES = 1 << 16
# If the pairs of state and element are at most this many (40 MB), all paths through the automaton
# are computed in advance.
_MOST_PAIRS = 10_000_000
_NEWLINE = b"\n"
_SHOWN = 12
# Seconds after which an automaton that is still being built is taken to be too large.
_PATIENCE = 20.0


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic automaton over bytes.

    From every state a match can be reached.

    Arguments:
        next_SB: the state after each byte, -1 where no match is possible; the last row, which -1
            selects, is -1.
        accepting_S: True where the text so far is a match.
        start: the state of the empty text.
    """

    next_SB: NDArray[np.int32]
    accepting_S: NDArray[np.bool_]
    start: int

    def wanted(self, state: int) -> str:
        """The bytes that may come, in words."""
        bytes_M = np.flatnonzero(self.next_SB[state] != _DEAD)
        shown = [repr(chr(byte)) for byte in bytes_M if byte < 0x80]
        if len(shown) > _SHOWN:
            shown = [*shown[:_SHOWN], f"{len(shown) - _SHOWN} more"]
        if bytes_M.size and bytes_M[-1] >= 0x80:
            shown.append("characters beyond ASCII")
        if self.accepting_S[state]:
            shown.append("the end of the text")
        return ", ".join(shown)


@lru_cache(maxsize=8)
def compile_expression(expression: str) -> Automaton:
    """The automaton of an expression that a whole text must match.

    The syntax is that of Rust's regex crate, which has no look-around and no backreferences. `^`
    and `$` around the whole expression change nothing.

    Arguments:
        expression: the regular expression.

    Raises:
        MissingExtraError: the library is not installed.
        SettingsError: it is none, nothing can match it, or its automaton is too large.
    """
    if importlib.util.find_spec("outlines_core") is None:
        raise MissingExtraError("regex", "--regex")
    built_N = np.frombuffer(_built(expression), dtype=np.int64)
    first, ends = int(built_N[0]), int(built_N[1])
    final_F, moves_E3 = built_N[2 : 2 + ends], built_N[2 + ends :].reshape(-1, 3)
    reached = np.unique(np.concatenate(([first], final_F, moves_E3[:, 0], moves_E3[:, 2])))
    if len(reached) > _MOST_STATES:
        raise SettingsError(
            f"the regular expression has {len(reached):,} states, "
            f"at most {_MOST_STATES:,} are possible",
            where=_WHERE,
            hint="use smaller counts, or narrower classes such as [a-z] in place of \\w",
        )
    next_SB = np.full((len(reached) + 1, 256), _DEAD, dtype=np.int32)
    sources_E, targets_E = np.searchsorted(reached, moves_E3[:, ::2].T)
    next_SB[sources_E, moves_E3[:, 1]] = targets_E
    start = int(np.searchsorted(reached, first))
    accepting_S = np.isin(reached, final_F)
    source_E, byte_E = np.nonzero(next_SB[:-1] != _DEAD)
    target_E = next_SB[source_E, byte_E]
    steps_S = _distances(accepting_S, source_E, target_E)
    if steps_S[start] < 0:
        raise SettingsError(f"no text matches {expression!r}", where=_WHERE)
    next_SB[source_E, byte_E] = np.where(steps_S[target_E] < 0, _DEAD, target_E)
    return Automaton(next_SB, accepting_S, start)


def _built(expression: str) -> bytes:
    """Build an automaton in a process of its own, as `automaton_process` writes it.

    Raises:
        SettingsError: it fails, or takes too long; the time grows with the square of the states.
    """
    script = Path(__file__).with_name("automaton_process.py")
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        ended = subprocess.run(  # noqa: S603
            [sys.executable, "-P", str(script)],
            input=_without_anchors(expression).encode("utf-8", "surrogatepass"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pass
    else:
        if ended.returncode == 0:
            return ended.stdout
        if ended.stdout[:1] == b"!":
            raise SettingsError(
                f"unsupported regular expression {expression!r}: "
                f"{_reason(ended.stdout[1:].decode('utf-8', 'replace'))}",
                where=_WHERE,
                hint="look-around, word boundaries and back-references are not supported",
            )
    raise SettingsError(
        f"the regular expression {expression!r} has too many states: its automaton was not "
        f"built within {_PATIENCE:g} seconds and {MOST_BYTES >> 30} GB",
        where=_WHERE,
        hint="use smaller counts, or narrower classes such as [a-z] in place of \\w",
    )


def _without_anchors(expression: str) -> str:
    """The expression without an outer `^` and `$`.

    Matches of the whole text do not need them.
    """
    expression = expression.removeprefix("^")
    bare = expression.removesuffix("$")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return expression if escapes % 2 else bare


def _reason(text: str) -> str:
    """The library's message on one line, without its prefix."""
    return " ".join(text.split()).removeprefix("Failed to build DFA ")


def _distances(
    goal_S: NDArray[np.bool_], source_E: NDArray[Any], target_E: NDArray[Any]
) -> NDArray[np.int64]:
    """Edges between each state and the nearest goal; -1 if unreachable."""
    order_E = np.argsort(target_E, kind="stable")
    sources = source_E[order_E]
    begins = np.searchsorted(target_E[order_E], np.arange(len(goal_S) + 1))
    steps_S = np.where(goal_S, 0, -1).astype(np.int64)
    waiting = deque(np.flatnonzero(goal_S).tolist())
    while waiting:
        state = waiting.popleft()
        for source in np.unique(sources[begins[state] : begins[state + 1]]).tolist():
            if steps_S[source] < 0:
                steps_S[source] = steps_S[state] + 1
                waiting.append(source)
    return steps_S


def spell_elements(encoder: Encoder) -> tuple[bytes, ...]:
    """The bytes that every element of a model adds to a text.

    Arguments:
        encoder: of the model.

    Returns:
        those of each id; empty for what no text is matched with, as end-of-sequence and unknown.

    Raises:
        SettingsError: what an element writes depends on others in ways unknown here.
    """
    try:
        pieces = encoder.element_bytes()
    except SettingsError as problem:
        raise SettingsError(problem.what, where=_WHERE, hint=problem.hint) from None
    return (b"", b"", *pieces)


class _Walker:
    """Follows an automaton by all elements at once.

    Its states are those of the automaton. For elements that bring a space there are twice as many:
    odd states follow an element that is followed by a space.
    """

    def __init__(self, automaton: Automaton, encoder: Encoder) -> None:
        self.automaton, self._spaced = automaton, encoder.spaced
        states_each = 2 if encoder.spaced else 1
        self.start = automaton.start * states_each
        self.accepting_S = np.repeat(automaton.accepting_S, states_each)
        pieces = spell_elements(encoder)
        lengths_V = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self._written_M = np.flatnonzero(lengths_V)
        self._lengths_M = lengths_V[self._written_M]
        self._bytes_MJ = np.zeros(
            (len(self._written_M), int(lengths_V.max(initial=0))), dtype=np.uint8
        )
        for place, element in enumerate(self._written_M):
            piece = pieces[element]
            self._bytes_MJ[place, : len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        self._newline_V = np.array([piece == _NEWLINE for piece in pieces])

    def bare(self, state: int) -> int:
        """The automaton's own state."""
        return state // 2 if self._spaced else state

    def targets(self, state: int) -> NDArray[np.int32]:
        """The state after each element, -1 for dead ends, (V,)."""
        if not self._spaced:
            return self._walk(state)
        bare = state // 2
        found_V = self._walk(bare)
        if state % 2:
            behind_V = self._walk(int(self.automaton.next_SB[bare, ord(" ")]))
            found_V = np.where(self._newline_V, found_V, behind_V)
        odd_V = np.where(self._newline_V, 0, 1)
        return np.where(found_V == _DEAD, _DEAD, found_V * 2 + odd_V).astype(np.int32)

    def _walk(self, state: int) -> NDArray[np.int32]:
        found_V = np.full(len(self._newline_V), _DEAD, dtype=np.int32)
        going = np.arange(len(self._written_M))
        states = np.full(len(going), state, dtype=np.int32)
        for j in range(self._bytes_MJ.shape[1]):
            states = self.automaton.next_SB[states, self._bytes_MJ[going, j]]
            alive = states != _DEAD
            going, states = going[alive], states[alive]
            done = self._lengths_M[going] == j + 1
            found_V[self._written_M[going[done]]] = states[done]
            going, states = going[~done], states[~done]
            if not len(going):
                break
        return found_V


class Matching(Filter):
    """Remove every element after which the continuation cannot match an expression.

    The prompt does not count. End-of-sequence is allowed where the text so far is a match, and
    forced where nothing else is allowed. Elements are followed byte by byte, so that parts of UTF-8
    characters are exact: no match ends within one.

    Where the number of states times elements is small, all paths are computed in advance. Then no
    path is taken that the model's elements cannot finish, or that cannot be finished within the
    length. Otherwise a path may turn out to be a dead end, which is an error. Masking step by step
    is not conditioning: a beginning keeps its probability even if little of what may follow it
    matches; see Lew et al., "Sequential Monte Carlo Steering of Large Language Models using
    Probabilistic Programs", 2023.

    Arguments:
        expression: of Rust's regex crate.
        encoder: of the model.
        length: maximum number of elements of a continuation, if known.
        forced: number of first elements that a prefix decides.

    Raises:
        SettingsError: the expression cannot be followed, or no continuation of this model can match
            it.
        MissingExtraError: the library is not installed.
    """

    name = "regex"

    def __init__(
        self, expression: str, encoder: Encoder, *, length: int | None = None, forced: int = 0
    ) -> None:
        self._expression, self._length = expression, length
        self._encoder, self._forced = encoder, forced
        self._walker = _Walker(compile_expression(expression), encoder)
        self._targets: dict[int, NDArray[np.int32]] = {}
        self._masks: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._steps_S = self._walk_all(encoder.vocab_size)
        self._far = int(self._steps_S.max())
        least = int(self._steps_S[self._walker.start])
        if least < 0:
            raise SettingsError(
                f"no text that matches {expression!r} can be written with the model's elements",
                where=_WHERE,
                hint=self._lacking(),
            )
        if length is not None and least > length:
            raise SettingsError(
                f"a match of {expression!r} has at least {least} elements, but the length "
                f"limit is {length}",
                where=_WHERE,
                hint="raise --length",
            )

    def init(self, rows: int) -> NDArray[np.int64]:
        return np.full(rows, self._walker.start, dtype=np.int64)

    def select(self, state: NDArray[np.int64], rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return state[rows_R]

    def apply(
        self, logits_BV: Logits, context: Context, state: NDArray[np.int64]
    ) -> tuple[Logits, NDArray[np.int64]]:
        behind_B = np.array(
            [
                self._follow(int(before), output_N)
                for before, output_N in zip(state, context.output, strict=True)
            ],
            dtype=np.int64,
        )
        logits_BV = np.stack(
            [
                logits_V + self._mask(int(behind), int(position))
                for logits_V, behind, position in zip(
                    logits_BV, behind_B, context.position_B, strict=True
                )
            ]
        )
        wanted = [
            f"the regular expression expects {self._wanted(int(state))}" for state in behind_B
        ]
        refuse_dead_ends(logits_BV, context, self._encoder, wanted, forced=self._forced)
        return logits_BV, behind_B

    def check_prefix(self, prefix: Sequence[int], text: str) -> None:
        """Pass when a first text can be the beginning of a match.

        Raises:
            SettingsError: it cannot.
        """
        state = self._walker.start
        for element in prefix:
            before, state = state, int(self._targets_of(state)[element])
            if state == _DEAD or self._steps_S[state] < 0:
                raise SettingsError(
                    f"{text!r} cannot begin a match of {self._expression!r}, which expects "
                    f"{self._wanted(before)}",
                    where="--prefix",
                )
        least = len(prefix) + int(self._steps_S[state])
        if self._length is not None and least > self._length:
            raise SettingsError(
                f"a match of {self._expression!r} that begins with it has at least {least} "
                f"elements, but the length limit is {self._length}",
                where="--prefix",
                hint="raise --length",
            )

    def explain(self) -> str:
        return f"regex {self._expression!r}"

    def _follow(self, state: int, output_N: NDArray[np.int64]) -> int:
        if not len(output_N) or state == _DEAD:
            return state
        return int(self._targets_of(state)[output_N[-1]])

    def _wanted(self, state: int) -> str:
        return self._walker.automaton.wanted(self._walker.bare(state)) if state >= 0 else "nothing"

    def _targets_of(self, state: int) -> NDArray[np.int32]:
        if state not in self._targets:
            if len(self._targets) * self._encoder.vocab_size > 2 * _MOST_PAIRS:
                self._targets.clear()  # only where not all ways were walked
            self._targets[state] = self._walker.targets(state)
        return self._targets[state]

    def _mask(self, state: int, position: int) -> NDArray[np.float32]:
        """0 for what may come, -inf for all else, (V,)."""
        left = self._far + 1
        if self._length is not None:
            # Room after this element; more than the farthest match needs makes no difference.
            left = min(max(self._length - position - 1, 0), left)
        key = (state, left)
        if key not in self._masks:
            if len(self._masks) * self._encoder.vocab_size > _MOST_PAIRS:
                self._masks.clear()
            mask_V = np.full(self._encoder.vocab_size, -np.inf, dtype=np.float32)
            if state != _DEAD:
                targets_V = self._targets_of(state)
                steps_V = self._steps_S[targets_V]
                mask_V[(targets_V != _DEAD) & (steps_V >= 0) & (steps_V <= left)] = 0
                if self._walker.accepting_S[state]:
                    mask_V[END_ID] = 0
            self._masks[key] = mask_V
        return self._masks[key]

    def _walk_all(self, vocab_size: int) -> NDArray[np.int64]:
        """Elements between every state and the nearest match.

        All are 0 if there are too many paths to compute.
        """
        sources, targets = [], []
        waiting = [self._walker.start]
        seen = {self._walker.start}
        while waiting:
            state = waiting.pop()
            if len(self._targets) * vocab_size > _MOST_PAIRS:
                return np.zeros(len(self._walker.accepting_S), dtype=np.int64)
            following = np.unique(self._targets_of(state))
            following = following[following != _DEAD]
            sources.append(np.full(len(following), state))
            targets.append(following)
            new = set(following.tolist()) - seen
            seen |= new
            waiting.extend(new)
        return _distances(
            self._walker.accepting_S, np.concatenate(sources), np.concatenate(targets)
        )

    def _lacking(self) -> str | None:
        """Names of the characters that the expression wants and no element has."""
        wanted, written = set[int](), {END_ID, UNKNOWN_ID}
        for state, targets_V in self._targets.items():
            following = self._walker.automaton.next_SB[self._walker.bare(state)]
            wanted |= set(np.flatnonzero(following != _DEAD).tolist())
            written |= set(np.flatnonzero(targets_V != _DEAD).tolist())
        used = self._encoder.decode(sorted(written - {END_ID, UNKNOWN_ID}))
        lacking = [chr(byte) for byte in sorted(wanted) if byte < 0x80 and chr(byte) not in used]
        return f"it lacks {', '.join(map(repr, lacking[:8]))}" if lacking else None
