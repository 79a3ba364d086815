"""Which model writes better, judged by a person who does not know which is which."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import is_there, write_atomically
from rhapsode.workflows.inference.comparison import Models, open_models

__all__ = [
    "Ballot",
    "Pair",
    "Score",
    "Vote",
    "blind_pairs",
    "passages_for",
    "scores_of",
    "sign_test",
]

Choice = Literal["first", "second", "tie"]

ELEMENTS_PER_CHARACTER = 4
"""Elements of a character, at most: bytes of UTF-8."""


@dataclass(frozen=True)
class Pair:
    """Two continuations of one prompt, in random order.

    Arguments:
        round: which one, from 0.
        prompt: what both continue.
        texts: the first and the second.
        models: who wrote them.
        seed: of the draw.
    """

    round: int
    prompt: str
    texts: tuple[str, str]
    models: tuple[str, str]
    seed: int


@dataclass(frozen=True)
class Vote:
    """The judgement of a person on a pair.

    Arguments:
        pair: the two texts and who wrote them.
        choice: which was better.
        when: the moment, ISO 8601, UTC.
    """

    pair: Pair
    choice: Choice
    when: str


@dataclass(frozen=True)
class Score:
    """Wins and ties of two models.

    Arguments:
        models: the two.
        wins: of each.
        ties: neither was better.
        p_value: chance of a result at least as uneven if both were alike (two-sided sign test, ties left out).
    """

    models: tuple[str, str]
    wins: tuple[int, int]
    ties: int
    p_value: float


@dataclass(frozen=True)
class _Kept:
    """Votes as they lie in their file."""

    format: Literal["rhapsode.votes"]
    version: Literal[1]
    votes: tuple[Vote, ...]


class Ballot:
    """Votes, kept in a JSON file behind every one of them; what the file holds already stays.

    Arguments:
        path: the file.

    Raises:
        RunError: it exists and holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.votes: list[Vote] = []
        if not is_there(path):
            return
        try:
            kept = from_mapping(_Kept, json.loads(path.read_bytes()), where=str(path))
        except (OSError, ValueError, AttributeError, RecursionError, SettingsError):
            raise RunError(
                "this file holds no votes of a blind comparison",
                where=str(path),
                hint="name another file with -o",
            ) from None
        self.votes = list(kept.votes)

    def add(self, pair: Pair, choice: Choice) -> None:
        """Keep a vote.

        Raises:
            RunError: the file cannot be written.
        """
        self.votes.append(Vote(pair, choice, datetime.now(UTC).isoformat(timespec="seconds")))
        told = (
            json.dumps(
                asdict(_Kept("rhapsode.votes", 1, tuple(self.votes))), ensure_ascii=False, indent=1
            )
            + "\n"
        )
        # Halves of surrogate pairs, which UTF-8 lacks, become escapes that JSON knows.
        write_atomically(self.path, told.encode("utf-8", "backslashreplace"))


def blind_pairs(
    models: Models, prompts: Sequence[str], settings: GenerateSettings, *, rounds: int
) -> Iterator[Pair]:
    """Pairs of continuations, the order of the two drawn anew each time.

    With more than two models every pair of them gets its turn.

    Arguments:
        models: at least two, of one modality.
        prompts: taken in turn; a model that has never seen a character of one is given what is left of it.
        settings: how they write; the seed decides all, and `length` counts characters.
        rounds: how many pairs.

    Raises:
        SettingsError: fewer than two models, one named twice, or no prompt.
        BundleError: a model that cannot be opened.
    """
    _, opened = open_models(models)
    if not prompts:
        raise SettingsError("a blind comparison needs a prompt", where="compare")
    for model in opened.values():
        model.ready(settings)
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    generator = np.random.default_rng(seed)
    couples = list(combinations(opened, 2))
    order = generator.permutation(len(couples))
    for number in range(rounds):
        couple = couples[order[number % len(couples)]]
        first, second = couple if generator.integers(2) else (couple[1], couple[0])
        prompt = prompts[number % len(prompts)]
        asked = replace(settings, seed=seed + number, unknown="skip", count=1)
        texts = [_written(opened[name], prompt, asked) for name in (first, second)]
        yield Pair(number, prompt, (texts[0], texts[1]), (first, second), seed + number)


def passages_for(
    models: Models,
    sources: Sequence[str],
    *,
    count: int,
    length: int,
    seed: int,
    **asked: Any,
) -> list[str]:
    """Prompts from random places of sources.

    Arguments:
        models: whose continuations are compared; sources are read as in the training of the first.
        sources: where prompts stand.
        count: how many.
        length: of each, at most.
        seed: of the places.
        asked: settings of the modality's comparisons by name.
    """
    modality, opened = open_models(models)
    part = modality.to_score(next(iter(opened.values())), sources, asked)
    return modality.passages(part, count=count, length=length, seed=seed)


def _written(model: Any, prompt: str, settings: GenerateSettings) -> str:
    """A continuation of `length` characters, where that is set, or of fewer where it ends by itself.

    As many of every model: their number would tell the encodings apart. Where a prompt names a file,
    `length` counts elements.
    """
    most = settings.length if model.prompts_are_text else None
    if most is not None:
        settings = replace(settings, length=most * ELEMENTS_PER_CHARACTER)
    text = ""
    for piece in model.stream(prompt, settings):
        text += piece.text
        if most is not None and len(text) >= most:
            break
    return text[:most]


def scores_of(votes: Sequence[Vote]) -> list[Score]:
    """Wins and ties of every pair of models that was voted on, in order of their names."""
    table: dict[tuple[str, str], list[int]] = {}
    for vote in votes:
        first, second = vote.pair.models
        couple = (first, second) if first < second else (second, first)
        counts = table.setdefault(couple, [0, 0, 0])
        if vote.choice == "tie":
            counts[2] += 1
        else:
            winner = vote.pair.models[0 if vote.choice == "first" else 1]
            counts[couple.index(winner)] += 1
    return [
        Score(couple, (one, other), ties, sign_test(one, other))
        for couple, (one, other, ties) in sorted(table.items())
    ]


def sign_test(one: int, other: int) -> float:
    """The two-sided p-value of a fair coin that fell `one` times to this and `other` times to that side."""
    total = one + other
    tail = sum(math.comb(total, k) for k in range(min(one, other) + 1))
    return float(min(1.0, 2 * tail / 2**total))
