"""Clocks of a run.

The loop reads only a clock, so that time can be replayed.
"""

import math
import time
from abc import ABC, abstractmethod

LOOKING = 0.05


class Clock(ABC):
    """Tells the fraction of the run that is over before each step.

    Arguments:
        spent: seconds spent before now.
    """

    origin: float = 0.0
    """Elapsed seconds at which the fraction is 0; kept with the run."""
    begin: int = 0
    """Updates at which the fraction is 0; more than 0 in a run that was lengthened."""

    def __init__(self, spent: float = 0.0, begin: int = 0) -> None:
        self._spent, self.begin = spent, begin
        self._began = time.monotonic()

    @abstractmethod
    def fraction(self, step: int) -> float:
        """Completed fraction of the run, 0 to 1, after `step` updates.

        Of a run that was lengthened, the fraction of its last stage. The run ends at 1.
        """

    def elapsed(self) -> float:
        """Seconds spent so far, over all sessions of the run."""
        return self._spent + time.monotonic() - self._began

    def following(self) -> "Clock":
        """The clock of the next member, when this one's is over."""
        return self

    def reserve(self, seconds: float) -> None:  # noqa: B027 - most clocks need none
        """Keep time free at the end for the last evaluation and samples."""

    def affords(self, looking: float) -> bool:
        """True if another evaluation may come now, after `looking` seconds of them."""
        return True


class StepClock(Clock):
    """A run of a fixed number of steps.

    Arguments:
        steps: updates in all.
        spent: seconds spent before now.
        begin: updates at which the fraction is 0.
        members: networks that share the updates, this one included.
    """

    def __init__(self, steps: int, *, spent: float = 0.0, begin: int = 0, members: int = 1) -> None:
        super().__init__(spent, begin)
        self._all, self._members = steps - begin, members
        self._steps = max(1, self._all // members)

    def following(self) -> "StepClock":
        left = self._all - self._steps
        return StepClock(left, spent=self.elapsed(), members=max(1, self._members - 1))

    def fraction(self, step: int) -> float:
        return min(1.0, (step - self.begin) / self._steps)


class BudgetClock(Clock):
    """A run of a fixed time, last evaluation and samples included.

    Evaluations and samples may take the fraction `LOOKING` of the time, and the last one in
    addition.

    Arguments:
        seconds: in all.
        spent: seconds spent before now.
        origin: elapsed seconds at which the fraction is 0, so that reading and measuring take
            nothing from the schedule; None means now.
        begin: updates at which the fraction is 0.
        most_steps: updates from there at which the run ends if its time has not; None: as many as
            there is time for.
        members: networks that share the time that is left, this one included.
    """

    def __init__(
        self,
        seconds: float,
        *,
        spent: float = 0.0,
        origin: float | None = None,
        begin: int = 0,
        most_steps: int | None = None,
        members: int = 1,
    ) -> None:
        super().__init__(spent, begin)
        self.origin = spent if origin is None else origin
        self._all, self._asked, self._members = seconds, most_steps, members
        # The last one ends exactly with the budget.
        last = members == 1
        self._seconds = seconds if last else self.origin + (seconds - self.origin) / members
        self._most_steps = math.inf if most_steps is None else most_steps
        self._reserve = 0.0
        self._furthest = 0.0

    def following(self) -> "BudgetClock":
        members = max(1, self._members - 1)
        return BudgetClock(self._all, spent=self.elapsed(), most_steps=self._asked, members=members)

    def reserve(self, seconds: float) -> None:
        self._reserve = min(seconds, (self._seconds - self.origin) / 2)

    def affords(self, looking: float) -> bool:
        # The reserve is about what one more takes.
        return looking + self._reserve <= LOOKING * (self.elapsed() - self.origin)

    def fraction(self, step: int) -> float:
        """The fraction of the time that is over.

        The learning rate is a function of it (`learning_rate_factor`).
        """
        length = self._seconds - self._reserve - self.origin
        share = (self.elapsed() - self.origin) / length if length > 0 else 1.0
        self._furthest = min(1.0, max(self._furthest, share))
        done = step - self.begin
        # A budget that reading alone has used up still gets one update.
        return min(1.0, max(self._furthest, done / self._most_steps)) if done else 0.0
