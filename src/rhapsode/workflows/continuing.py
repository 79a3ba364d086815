"""Prompts to continuations: encoder, chain and loop put together."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rhapsode.bundle import Bundle, Predictor
from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID, UNKNOWN_ID
from rhapsode.generation import Chain, Job, StopText, chain_of, generate_elements

__all__ = ["Continuation", "Piece", "continue_prompt", "suppressed_elements", "with_seed"]

LENGTH = 400
ROWS = 64


@dataclass(frozen=True)
class Piece:
    """Text as it comes.

    Arguments:
        index: which continuation.
        text: what is certain now; may be empty.
        end: "stop" or "length" with the last piece, else None.
        elements: new elements so far.
    """

    index: int
    text: str
    end: str | None
    elements: int


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
    """

    index: int
    prompt: str
    text: str
    elements: int
    finish_reason: str
    seed: int


def with_seed(settings: GenerateSettings) -> GenerateSettings:
    """The settings with a fresh seed where none was given."""
    if settings.seed is not None:
        return settings
    return GenerateSettings(**{**settings.__dict__, "seed": secrets.randbits(32)})


def continue_prompt(
    predictor: Predictor, bundle: Bundle, prompt: str, settings: GenerateSettings
) -> Iterator[Piece]:
    """Continue a prompt, up to 64 continuations side by side.

    Arguments:
        predictor: what predicts.
        bundle: its encoder.
        prompt: text without unseen characters.
        settings: how.
    """
    settings = with_seed(settings)
    assert settings.seed is not None
    encoder = bundle.encoder
    chain: Chain = chain_of(
        settings, vocab_size=encoder.vocab_size, suppressed=suppressed_elements()
    )
    prompt_N = encoder.encode(prompt).astype(np.int64)
    length = LENGTH if settings.length is None else settings.length
    for first in range(0, settings.count, ROWS):
        indices = range(first, min(first + ROWS, settings.count))
        if length == 0:
            yield from (Piece(index, "", "length", 0) for index in indices)
            continue
        jobs = [Job(prompt_N, index, length) for index in indices]
        texts = [StopText(encoder.decoder(), settings.stop) for _ in jobs]
        written = [0] * len(jobs)
        dropped: set[int] = set()
        for chosen in generate_elements(
            predictor, jobs, chain, seed=settings.seed, dropped=dropped
        ):
            text = texts[chosen.job]
            piece = ""
            if chosen.element != END_ID:
                written[chosen.job] += 1
                piece = text.feed(chosen.element)
            end = chosen.last
            if text.stopped:
                end = "stop"
                dropped.add(chosen.job)
            elif end is not None:
                piece += text.finish()
                if text.stopped:  # by what had been held back
                    end = "stop"
            yield Piece(first + chosen.job, piece, end, written[chosen.job])


def suppressed_elements() -> tuple[int, ...]:
    """Elements never generated unless asked for: the unknown one."""
    return (UNKNOWN_ID,)
