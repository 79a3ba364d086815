"""Trackers: what listens to a run's events beside its own files. The loop knows none of them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rhapsode.config import TrackSettings
from rhapsode.errors import MissingExtraError
from rhapsode.training.events import Evaluated, Event, Sampled, Step

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FENCE = "    "


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
        step: updates done before now; what an earlier process wrote behind them is not shown.
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
                seconds, elements = (
                    event.elapsed - self._before[0],
                    event.elements - self._before[1],
                )
                scalars["speed/elements_per_second"] = elements / seconds
            self._before = (event.elapsed, event.elements)
            for name, value in scalars.items():
                writer.add_scalar(name, value, event.step)
        elif isinstance(event, Evaluated):
            writer.add_scalar("loss/validation", event.loss, event.step)
        elif isinstance(event, Sampled):
            for temperature, text in event.texts:
                # Indented, Markdown shows it as it is.
                shown = "\n".join(_FENCE + line for line in text.split("\n"))
                writer.add_text(f"samples/temperature {temperature:g}", shown, event.step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
