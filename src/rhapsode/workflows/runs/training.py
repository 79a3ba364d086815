"""A run: its events, each on disk before anybody sees it, and its end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from rhapsode import __version__
from rhapsode.bundle import Bundle, Member, read_bundle, write_bundle
from rhapsode.bundle.network import network_arrays
from rhapsode.config import to_mapping
from rhapsode.errors import RunError
from rhapsode.files import write_atomically
from rhapsode.modalities.contract import Finished
from rhapsode.training import (
    Checkpoint,
    Event,
    Group,
    LoopHooks,
    TrainingLoop,
    give_back_memory,
    join_group,
    write_checkpoint,
)
from rhapsode.training import (
    Finished as Ended,
)
from rhapsode.training.events import TensorBoard
from rhapsode.views.card import card_text
from rhapsode.views.pictures.curve import draw_course, read_course
from rhapsode.workflows.runs.plan_run import PlannedRun
from rhapsode.workflows.runs.run_folder import RunFolder

__all__ = ["Training", "begin_with", "loop_hooks"]


@dataclass(kw_only=True)
class Training:
    """A run that is ready to go.

    Arguments:
        folder: where it writes.
        run: data, network and settings.
        loop: the loop.
        start: the model it began as: `model`, `sha256`, `validation_loss` before the first update; None for fresh
            weights.
        group: the processes that train together; only the first one writes and finishes.
    """

    folder: RunFolder
    run: PlannedRun
    loop: TrainingLoop
    start: dict[str, Any] | None = None
    group: Group = field(default_factory=join_group)
    _last: Ended | None = None

    @property
    def settings(self) -> Any:
        """Resolved settings of the modality."""
        return self.run.settings

    @property
    def corpus(self) -> Any:
        """The data that it learns from."""
        return self.run.planned.corpus

    def events(self) -> Iterator[Event]:
        """Train; every event is in the run folder before it is given on.

        Raises:
            RunError: a file cannot be written, or the loss is no longer a number.
        """
        board = None
        if self.settings.track.tensorboard and self.group.first:
            board = TensorBoard(self.folder.tensorboard, self.loop.progress.step)
        try:
            for event in self.loop.run():
                if self.group.first:
                    self.folder.record(event)
                if board is not None:
                    board.take(event)
                if isinstance(event, Ended):
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

    @property
    def interrupted(self) -> bool:
        """True if the run was stopped before its end."""
        return self._last is not None and self._last.reason == "interrupted"

    @contextmanager
    def stopped_by_signals(self, told: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let the first SIGINT or SIGTERM stop the run after its step, saved; a second SIGINT interrupts.

        Outside the main thread, where Python handles no signals, nothing is changed.

        Arguments:
            told: called when the first signal comes.
        """
        received: list[int] = []

        def stop(number: int, frame: object) -> None:
            received.append(number)
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self.loop.stop()
            told()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # one that was not set from Python cannot be restored
                    signal.signal(number, handler)
        if signal.SIGTERM in received and before[signal.SIGTERM] is not signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)  # the caller's own handler wants it too

    def finish(self) -> dict[str, Any]:
        """Calibrate the best weights, measure them on the test part, and write model, summary, curve and card.

        Of several processes only the first does this.

        Returns:
            Contents of `summary.json`.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        self.loop.release()
        give_back_memory()
        modality, planned = self.run.modality, self.run.planned
        best: Bundle[Any, Any] = read_bundle(self.folder.model)
        finished = modality.finish(planned, best, self.run.network, self.folder.path)
        write_bundle(self.folder.model, finished.bundle)
        summary: dict[str, Any] = {
            **finished.figures,
            **finished.summary,
            **self._facts(self._last),
        }
        if self.start is not None:
            summary["from"] = self.start
        write_atomically(self.folder.curve, self._course(finished))
        card = card_text(modality.card(finished.bundle, summary))
        write_atomically(self.folder.card, card.encode())
        summary["finishing_seconds"] = round(time.monotonic() - began, 3)
        self.folder.write_summary(summary)
        return summary

    def _facts(self, last: Ended) -> dict[str, Any]:
        """Entries of `summary.json` that every run has."""
        settings = self.settings
        elements = self.run.stream.scored(last.step * settings.training.accumulate)
        sections = ("network", "training", "encoder", "head")
        plan = {name: to_mapping(settings).get(name) for name in sections}
        return {
            "modality": self.run.modality.name,
            "validation_loss": self.loop.progress.best,
            "steps": last.step,
            "ended": last.reason,
            "seconds": round(last.elapsed, 3),
            "elements_per_second": round(elements / max(last.elapsed, 1e-9), 1),
            "epochs": round(elements / max(1, self.run.planned.elements), 3),
            "parameters": self.run.network.parameter_count(),
            "plan": {
                **{name: value for name, value in plan.items() if value is not None},
                "reasons": list(self.run.planned.plan.reasons),
            },
            "machine": {
                "matmul_gflops": self.run.machine,
                "threads": torch.get_num_threads(),
                "processes": self.group.size,
            },
            "rhapsode": __version__,
        }

    def _course(self, finished: Finished[Any]) -> bytes:
        """The course of the run as a picture, beside what learns nothing or only counts."""
        marks: Mapping[str, float | None] = finished.marks
        drawn = draw_course(
            read_course(self.folder.metrics),
            title=f"{self.folder.path.resolve().name}: {self.settings.model.partition('.')[0]}, "
            f"{self.run.network.parameter_count():,} parameters",
            floors=finished.baselines,
            before=(None if self.start is None else self.start.get("validation_loss")),
            **marks,
        )
        return drawn.encode("utf-8", "backslashreplace")


def loop_hooks(folder: RunFolder, run: PlannedRun) -> LoopHooks:
    """Hooks that write into a run folder.

    Arguments:
        folder: where the best weights and the checkpoint go.
        run: the run.
    """
    bundle = run.planned.bundle

    def keep_best(step: int, loss: float | None) -> None:
        provenance = replace(bundle.provenance, step=step, validation_loss=loss)
        members = (Member(network_arrays(run.network)),)
        write_bundle(folder.model, replace(bundle, members=members, provenance=provenance))

    evaluate: Callable[[], float] | None = run.modality.validation(run.planned, run.network)
    return LoopHooks(
        evaluate=evaluate,
        sample=run.modality.samples(run.planned, run.network),
        keep_best=keep_best,
        checkpoint=folder.checkpoint,
        secure=folder.secure,
    )


def begin_with(
    loss: float | None, loop: TrainingLoop, hooks: LoopHooks, folder: RunFolder, group: Group
) -> None:
    """Make the weights a run begins with its best so far, and its first checkpoint.

    Arguments:
        loss: theirs, on the validation part; None where there is none.
        loop: which has done nothing yet.
        hooks: what keeps the best.
        folder: of the run.
        group: the processes that train together.
    """
    fresh = loop.state()
    first = Checkpoint(fresh.tensors, {**fresh.values, "best": loss})
    with group.first_goes():
        if group.first:
            hooks.keep_best(0, loss)
            write_checkpoint(folder.checkpoint, first)
    loop.resume(folder.checkpoint)
