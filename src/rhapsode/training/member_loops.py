"""Training of a model's networks, one after the other, within one limit."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rhapsode.log import log
from rhapsode.training.checkpoint import Checkpoint, read_checkpoint
from rhapsode.training.clock import Clock
from rhapsode.training.distributed import Group
from rhapsode.training.events import Event, Finished
from rhapsode.training.loop_progress import Progress
from rhapsode.training.training_loop import TrainingLoop

MakeLoop = Callable[[Progress, Clock], TrainingLoop]
"""Makes the loop of a member with new weights; random numbers follow its seed from then on."""


def member_seed(seed: int, member: int) -> int:
    """Seed of a member's random numbers.

    The first member has the seed of the run.
    """
    if member == 0:
        return seed
    return int(np.random.SeedSequence([seed, member]).generate_state(1, np.uint64)[0] >> 1)


class MemberLoops:
    """Training of one network or more, in turn, as one loop.

    A checkpoint holds the state of the member that is being trained; the weights of those before it
    are kept elsewhere.

    Arguments:
        make: makes the loop of a member.
        clock: of the run; at a member that goes on, of that member.
        members: number of networks.
        group: the processes that share the work.
    """

    def __init__(self, make: MakeLoop, clock: Clock, members: int, group: Group) -> None:
        self._make, self._clock, self._members, self._group = make, clock, members, group
        self._stopping = False
        self.current = make(Progress(), clock)

    @property
    def progress(self) -> Progress:
        """Progress of the member that is being trained."""
        return self.current.progress

    @property
    def elements(self) -> int:
        """Elements that the run has read."""
        return self.current.elements

    def stop(self) -> None:
        """Ask the loop to end after the current step, saved."""
        self._stopping = True
        self.current.stop()

    def run(self) -> Iterator[Event]:
        """Train all members, until the end or a call of `stop`.

        Yields:
            Events, in order; the last is `Finished`.

        Raises:
            RunError: as by `TrainingLoop.run`.
        """
        while True:
            if self._members > 1:
                log.info(f"member {self.progress.member + 1} of {self._members}:")
            goes_on = False
            for event in self.current.run():
                over = isinstance(event, Finished) and event.reason in {"done", "overfitting"}
                goes_on = over and self.progress.member + 1 < self._members
                if not goes_on:
                    yield event
            if not goes_on:
                return
            before, read = self.progress, self.elements
            self.release()
            self._clock = self._clock.following()
            beginning = Progress(
                parts=before.parts,
                member=before.member + 1,
                steps_before=before.total,
                elements_before=read,
            )
            self.current = self._make(beginning, self._clock)
            if self._stopping:
                self.current.stop()

    def state(self) -> Checkpoint:
        """The whole state of the current loop; see `TrainingLoop.state`."""
        return self.current.state()

    def lengthen(self) -> Checkpoint:
        """Begin another stage of the run; see `TrainingLoop.lengthen`."""
        return self.current.lengthen()

    def resume(self, path: Path) -> None:
        """Load the state of a checkpoint, of whichever member.

        Raises:
            RunError: it is damaged or of another network.
        """
        if self._members > 1:
            member = self._group.agree(lambda: member_of(path))
            self.current = self._make(Progress(member=member), self._clock)
        self.current.resume(path)

    def release(self) -> None:
        """Free gradients, the optimiser's state and the carried state."""
        self.current.release()


def member_of(path: Path) -> int:
    """Member that a checkpoint trains, from 0.

    Raises:
        RunError: it is missing, torn, or of another version.
    """
    return int(read_checkpoint(path).values.get("member", 0))
