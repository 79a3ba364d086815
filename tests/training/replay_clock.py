"""A clock that replays a recorded run, step by step."""

from collections.abc import Collection, Sequence

from rhapsode.training import Clock


class ReplayClock(Clock):
    """A run whose fractions are known: those a `metrics.jsonl` recorded.

    Arguments:
        fractions: before each step; the run ends where they do.
        looks: steps behind which there was time for an evaluation; None for all of them.
    """

    def __init__(self, fractions: Sequence[float], looks: Collection[int] | None = None) -> None:
        self._fractions = tuple(fractions)
        self._looks = looks
        self._step = 0

    def affords(self, looking: float) -> bool:
        return self._looks is None or self._step in self._looks

    def fraction(self, step: int) -> float:
        self._step = step
        return self._fractions[step] if step < len(self._fractions) else 1.0

    def elapsed(self) -> float:
        return 0.0
