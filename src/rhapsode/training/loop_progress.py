"""Progress of a training loop, and the functions that it calls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rhapsode.training.events import Measures


@dataclass
class Progress:
    """The progress of a loop, as its checkpoint keeps it.

    Arguments:
        step: updates done.
        evaluations: times at which an evaluation was due.
        looking: seconds spent on evaluations and samples.
        looked: update behind which the last evaluation was; -1 before the first.
        ended: whether the last evaluation of the run is over.
        best: the lowest validation loss so far, nats per element, or rank of measures; None before
            the first.
        worse: evaluations since then.
        parts: into which a batch is divided, 2 once memory was not sufficient for the whole.
        member: the network of the model that is trained, from 0.
        steps_before: updates of the members before it.
        elements_before: elements that they read.
    """

    step: int = 0
    evaluations: int = 0
    looking: float = 0.0
    looked: int = -1
    ended: bool = False
    best: float | None = None
    worse: int = 0
    parts: int = 1
    member: int = 0
    steps_before: int = 0
    elements_before: int = 0

    @property
    def total(self) -> int:
        """Updates of the run."""
        return self.steps_before + self.step


@dataclass(frozen=True)
class LoopHooks:
    """Functions that the loop calls without knowing them.

    Arguments:
        evaluate: nats per element of the validation slice; None when there is none.
        sample: texts to show, by temperature.
        keep_best: called when the weights are the best of their member so far; gives the validation
            loss of the average of the members, None where there is only one.
        checkpoint: file of the checkpoint; None keeps none.
        seconds_between_saves: on the wall clock; evaluations save too.
        secure: called before a checkpoint is written: what was told of its steps must be on disk by
            then.
        measure: measures of validation data, given the validation loss; they select the best
            weights. None: the loss does.
    """

    evaluate: Callable[[], float] | None
    sample: Callable[[], tuple[tuple[float, str], ...]]
    keep_best: Callable[[Progress, float | None], float | None]
    checkpoint: Path | None = None
    seconds_between_saves: float = 60.0
    secure: Callable[[], None] = lambda: None
    measure: Callable[[float], Measures] | None = None

    def rank(self, loss: float) -> tuple[float, Measures | None]:
        """The number that selects the best weights, and its measures."""
        measures = None if self.measure is None else self.measure(loss)
        return loss if measures is None else measures.rank, measures
