"""Scores as they come from files, with the repairs that were necessary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rhapsode.encoding.music.score import Score

# Longest piece, in quarter notes: 55 hours at 120 a minute, so that no file has endless bars.
LONGEST = 400_000


@dataclass(frozen=True)
class ReadScore:
    """A piece of a source.

    Arguments:
        name: path of its file, and its title or number if there are several.
        score: the music.
        repairs: numbers of repairs, by what was done.
        split: train, validation or test if the source says so.
        rolls: True if the source gives pitches by steps of a grid.
    """

    name: str
    score: Score
    repairs: Mapping[str, int] = field(default_factory=dict)
    split: str | None = None
    rolls: bool = False


@dataclass
class Repairs:
    """Counts of repairs by name."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, number: int = 1) -> None:
        """Count a repair."""
        if number:
            self.counts[name] = self.counts.get(name, 0) + int(number)
