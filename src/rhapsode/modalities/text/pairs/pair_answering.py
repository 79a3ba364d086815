"""Searches for the answers to many inputs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Job, Predictor
from rhapsode.data import Condition, SourceStore
from rhapsode.encoding import Encoder
from rhapsode.generation import Chain
from rhapsode.generation.search.beam import Found, beam_searches

# Rows of a batch, over all of its inputs, and elements of these with their padding.
ROWS, READ_AT_ONCE = 640, 1 << 15
# An answer may be so many times as long as the longest output of the training split.
LONGEST = 2


@dataclass(frozen=True)
class Answer:
    """An output for an input.

    Arguments:
        text: the output.
        log_prob: of the output with its end, nats, under the model.
        score: number by which answers are ranked: `log_prob` over the length penalty.
        end: "stop" if the output ended by itself, "length" otherwise.
        elements: identifiers of the output.
    """

    text: str
    log_prob: float
    score: float
    end: str
    elements: tuple[int, ...] = ()

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        del plain["elements"]
        return plain


@dataclass(frozen=True)
class Search:
    """How answers are searched for.

    Arguments:
        beams: of each input; 1 takes the likeliest element each time.
        length: most elements of an answer.
        length_penalty: exponent of the length in the score.
        groups: a divisor of the beams.
        diversity_penalty: nats.
        answers: to each input; with fewer than beams a search ends sooner.
    """

    beams: int
    length: int
    length_penalty: float = 0.0
    groups: int = 1
    diversity_penalty: float = 0.0
    answers: int = 1


def condition_of(sources: Sequence[str], encoder: Encoder) -> Condition:
    """Inputs as a condition, a row each."""
    store = SourceStore.of([encoder.encode(source) for source in sources])
    return store.condition(np.arange(len(sources), dtype=np.int64))


def find_answers(
    predictor: Predictor,
    sources: SourceStore,
    chain: Chain,
    search: Search,
    encoder: Encoder,
) -> Iterator[list[Answer]]:
    """The best answers to sources, in their order.

    Sources of similar length share a batch; equal ones are read once.

    Arguments:
        predictor: a model of pairs.
        sources: what is answered.
        chain: what may be written.
        search: how.
        encoder: of the outputs.
    """
    found: dict[int, list[Found]] = {}
    for some in _batches(sources.lengths, max(1, ROWS // search.beams)):
        jobs = [_job(sources, number, search.length) for number in some]
        answers = beam_searches(
            predictor,
            jobs,
            chain,
            beams=search.beams,
            length_penalty=search.length_penalty,
            groups=search.groups,
            diversity_penalty=search.diversity_penalty,
            most=search.answers,
        )
        found |= dict(zip(some, answers, strict=True))
    for number in range(len(sources)):
        yield [
            Answer(
                encoder.decode(each.elements), each.log_prob, each.score, each.end, each.elements
            )
            for each in found[number]
        ]


def _batches(lengths: NDArray[np.int64], most: int) -> Iterator[list[int]]:
    """Numbers of sources of similar length.

    Arguments:
        lengths: of all sources.
        most: sources of a batch.
    """
    order = np.argsort(lengths, kind="stable").tolist()
    some: list[int] = []
    for number in order:
        if len(some) == most or (len(some) + 1) * int(lengths[number]) > READ_AT_ONCE:
            if some:
                yield some
            some = []
        some.append(number)
    if some:
        yield some


def _job(sources: SourceStore, number: int, length: int) -> Job:
    ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    return Job(ids, number, length, sources.condition(np.array([number], dtype=np.int64)))


def forced_log_prob(
    predictor: Predictor, condition: Condition, elements: Sequence[int], *, ended: bool = True
) -> float:
    """Log-probability (nats) of an output under a model of pairs.

    Arguments:
        predictor: the model.
        condition: the input, one row.
        elements: identifiers of the output.
        ended: whether the end counts too.
    """
    from rhapsode.data import Batch

    targets_1T = np.array([[*elements, 0] if ended else [*elements]], dtype=np.int64)
    inputs_1T = np.concatenate((np.zeros((1, 1), dtype=np.int64), targets_1T[:, :-1]), axis=1)
    weights_1T = np.ones(targets_1T.shape, dtype=np.float32)
    batch = Batch(inputs_1T, targets_1T, weights_1T, condition=condition)
    log_prob_1T, _ = predictor.score(batch, predictor.start(1, condition))
    return float(log_prob_1T.sum(dtype=np.float64))
