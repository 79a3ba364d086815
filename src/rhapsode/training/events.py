"""What the training loop tells as it goes. Progress bars, logs and early stopping consume these."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One update of the weights is done.

    Arguments:
        step: how many are done.
        fraction: of the run, when the update began; replaying these replays the run.
        loss: nats per element over the batch, before the update.
        gradient_norm: before clipping.
        learning_rate: that the update used.
        elements: read so far.
        elapsed: seconds on the run's clock.
        threads: that the update took; other numbers of them change the last bits.
    """

    step: int
    fraction: float
    loss: float
    gradient_norm: float
    learning_rate: float
    elements: int
    elapsed: float
    threads: int = 1


@dataclass(frozen=True)
class Evaluated:
    """The validation slice was swept.

    Arguments:
        step: updates done.
        loss: nats per element of the slice.
        best: whether it is the lowest so far.
        elapsed: seconds on the run's clock.
    """

    step: int
    loss: float
    best: bool
    elapsed: float


@dataclass(frozen=True)
class Sampled:
    """The model wrote.

    Arguments:
        step: updates done.
        texts: temperature and text, in order.
    """

    step: int
    texts: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk.

    Arguments:
        step: updates done.
        path: the file.
    """

    step: int
    path: str


@dataclass(frozen=True)
class Finished:
    """No more updates.

    Arguments:
        step: updates done.
        reason: "done", "interrupted", "diverged", or "overfitting" where validation had been rising for too long.
        elapsed: seconds on the run's clock.
    """

    step: int
    reason: str
    elapsed: float


Event = Step | Evaluated | Sampled | Saved | Finished
