"""Continuations that are searched for, or picked from several that are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import GenerateSettings
from rhapsode.config.search import SearchSettings
from rhapsode.encoding import END_ID, Encoder
from rhapsode.errors import SettingsError
from rhapsode.generation import Chain, Job, StopText, continue_jobs
from rhapsode.generation.search import search
from rhapsode.generation.search.ranking import rank_by_likelihood, rank_by_novelty

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

__all__ = ["Written", "draw_best", "search_prompt", "way_of"]

ROWS = 64


@dataclass(frozen=True)
class Written:
    """One continuation.

    Arguments:
        text: up to a stop text, if it has one.
        elements: how many that took, end-of-sequence not counted.
        end: "stop" or "length".
    """

    text: str
    elements: int
    end: str


def way_of(settings: SearchSettings) -> str:
    """How elements are chosen behind the chain, in a few words."""
    if settings.penalty_alpha is not None:
        return f"contrastive search {settings.penalty_alpha:g}"
    if settings.beams is not None:
        kind = "stochastic beams" if settings.stochastic_beams else "beams"
        groups = f" in {settings.beam_groups} groups" if settings.beam_groups > 1 else ""
        return f"{settings.beams} {kind}{groups}"
    if settings.best_of is not None:
        return f"draw, the best of {settings.best_of} by {settings.rank_by}"
    return "draw"


def search_prompt(
    predictor: Predictor,
    encoder: Encoder,
    prompt_N: NDArray[np.int64],
    chain: Chain,
    settings: GenerateSettings,
    *,
    length: int,
) -> list[Written]:
    """The best `count` continuations that a search finds; stop texts cut what was found.

    Arguments:
        predictor: what predicts.
        encoder: of the model.
        prompt_N: ids of the prompt.
        chain: what may be written.
        settings: with beams or contrastive search, and a seed.
        length: most elements.
    """
    assert settings.seed is not None
    found = search(predictor, Job(prompt_N, 0, length), chain, settings, seed=settings.seed)
    return [
        _cut(encoder, [*each.elements, *([END_ID] if each.end == "stop" else [])], settings)[0]
        for each in found[: settings.count]
    ]


def draw_best(
    predictor: Predictor,
    encoder: Encoder,
    prompt_N: NDArray[np.int64],
    chain: Chain,
    settings: GenerateSettings,
    *,
    length: int,
    open_index: Callable[[], SuffixIndex] | None,
) -> list[Written]:
    """`count` continuations, each the best of `best_of` that are drawn.

    Arguments:
        predictor: what predicts.
        encoder: of the model.
        prompt_N: ids of the prompt.
        chain: filters before the draw.
        settings: with `best_of` and a seed.
        length: most elements.
        open_index: gives the index over the elements of the training data; called to rank by novelty only.

    Raises:
        SettingsError: there is no index to rank by.
    """
    assert settings.seed is not None
    assert settings.best_of is not None
    index = None
    if settings.rank_by == "novelty":
        if open_index is None:
            raise SettingsError("there is no index of the training data", where="--rank-by")
        index = open_index()
    best: list[Written] = []
    for number in range(settings.count):
        first = number * settings.best_of
        jobs = [Job(prompt_N, first + each, length) for each in range(settings.best_of)]
        outputs: list[list[int]] = []
        for start in range(0, len(jobs), ROWS):
            some = jobs[start : start + ROWS]
            drawn: list[list[int]] = [[] for _ in some]
            texts = [_stop_text(encoder, settings) for _ in some]
            dropped: set[int] = set()
            for one in continue_jobs(predictor, some, chain, seed=settings.seed, dropped=dropped):
                drawn[one.job] += one.elements
                for element in one.elements:
                    if element != END_ID:
                        texts[one.job].feed(element)
                if texts[one.job].stopped:
                    dropped.add(one.job)
            outputs += drawn
        cut = [_cut(encoder, output, settings) for output in outputs]
        ids = [shown for _, shown in cut]
        ranked = (
            rank_by_likelihood(predictor, prompt_N, ids)
            if index is None
            else rank_by_novelty(index, ids)
        )
        best.append(cut[ranked[0]][0])
    return best


def _stop_text(encoder: Encoder, settings: GenerateSettings) -> StopText:
    return StopText(encoder.decoder(), settings.stop, after=settings.min_length)


def _cut(
    encoder: Encoder, output: Sequence[int], settings: GenerateSettings
) -> tuple[Written, list[int]]:
    """A continuation up to its stop text, and its elements, those that complete the stop text included."""
    text = _stop_text(encoder, settings)
    parts: list[str] = []
    for place, element in enumerate(output, 1):
        if element == END_ID:
            return Written("".join([*parts, text.finish()]), place - 1, "stop"), list(output)
        parts.append(text.feed(element))
        if text.stopped:
            return Written("".join(parts), place, "stop"), list(output[:place])
    parts.append(text.finish())
    end = "stop" if text.stopped else "length"
    return Written("".join(parts), len(output), end), list(output)
