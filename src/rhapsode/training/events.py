"""Events of the training loop, and trackers that listen to them.

Progress bars, logs and early stopping consume the events; the loop knows no tracker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rhapsode.config import TrackSettings
from rhapsode.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class Step:
    """One update of the weights is done.

    Arguments:
        step: how many are done.
        fraction: of the run, or of a member's part of it, when the update began; replaying these
            replays the run.
        loss: nats per element over the batch, before the update.
        gradient_norm: before clipping.
        learning_rate: that the update used.
        elements: read so far.
        elapsed: seconds on the run's clock.
        threads: that the update took; other numbers of them change the last bits.
        busy: whether other programs left no core free in the last seconds.
        parts: into which its batch was divided; more than one where memory was not sufficient.
        member: network of the model that was updated, from 0.
    """

    step: int
    fraction: float
    loss: float
    gradient_norm: float
    learning_rate: float
    elements: int
    elapsed: float
    threads: int = 1
    busy: bool = False
    parts: int = 1
    member: int = 0


@dataclass(frozen=True)
class Measures:
    """Measures of validation data besides the loss.

    Arguments:
        rank: number that selects the best weights; lower is better.
        values: by name.
    """

    rank: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Evaluated:
    """The validation slice was swept.

    Arguments:
        step: updates done.
        loss: nats per element of the slice.
        best: whether it is the lowest of its member so far.
        elapsed: seconds on the run's clock.
        member: network of the model that was evaluated, from 0.
        average: loss of the average of the members so far; None for one network, and where the
            member was better before.
        measures: further measures by name; None without any.
    """

    step: int
    loss: float
    best: bool
    elapsed: float
    member: int = 0
    average: float | None = None
    measures: Mapping[str, float] | None = None

    @property
    def in_words(self) -> str:
        """The measures as they follow the loss in a line."""
        named = (self.measures or {}).items()
        return "".join(f", {name.replace('_', ' ')} {value:.4f}" for name, value in named)


@dataclass(frozen=True)
class Sampled:
    """The model wrote samples.

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
        reason: "done", "interrupted", "diverged", or "overfitting" where validation had been rising
            for too long.
        elapsed: seconds on the run's clock.
    """

    step: int
    reason: str
    elapsed: float


Event = Step | Evaluated | Sampled | Saved | Finished


def check_trackers(settings: TrackSettings) -> None:
    """Find what a tracker lacks before any work is done.

    Raises:
        MissingExtraError: a package is not installed.
    """
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError("track", "track.tensorboard")


class TensorBoard:
    """Events as TensorBoard's scalars and texts.

    Arguments:
        folder: where its files go.
        step: updates done before now; later events of an earlier process are not shown.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._folder = folder
        self._step = step
        self._writer: SummaryWriter | None = None
        self._before: tuple[float, int] | None = None

    def take(self, event: Event) -> None:
        """Take one event."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            purge = self._step + 1 if self._step else None
            self._writer = SummaryWriter(str(self._folder), purge_step=purge)
        writer = self._writer
        if isinstance(event, Step):
            scalars = {
                "loss/train": event.loss,
                "optimiser/learning_rate": event.learning_rate,
                "optimiser/gradient_norm": event.gradient_norm,
            }
            if self._before is not None and event.elapsed > self._before[0]:
                elements = event.elements - self._before[1]
                scalars["speed/elements_per_second"] = elements / (event.elapsed - self._before[0])
            self._before = (event.elapsed, event.elements)
            for name, value in scalars.items():
                writer.add_scalar(name, value, event.step)
        elif isinstance(event, Evaluated):
            writer.add_scalar("loss/validation", event.loss, event.step)
        elif isinstance(event, Sampled):
            for temperature, text in event.texts:
                # Indented, Markdown shows it as it is.
                shown = "\n".join("    " + line for line in text.split("\n"))
                writer.add_text(f"samples/temperature {temperature:g}", shown, event.step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
