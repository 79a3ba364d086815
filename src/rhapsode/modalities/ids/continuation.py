"""Prompts to continuations: encoder, chain and loop put together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.bundle import Predictor
from rhapsode.bundle.id_facts import IdBundle
from rhapsode.config import GenerateSettings
from rhapsode.config.search import check_search
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.generation import Chain, Job, StopText, Trace, chain_of, continue_jobs
from rhapsode.generation.filters.control_filters import control_filters
from rhapsode.modalities.ids.search_prompt import draw_best, search_prompt

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

__all__ = [
    "Continuation",
    "OpenIndex",
    "Piece",
    "chain_for",
    "collect",
    "continue_prompt",
    "continue_prompts",
    "look_back",
    "suppressed_elements",
    "with_seed",
]

LENGTH = 400
ROWS = 64
BREAKERS = ("\n", ":", '"', "*")
"""Texts that end a repeated run where no others are named."""


@dataclass(frozen=True)
class Piece:
    """Text as it comes.

    Arguments:
        index: which continuation.
        text: what is certain now; may be empty.
        end: "stop" or "length" with the last piece, else None.
        elements: new elements so far.
        prompt: which prompt it continues, from 0.
        trace: how the element was chosen, where that was asked for.
    """

    index: int
    text: str
    end: str | None
    elements: int
    prompt: int = 0
    trace: Trace | None = None


@dataclass(frozen=True)
class Continuation:
    """One finished continuation.

    Arguments:
        index: which one; with the seed it decides the draw.
        prompt: what it continues.
        text: what was written.
        elements: how many elements that took.
        finish_reason: "stop" (end-of-sequence or a stop text) or "length".
        seed: of the draw.
        temperature: it was written at; None where nobody said.
        trace: how every element was chosen, end-of-sequence included, where that was asked for.
    """

    index: int
    prompt: str
    text: str
    elements: int
    finish_reason: str
    seed: int
    temperature: float | None = None
    trace: tuple[Trace, ...] | None = None


def with_seed(settings: GenerateSettings) -> GenerateSettings:
    """The settings with a fresh seed where none was given."""
    return settings if settings.seed is not None else replace(settings, seed=secrets.randbits(32))


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
    yield from continue_prompts(predictor, bundle, [prompt], settings, open_index)


def continue_prompts(
    predictor: Predictor,
    bundle: IdBundle,
    prompts: Sequence[str],
    settings: GenerateSettings,
    open_index: OpenIndex | None = None,
) -> Iterator[Piece]:
    """Continue prompts `count` times each, up to 64 continuations side by side.

    What a continuation says depends on its prompt, its index and the seed, never on what is written beside it. Prompts
    of equal length share a batch; those of other lengths follow.

    Arguments:
        predictor: what predicts.
        bundle: its encoder.
        prompts: texts without unseen characters.
        settings: how.
        open_index: for `no_copy`.
    """
    settings = with_seed(settings)
    chain = chain_for(bundle, settings, open_index)
    encoded = [bundle.encoder.encode(prompt).astype(np.int64) for prompt in prompts]
    by_length: dict[int, list[int]] = {}
    for number, prompt_N in enumerate(encoded):
        by_length.setdefault(len(prompt_N), []).append(number)
    length = LENGTH if settings.length is None else settings.length
    if settings.searching or settings.best_of is not None:
        asked = (predictor, bundle.encoder)
        for number, prompt_N in enumerate(encoded):
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
            jobs = [Job(encoded[number], index, length) for number, index in rows]
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


def collect(
    pieces: Iterable[Piece], prompts: Sequence[str], settings: GenerateSettings
) -> Iterator[Continuation]:
    """Finished continuations, in order of prompts and indices, each as soon as all before it are finished.

    Arguments:
        pieces: what `continue_prompts` gives for the same prompts and settings.
        prompts: what is continued.
        settings: how, with a seed.
    """
    assert settings.seed is not None
    parts: dict[tuple[int, int], list[str]] = {}
    traces: dict[tuple[int, int], list[Trace]] = {}
    finished: dict[tuple[int, int], Continuation] = {}
    order = ((number, index) for number in range(len(prompts)) for index in range(settings.count))
    following = next(order, None)
    for piece in pieces:
        key = (piece.prompt, piece.index)
        parts.setdefault(key, []).append(piece.text)
        if piece.trace is not None:
            traces.setdefault(key, []).append(piece.trace)
        if piece.end is None:
            continue
        finished[key] = Continuation(
            piece.index,
            prompts[piece.prompt],
            "".join(parts.pop(key)),
            piece.elements,
            piece.end,
            settings.seed,
            settings.temperature,
            tuple(traces.pop(key, ())) if settings.trace is not None else None,
        )
        while following in finished:
            yield finished.pop(following)
            following = next(order, None)
    # A search may find fewer than were asked for, so that the order has gaps.
    yield from (finished[key] for key in sorted(finished))


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
