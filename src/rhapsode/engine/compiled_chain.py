"""Chains of filters as compiled code takes them: their steps as numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import CompiledSteps
from rhapsode.encoding import END_ID, GrammarTable
from rhapsode.engine import sampling_steps

_STEPS = {
    "greedy": sampling_steps.GREEDY,
    "temperature": sampling_steps.TEMPERATURE,
    "top_k": sampling_steps.TOP_K,
    "top_p": sampling_steps.TOP_P,
    "min_p": sampling_steps.MIN_P,
    "repetition": sampling_steps.REPETITION,
    "frequency": sampling_steps.FREQUENCY,
    "presence": sampling_steps.PRESENCE,
}
_PENALTIES = ("repetition", "frequency", "presence")


@dataclass(frozen=True)
class CompiledChain:
    """A chain as compiled code takes it.

    Arguments:
        steps_S: which steps, in order.
        values_S: what each takes.
        banned_N: elements that are out before them.
        least: elements before which end-of-sequence is, too.
        reads: whether a step looks at how often elements occur in the prompt.
        counts: whether one looks at how often they have been written, or `reads`.
        span: last elements, of prompt and output, in which occurrences count; 0 for all.
        spared: elements whose occurrences do not count.
    """

    steps_S: NDArray[np.int64]
    values_S: NDArray[np.float64]
    banned_N: NDArray[np.int64]
    least: int
    reads: bool
    counts: bool
    span: int = 0
    spared: tuple[int, ...] = ()

    def tail(self, prompt_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """The last `span` elements of a prompt.

        They are -1 where there is none, and in place of spared ones.
        """
        end_N = np.where(np.isin(prompt_N, self.spared), -1, prompt_N)[-self.span :]
        return np.pad(end_N, (max(0, self.span - len(end_N)), 0), constant_values=-1)

    def blocks(self, grammar: GrammarTable) -> bool:
        """True where the chain may leave nothing that a grammar allows."""
        ended = [END_ID] if self.least else []
        return not grammar.can_spare(np.append(self.banned_N, ended).astype(np.int64))


def compile_chain(chain: CompiledSteps, vocab_size: int) -> CompiledChain | None:
    """Compile a chain; None where a step has no compiled form.

    Arguments:
        chain: filters in order.
        vocab_size: V.
    """
    steps = chain.compiled()
    if steps is None:
        return None
    banned_N = np.zeros(0, dtype=np.int64)
    if steps and steps[0][0] == "suppress":
        banned_N = np.array(steps.pop(0)[1], dtype=np.int64)
    least = 0
    if steps and steps[0][0] == "min_length":
        # Where something else is left whatever the network says, so that it cannot lead to a dead
        # end.
        if vocab_size <= len({END_ID, *banned_N.tolist()}):
            return None
        least = int(steps.pop(0)[1])
    if any(name not in _STEPS for name, _ in steps):
        return None
    counted = [value[1:] for name, value in steps if name in _PENALTIES]
    if len(set(counted)) > 1:  # one count is kept for all of them
        return None
    span, spared = counted[0] if counted else (0, ())
    return CompiledChain(
        np.array([_STEPS[name] for name, _ in steps], dtype=np.int64),
        np.array([v[0] if name in _PENALTIES else v for name, v in steps], dtype=np.float64),
        banned_N,
        least,
        any(name == "repetition" for name, _ in steps),
        bool(counted),
        span,
        spared,
    )
