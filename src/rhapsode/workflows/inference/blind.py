"""Blind comparison of texts by a person, without the models' names."""

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

Choice = Literal["first", "second", "tie"]

# Elements of a character, at most: bytes of UTF-8.
ELEMENTS_PER_CHARACTER = 4
# Characters of a prompt from a source, at most.
PASSAGE = 120


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
        p_value: chance of a result at least as uneven if both were alike (two-sided sign test, ties
            left out).
    """

    models: tuple[str, str]
    wins: tuple[int, int]
    ties: int
    p_value: float


@dataclass(frozen=True)
class _VotesFile:
    """Contents of a file of votes."""

    format: Literal["rhapsode.votes"]
    version: Literal[1]
    votes: tuple[Vote, ...]


class BlindComparison:
    """Pairs of continuations, and votes that are kept in a JSON file.

    Arguments:
        models: at least two, of one modality.
        path: the file; votes already in it are kept.
        settings: of the continuations; the seed decides all, and `length` counts characters.

    Raises:
        RunError: the file holds something else.
        SettingsError: fewer than two models, or one named twice.
        BundleError: a model that cannot be opened.
    """

    def __init__(self, models: Models, path: str | Path, settings: GenerateSettings) -> None:
        self.path = Path(path)
        self.votes = _votes_in(self.path)
        self._modality, self._models = open_models(models)
        seed = secrets.randbits(32) if settings.seed is None else settings.seed
        self._seed, self._settings = seed, replace(settings, unknown="skip", count=1)

    def passages(self, sources: Sequence[Any], count: int, **settings: Any) -> list[str]:
        """Prompts from random places of sources.

        Arguments:
            sources: of the prompts, read as in the training of the first model.
            count: of the prompts.
            settings: of the modality's comparisons by name.
        """
        part = self._modality.to_score(next(iter(self._models.values())), sources, settings)
        return self._modality.passages(part, count=count, length=PASSAGE, seed=self._seed)

    def pairs(self, prompts: Sequence[str], rounds: int) -> Iterator[Pair]:
        """Pairs of continuations, in random order.

        Every pair of models gets its turn.

        Arguments:
            prompts: taken in turn; characters that a model has never seen are left out for it.
            rounds: count of pairs.

        Raises:
            SettingsError: no prompt.
        """
        if not prompts:
            raise SettingsError("a blind comparison needs a prompt", where="compare")
        for model in self._models.values():
            model.ready(self._settings)
        generator = np.random.default_rng(self._seed)
        couples = list(combinations(self._models, 2))
        order = generator.permutation(len(couples))
        for number in range(rounds):
            couple = couples[order[number % len(couples)]]
            first, second = couple if generator.integers(2) else couple[::-1]
            prompt, seed = prompts[number % len(prompts)], self._seed + number
            texts = self._written(first, prompt, seed), self._written(second, prompt, seed)
            yield Pair(number, prompt, texts, (first, second), seed)

    def _written(self, name: str, prompt: str, seed: int) -> str:
        """A continuation of `length` characters, or fewer if it ends by itself.

        Every model writes the same number of characters, because a difference would reveal the
        encoding. Where a prompt names a file, `length` counts elements.
        """
        model, settings = self._models[name], replace(self._settings, seed=seed)
        most = settings.length if model.prompts_are_text else None
        if most is not None:
            settings = replace(settings, length=most * ELEMENTS_PER_CHARACTER)
        text = ""
        for piece in model.stream(prompt, settings):
            text += piece.text
            if most is not None and len(text) >= most:
                break
        return text[:most]

    def vote(self, pair: Pair, choice: Choice) -> None:
        """Keep a vote.

        Raises:
            RunError: the file cannot be written.
        """
        self.votes.append(Vote(pair, choice, datetime.now(UTC).isoformat(timespec="seconds")))
        contents = asdict(_VotesFile("rhapsode.votes", 1, tuple(self.votes)))
        text = json.dumps(contents, ensure_ascii=False, indent=1) + "\n"
        # Halves of surrogate pairs, which UTF-8 lacks, become escapes that JSON knows.
        write_atomically(self.path, text.encode("utf-8", "backslashreplace"))

    def scores(self) -> list[Score]:
        """Wins and ties of every pair of models, ordered by names."""
        table: dict[tuple[str, ...], list[int]] = {}
        for vote in self.votes:
            couple = tuple(sorted(vote.pair.models))
            wins = table.setdefault(couple, [0, 0, 0])
            if vote.choice == "tie":
                wins[2] += 1
            else:
                wins[couple.index(vote.pair.models[vote.choice == "second"])] += 1
        return [
            Score((couple[0], couple[1]), (one, other), ties, sign_test(one, other))
            for couple, (one, other, ties) in sorted(table.items())
        ]


def _votes_in(path: Path) -> list[Vote]:
    if not is_there(path):
        return []
    try:
        contents = from_mapping(_VotesFile, json.loads(path.read_bytes()), where=str(path))
    except (OSError, ValueError, AttributeError, RecursionError, SettingsError):
        raise RunError(
            "this file holds no votes of a blind comparison",
            where=str(path),
            hint="name another file with -o",
        ) from None
    return list(contents.votes)


def sign_test(one: int, other: int) -> float:
    """The two-sided p-value of a sign test.

    Arguments:
        one: times that a fair coin fell to one side.
        other: times that it fell to the other.
    """
    total = one + other
    tail = sum(math.comb(total, k) for k in range(min(one, other) + 1))
    return float(min(1.0, 2 * tail / 2**total))
