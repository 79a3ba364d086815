"""The loop that chooses one element after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.draw import draw, uniforms
from rhapsode.generation.filters.contract import Context
from rhapsode.generation.trace import Trace, trace_of

__all__ = ["Chosen", "Job", "generate_elements"]


@dataclass(frozen=True)
class Job:
    """One continuation to write.

    Arguments:
        prompt_N: ids of the prompt, without the end-of-sequence that every text starts behind.
        sequence: index of the continuation; with the seed it decides the draw.
        length: most new elements, end-of-sequence not counted.
    """

    prompt_N: NDArray[np.int64]
    sequence: int
    length: int


@dataclass(frozen=True)
class Chosen:
    """What one step chose for one job.

    Arguments:
        job: index into the jobs.
        element: id; end-of-sequence when the text ended by itself.
        last: why it ended, "stop" or "length"; None while it goes on.
        trace: how the choice came about, where that was asked for.
    """

    job: int
    element: int
    last: str | None
    trace: Trace | None = None


def generate_elements(
    predictor: Predictor,
    jobs: Sequence[Job],
    chain: Chain,
    *,
    seed: int,
    dropped: set[int] | None = None,
    trace: int | None = None,
) -> Iterator[Chosen]:
    """Write all jobs side by side, an element of each in turn.

    A job ends at end-of-sequence, at its length, or when the caller adds its index to `dropped`.

    Arguments:
        predictor: the model.
        jobs: what to continue.
        chain: filters between the model's logits and the draw.
        seed: seed of the draw.
        dropped: indices of jobs that the caller has ended.
        trace: explain every choice, with this many of the likeliest elements; None explains nothing.
    """
    dropped = dropped if dropped is not None else set()
    live = [index for index, job in enumerate(jobs) if job.length > 0]
    if not live:
        return
    logits_BV, state = _read_prompts(predictor, [jobs[index] for index in live])
    states = chain.init(len(live))
    outputs = {index: _Written() for index in live}
    position = 0
    while live:
        context = Context(
            tuple(jobs[index].prompt_N for index in live),
            tuple(outputs[index].view() for index in live),
            np.full(len(live), position, dtype=np.int64),
            np.array([jobs[index].sequence for index in live], dtype=np.int64),
            seed,
        )
        if trace is None:
            filtered_BV, states = chain.apply(logits_BV, context, states)
            removed_SB = None
        else:
            filtered_BV, states, removed_SB = chain.apply_counting(logits_BV, context, states)
        uniform_B = uniforms(seed, context.sequence_B, context.position_B)
        chosen_B = draw(filtered_BV, uniform_B)
        position += 1
        going: list[int] = []
        for row, index in enumerate(live):
            element = int(chosen_B[row])
            outputs[index].append(element)
            last = (
                "stop"
                if element == END_ID
                else "length"
                if position >= jobs[index].length
                else None
            )
            told = None
            if trace is not None and removed_SB is not None:
                removed = [int(count) for count in removed_SB[:, row]]
                told = trace_of(
                    chain, logits_BV[row], filtered_BV[row], removed, element=element, top=trace
                )
            yield Chosen(index, element, last, told)
            if last is None and index not in dropped:
                going.append(row)
        if len(going) < len(live):
            rows_R = np.array(going, dtype=np.int64)
            live = [live[row] for row in going]
            if not live:
                return
            state = predictor.select(state, rows_R)
            states = chain.select(states, rows_R)
            chosen_B = chosen_B[rows_R]
        logits_BV, state = predictor.advance(chosen_B[:, None], state)


class _Written:
    """Ids written so far, in a buffer that doubles; views of it are read-only."""

    def __init__(self) -> None:
        self._buffer = np.empty(256, dtype=np.int64)
        self._size = 0

    def append(self, element: int) -> None:
        if self._size == len(self._buffer):
            self._buffer = np.concatenate((self._buffer, np.empty_like(self._buffer)))
        self._buffer[self._size] = element
        self._size += 1

    def view(self) -> NDArray[np.int64]:
        seen = self._buffer[: self._size]
        seen.flags.writeable = False
        return seen


def _read_prompts(predictor: Predictor, jobs: Sequence[Job]) -> tuple[NDArray[np.float32], object]:
    """Logits behind every prompt and the joint state; equal prompts are read once."""
    texts = [job.prompt_N.tobytes() for job in jobs]
    distinct = list(dict.fromkeys(texts))
    end_1 = np.array([END_ID], dtype=np.int64)
    if len({len(text) for text in distinct}) == 1:
        first_of = [jobs[texts.index(text)] for text in distinct]
        elements_BT = np.stack([np.concatenate((end_1, job.prompt_N)) for job in first_of])
        logits_BV, state = predictor.advance(elements_BT, predictor.start(len(distinct)))
        rows_R = np.array([distinct.index(text) for text in texts], dtype=np.int64)
        return logits_BV[rows_R], predictor.select(state, rows_R)
    raise ValueError("prompts of one call must have the same number of elements")
