"""Prompts to continuations: encoder, chain and loop put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.bundle.id_facts import IdBundle
from rhapsode.config import GenerateSettings
from rhapsode.config.search import check_search
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.generation import Chain, Job, StopText, chain_of, continue_jobs
from rhapsode.generation.filters.control_filters import control_filters
from rhapsode.modalities.ids.search_prompt import draw_best, search_prompt
from rhapsode.modalities.opened import Piece, with_seed

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

__all__ = [
    "OpenIndex",
    "chain_for",
    "continue_prompt",
    "continue_prompts",
    "look_back",
    "suppressed_elements",
]

LENGTH = 400
ROWS = 64
BREAKERS = ("\n", ":", '"', "*")
"""Texts that end a repeated run where no others are named."""


OpenIndex = Callable[[], "SuffixIndex"]
"""Gives the index over the elements of the training data; called where `no_copy` asks for it only."""


def chain_for(
    bundle: IdBundle, settings: GenerateSettings, open_index: OpenIndex | None = None
) -> Chain:
    """The filters between a bundle's logits and the draw.

    Arguments:
        bundle: its encoder names the elements.
        settings: what to apply.
        open_index: for `no_copy`.

    Raises:
        SettingsError: a value out of range.
    """
    encoder = bundle.encoder
    check_search(settings, settings, count=settings.count)
    return chain_of(
        settings,
        vocab_size=encoder.vocab_size,
        suppressed=suppressed_elements(),
        control=control_filters(
            settings,
            encoder,
            open_index,
            length=LENGTH if settings.length is None else settings.length,
            suppressed=suppressed_elements(),
        ),
        protected=(END_ID, *_elements_with(encoder, ("\n",)))
        if settings.xtc_probability
        else (END_ID,),
        breakers=_elements_with(encoder, settings.dry_breakers or BREAKERS)
        if settings.dry_multiplier
        else (),
    )


def _elements_with(encoder: Encoder, texts: Sequence[str]) -> tuple[int, ...]:
    """The elements whose own text holds one of these."""
    wanted = [text for text in texts if text]
    if not wanted:
        return ()
    said = (encoder.decode([element]) for element in range(UNKNOWN_ID + 1, encoder.vocab_size))
    return tuple(
        element
        for element, own in enumerate(said, UNKNOWN_ID + 1)
        if any(text in own for text in wanted)
    )


def continue_prompt(
    predictor: Predictor,
    bundle: IdBundle,
    prompt: str,
    settings: GenerateSettings,
    open_index: OpenIndex | None = None,
) -> Iterator[Piece]:
    """Continue a prompt; see `continue_prompts`."""
    ids_N = bundle.encoder.encode(prompt).astype(np.int64)
    yield from continue_prompts(predictor, bundle, [ids_N], settings, open_index)


def continue_prompts(
    predictor: Predictor,
    bundle: IdBundle,
    prompts: Sequence[NDArray[np.int64]],
    settings: GenerateSettings,
    open_index: OpenIndex | None = None,
) -> Iterator[Piece]:
    """Continue prompts `count` times each, up to 64 continuations side by side.

    What a continuation says depends on its prompt, its index and the seed, never on what is written beside it. Prompts
    of equal length share a batch; those of other lengths follow.

    Arguments:
        predictor: what predicts.
        bundle: its encoder.
        prompts: ids of each.
        settings: how.
        open_index: for `no_copy`.
    """
    settings = with_seed(settings)
    chain = chain_for(bundle, settings, open_index)
    by_length: dict[int, list[int]] = {}
    for number, prompt_N in enumerate(prompts):
        by_length.setdefault(len(prompt_N), []).append(number)
    length = LENGTH if settings.length is None else settings.length
    if settings.searching or settings.best_of is not None:
        asked = (predictor, bundle.encoder)
        for number, prompt_N in enumerate(prompts):
            found = (
                search_prompt(*asked, prompt_N, chain, settings, length=length)
                if settings.searching
                else draw_best(
                    *asked, prompt_N, chain, settings, length=length, open_index=open_index
                )
            )
            for index, one in enumerate(found):
                yield Piece(index, one.text, one.end, one.elements, number)
        return
    for numbers in by_length.values():
        wanted = ((number, index) for number in numbers for index in range(settings.count))
        while rows := list(islice(wanted, ROWS)):
            if length == 0:
                yield from (Piece(index, "", "length", 0, number) for number, index in rows)
                continue
            jobs = [Job(prompts[number], index, length) for number, index in rows]
            for piece in _write(predictor, bundle, jobs, chain, settings):
                number, index = rows[piece.index]
                yield replace(piece, index=index, prompt=number)


def _write(
    predictor: Predictor,
    bundle: IdBundle,
    jobs: Sequence[Job],
    chain: Chain,
    settings: GenerateSettings,
) -> Iterator[Piece]:
    """The pieces of jobs with prompts of one length; a piece's index is its job's."""
    assert settings.seed is not None
    texts = [
        StopText(bundle.encoder.decoder(), settings.stop, after=settings.min_length) for _ in jobs
    ]
    written = [0] * len(jobs)
    dropped: set[int] = set()
    for one in continue_jobs(
        predictor, jobs, chain, seed=settings.seed, dropped=dropped, trace=settings.trace
    ):
        job, text, end = one.job, texts[one.job], one.last
        parts: list[str] = []
        for element in one.elements:
            if element != END_ID:
                written[job] += 1
                parts.append(text.feed(element))
                if text.stopped:
                    break
        if text.stopped:
            end = "stop"
            dropped.add(job)
        elif end is not None:
            parts.append(text.finish())
            if text.stopped:  # by what had been held back
                end = "stop"
        yield Piece(job, "".join(parts), end, written[job], trace=one.trace)


def look_back(bundle: IdBundle) -> int | None:
    """How many elements a model sees at once; None where it carries all it has read."""
    if bundle.context.kind == "window":
        return bundle.context.size
    if bundle.network is None:
        return None
    window = bundle.network.model.settings.get("window")
    return window if isinstance(window, int) else None


def suppressed_elements() -> tuple[int, ...]:
    """Elements never generated unless asked for: the unknown one."""
    return (UNKNOWN_ID,)
