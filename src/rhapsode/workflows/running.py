"""What every run has in common, whatever it learns from: its events on disk before anybody sees them, and its facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from rhapsode import __version__
from rhapsode.bundle.network import Network
from rhapsode.config import OptimisationSettings, TrackSettings, to_mapping
from rhapsode.errors import RunError
from rhapsode.training import Event, Finished, Group, Plan, TrainingLoop, join_group
from rhapsode.workflows.curve import draw_course, read_course
from rhapsode.workflows.run_folder import RunFolder
from rhapsode.workflows.tracking import TensorBoard

__all__ = ["Running"]


class Scoring(Protocol):
    """A stream that knows how much it gave."""

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` batches."""
        ...


class AnySettings(Protocol):
    """What the settings of every run hold."""

    @property
    def model(self) -> str:
        """The family."""
        ...

    @property
    def network(self) -> Mapping[str, Any]:
        """Settings of the family."""
        ...

    @property
    def training(self) -> OptimisationSettings:
        """Settings of the loop."""
        ...

    @property
    def track(self) -> TrackSettings:
        """Where it can be watched."""
        ...


@dataclass(kw_only=True)
class Running:
    """A run that is ready to go.

    Arguments:
        folder: where it writes.
        settings: resolved.
        network: what is fitted.
        stream: what it reads.
        loop: the loop.
        plan: what was planned.
        machine: measured matmul rates, GFLOP/s.
        group: the processes that train together; only the first one writes and finishes.
    """

    folder: RunFolder
    settings: AnySettings
    network: Network
    stream: Scoring
    loop: TrainingLoop
    plan: Plan
    machine: dict[str, float]
    group: Group = field(default_factory=join_group)
    _last: Finished | None = None

    def events(self) -> Iterator[Event]:
        """Train; every event is in the run folder before it is given on.

        Raises:
            RunError: a file cannot be written, or the loss is no longer a number.
        """
        board = None
        if self.settings.track.tensorboard and self.group.first:
            board = TensorBoard(self.folder.tensorboard, self.loop.step)
        try:
            for event in self.loop.run():
                if self.group.first:
                    self.folder.record(event)
                if board is not None:
                    board.take(event)
                if isinstance(event, Finished):
                    self._last = event
                    if event.reason == "diverged":
                        raise RunError(
                            f"the loss stopped being a number at step {event.step}",
                            where=str(self.folder.path),
                            hint="train anew with a smaller --set training.learning_rate",
                        )
                yield event
        finally:
            self.folder.close()
            if board is not None:
                board.close()

    def _facts(self, passed: int, **planned: Any) -> dict[str, Any]:
        """What `summary.json` tells of every run.

        Arguments:
            passed: elements of one pass.
            **planned: further settings that were planned.
        """
        assert self._last is not None, "finish comes after the events"
        elements = self.stream.scored(self._last.step * self.settings.training.accumulate)
        return {
            "validation_loss": self.loop.best,
            "steps": self._last.step,
            "ended": self._last.reason,
            "seconds": round(self._last.elapsed, 3),
            "elements_per_second": round(elements / max(self._last.elapsed, 1e-9), 1),
            "epochs": round(elements / max(1, passed), 3),
            "parameters": self.network.parameter_count(),
            "plan": {
                "network": dict(self.settings.network),
                "training": to_mapping(self.settings.training),
                **planned,
                "reasons": list(self.plan.reasons),
            },
            "machine": {
                "matmul_gflops": self.machine,
                "threads": torch.get_num_threads(),
                "processes": self.group.size,
            },
            "rhapsode": __version__,
        }

    def _course(self, floors: Mapping[str, float | None], **figures: float | None) -> bytes:
        """The course of the run as a picture.

        Arguments:
            floors: losses of what needs no learning, by name.
            **figures: as `draw_course` takes them.
        """
        drawn = draw_course(
            read_course(self.folder.metrics),
            title=f"{self.folder.path.resolve().name}: {self.settings.model.partition('.')[0]}, "
            f"{self.network.parameter_count():,} parameters",
            floors=floors,
            **figures,
        )
        return drawn.encode("utf-8", "backslashreplace")
