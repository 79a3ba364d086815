"""Continuations of prompts: sampling, search, and best of n."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdBundle, Predictor
from rhapsode.config import GenerateSettings, SamplingSettings
from rhapsode.config.search import SearchSettings, check_search
from rhapsode.data import Condition
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import SettingsError
from rhapsode.generation import PENALTIES, Chain, Filter, Job, StopText, chain_of, continue_jobs
from rhapsode.generation.filters.control_filters import control_filters
from rhapsode.generation.search import search
from rhapsode.generation.search.ranking import rank_by_likelihood, rank_by_novelty
from rhapsode.modalities.opened import Piece, with_seed

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex


LENGTH = 400
ROWS = 64
# Elements of a prompt that a decoder reads before the text of a continuation.
_BEFORE = 16
# Last elements in which penalties count occurrences, where elements are single characters: in a
# whole text nearly all of them occur.
CHARACTER_RANGE = 64
# Texts that end a repeated run where no others are named.
BREAKERS = ("\n", ":", '"', "*")


# Gives the index over the elements of the training data; called where `no_copy` asks for it only.
OpenIndex = Callable[[], "SuffixIndex"]


def chain_for(
    bundle: IdBundle,
    settings: GenerateSettings,
    open_index: OpenIndex | None = None,
    own: Sequence[Filter] = (),
) -> Chain:
    """The filters between a bundle's logits and the draw.

    Arguments:
        bundle: its encoder names the elements.
        settings: of the filters.
        open_index: for `no_copy`.
        own: constraints of the kind of sequence, which come first.

    Raises:
        SettingsError: a value out of range.
    """
    encoder = bundle.encoder
    suppressed = (UNKNOWN_ID,)  # never generated unless asked for
    check_search(settings, settings, count=settings.count)
    if settings.penalty_range is None and of_characters(encoder):
        settings = replace(settings, penalty_range=CHARACTER_RANGE)
    return chain_of(
        settings,
        vocab_size=encoder.vocab_size,
        suppressed=suppressed,
        control=[
            *own,
            *control_filters(
                settings,
                encoder,
                open_index,
                length=LENGTH if settings.length is None else settings.length,
                suppressed=suppressed,
            ),
        ],
        protected=(END_ID, *_elements_with(encoder, ("\n",)))
        if settings.xtc_probability
        else (END_ID,),
        breakers=_elements_with(encoder, settings.dry_breakers or BREAKERS)
        if settings.dry_multiplier
        else (),
        spared=_elements_with(encoder, settings.penalty_spare or ("\n",))
        if penalised(settings)
        else (),
    )


def penalised(settings: SamplingSettings) -> bool:
    """True if a penalty on occurrences is in use."""
    return any(getattr(settings, kind.setting) != kind.off for kind in PENALTIES)


def of_characters(encoder: Encoder) -> bool:
    """True if every element is a single character or byte."""
    return all(len(encoder.label(element)) == 1 for element in range(2, encoder.vocab_size))


def _elements_with(encoder: Encoder, texts: Sequence[str]) -> tuple[int, ...]:
    wanted = [text for text in texts if text]
    if not wanted:
        return ()
    own = {e: encoder.decode([e]) for e in range(UNKNOWN_ID + 1, encoder.vocab_size)}
    return tuple(e for e, said in own.items() if any(text in said for text in wanted))


def continue_prompt(
    predictor: Predictor,
    bundle: IdBundle,
    prompt: str,
    settings: GenerateSettings,
) -> Iterator[Piece]:
    """Continue a prompt; see `continue_prompts`."""
    ids_N = bundle.encoder.encode(prompt).astype(np.int64)
    return continue_prompts(predictor, bundle, [ids_N], settings)


def continue_prompts(
    predictor: Predictor,
    bundle: IdBundle,
    prompts: Sequence[NDArray[np.int64]],
    settings: GenerateSettings,
    open_index: OpenIndex | None = None,
    *,
    own: Sequence[Filter] = (),
    conditions: Sequence[Condition | None] = (),
) -> Iterator[Piece]:
    """Continue prompts `count` times each, up to 64 continuations side by side.

    A continuation depends on its prompt, its index and the seed alone, not on others of its batch.
    Prompts of equal length share a batch.

    Arguments:
        predictor: the model.
        bundle: its encoder.
        prompts: ids of each.
        settings: how.
        open_index: for `no_copy`.
        own: constraints of the kind of sequence.
        conditions: what each text depends on; empty: nothing.
    """
    under = list(conditions) or [None] * len(prompts)
    settings = with_seed(settings)
    encoder, chain = bundle.encoder, chain_for(bundle, settings, open_index, own)
    length = LENGTH if settings.length is None else settings.length
    if settings.searching or settings.best_of is not None:
        for number, prompt_N in enumerate(prompts):
            asked = (predictor, encoder, prompt_N, chain, settings)
            own_condition = under[number]
            found = (
                search_prompt(*asked, length=length, condition=own_condition)
                if settings.searching
                else draw_best(
                    *asked, length=length, open_index=open_index, condition=own_condition
                )
            )
            yield from (replace(piece, prompt=number) for piece in found)
        return
    by_length: dict[int, list[int]] = {}
    for number, prompt_N in enumerate(prompts):
        by_length.setdefault(len(prompt_N), []).append(number)
    for numbers in by_length.values():
        wanted = ((number, index) for number in numbers for index in range(settings.count))
        while rows := list(islice(wanted, ROWS)):
            if length == 0:
                yield from (Piece(index, "", "length", 0, number) for number, index in rows)
                continue
            jobs = [Job(prompts[number], index, length, under[number]) for number, index in rows]
            for piece, _ in _write(predictor, encoder, jobs, chain, settings):
                number, index = rows[piece.index]
                yield replace(piece, index=index, prompt=number)


def _write(
    predictor: Predictor,
    encoder: Encoder,
    jobs: Sequence[Job],
    chain: Chain,
    settings: GenerateSettings,
) -> Iterator[tuple[Piece, list[int]]]:
    """Pieces and elements of jobs with prompts of one length.

    The index of a piece is that of its job. End-of-sequence is among the elements.
    """
    assert settings.seed is not None
    texts = [_stop_text(encoder, job.prompt_N, settings) for job in jobs]
    written = [0] * len(jobs)
    dropped: set[int] = set()
    for one in continue_jobs(
        predictor, jobs, chain, seed=settings.seed, dropped=dropped, trace=settings.trace
    ):
        text, end = texts[one.job], one.last
        parts: list[str] = []
        elements: list[int] = []
        for element in one.elements:
            elements.append(element)
            if element != END_ID:
                parts.append(text.feed(element))
            if text.stopped:
                break
        written[one.job] += len(parts)
        if text.stopped:
            dropped.add(one.job)
        elif end is not None:
            parts.append(text.finish())
        if text.stopped:  # perhaps by what had been held back
            end = "stop"
        chosen = tuple(element for element in elements if element != END_ID)
        yield (
            Piece(one.job, "".join(parts), end, written[one.job], 0, one.trace, chosen),
            elements,
        )


def _stop_text(
    encoder: Encoder, prompt_N: NDArray[np.int64], settings: GenerateSettings
) -> StopText:
    decoder = encoder.decoder()
    # The text of an element, as a space before a word, may depend on the elements before it.
    decoder.feed(prompt_N[-_BEFORE:])
    return StopText(decoder, settings.stop, after=settings.min_length)


def look_back(bundle: IdBundle) -> int | None:
    """Elements that a model sees at once; None without a limit."""
    if bundle.context.kind == "window":
        return bundle.context.size
    if bundle.network is None:
        return None
    window = bundle.network.model.settings.get("window")
    return window if isinstance(window, int) else None


def way_of(settings: SearchSettings) -> str:
    """Describe in a few words how elements are chosen after the chain."""
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
    condition: Condition | None = None,
) -> Iterator[Piece]:
    """The best `count` continuations that a search finds, cut at stop texts.

    Arguments:
        predictor: the model.
        encoder: of the model.
        prompt_N: ids of the prompt.
        chain: filters of candidates.
        settings: with beams or contrastive search, and a seed.
        length: most elements.
        condition: what the text depends on; None: nothing.
    """
    assert settings.seed is not None
    job = Job(prompt_N, 0, length, condition)
    found = search(predictor, job, chain, settings, seed=settings.seed)
    for index, one in enumerate(found[: settings.count]):
        yield _cut(encoder, prompt_N, index, one.elements, end=one.end, settings=settings)


def draw_best(
    predictor: Predictor,
    encoder: Encoder,
    prompt_N: NDArray[np.int64],
    chain: Chain,
    settings: GenerateSettings,
    *,
    length: int,
    open_index: OpenIndex | None,
    condition: Condition | None = None,
) -> Iterator[Piece]:
    """`count` continuations, each the best of `best_of` that are drawn.

    Arguments:
        predictor: the model.
        encoder: of the model.
        prompt_N: ids of the prompt.
        chain: filters before the draw.
        settings: with `best_of` and a seed.
        length: most elements.
        open_index: gives the index over the elements of the training data; called to rank by
            novelty only.
        condition: what the text depends on; None: nothing.

    Raises:
        SettingsError: there is no index for the ranking.
    """
    assert settings.best_of is not None
    index = None
    if settings.rank_by == "novelty":
        if open_index is None:
            raise SettingsError("there is no index of the training data", where="--rank-by")
        index = open_index()
    plain = replace(settings, trace=None)
    for number in range(settings.count):
        first = number * settings.best_of
        jobs = [Job(prompt_N, first + each, length, condition) for each in range(settings.best_of)]
        outputs: list[list[int]] = [[] for _ in jobs]
        for start in range(0, len(jobs), ROWS):
            some = jobs[start : start + ROWS]
            for piece, elements in _write(predictor, encoder, some, chain, plain):
                outputs[start + piece.index] += elements
        ranked = (
            rank_by_likelihood(predictor, prompt_N, outputs, condition)
            if index is None
            else rank_by_novelty(index, outputs)
        )
        best = outputs[ranked[0]]
        end = "stop" if END_ID in best else "length"
        chosen = [each for each in best if each != END_ID]
        yield _cut(encoder, prompt_N, number, chosen, end=end, settings=settings)


def _cut(
    encoder: Encoder,
    prompt_N: NDArray[np.int64],
    index: int,
    elements: Sequence[int],
    *,
    end: str,
    settings: GenerateSettings,
) -> Piece:
    """A continuation up to its stop text, which is left out."""
    text = _stop_text(encoder, prompt_N, settings)
    parts: list[str] = []
    for element in elements:
        parts.append(text.feed(element))
        if text.stopped:
            break
    chosen = tuple(elements[: len(parts)])
    parts.append(text.finish())
    end = "stop" if text.stopped else end
    return Piece(index, "".join(parts), end, len(chosen), chosen=chosen)
