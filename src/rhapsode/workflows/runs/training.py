"""A run: its events, saved before they are yielded, and its end."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from rhapsode import __version__
from rhapsode.bundle import Bundle, read_bundle, write_bundle
from rhapsode.bundle.device import most_memory
from rhapsode.config import to_mapping
from rhapsode.errors import RunError
from rhapsode.files import write_atomically
from rhapsode.log import log
from rhapsode.training import Event, Finished, Group, MemberLoops, give_back_memory
from rhapsode.training.events import TensorBoard
from rhapsode.training.threads.thread_choice import sharing_cores
from rhapsode.views.card import card_text
from rhapsode.views.history import read_events
from rhapsode.views.pictures.curve import draw_course, read_course
from rhapsode.workflows.runs.kept_members import KeptMembers, members_in_words
from rhapsode.workflows.runs.planning import PlannedRun
from rhapsode.workflows.runs.run_folder import RunFolder


@dataclass(kw_only=True)
class Training:
    """A run that is ready to go.

    Arguments:
        folder: where it writes.
        run: data, network and settings.
        loop: the loops of its networks.
        group: the processes that train together; only the first one writes and finishes.
        start: the model it began as: `model`, `sha256`, `validation_loss` before the first update;
            None for fresh weights.
    """

    folder: RunFolder
    run: PlannedRun
    loop: MemberLoops
    group: Group
    start: Mapping[str, Any] | None = None
    _last: Finished | None = None

    def events(self) -> Iterator[Event]:
        """Train, and yield every event once it is in the run folder.

        Raises:
            RunError: a file cannot be written, or the loss is no longer a number.
        """
        takers: list[Callable[[Event], None]] = [self.folder.record] if self.group.first else []
        with ExitStack() as closing:
            closing.callback(self.folder.close)
            if self.run.planned.settings.track.tensorboard and self.group.first:
                board = TensorBoard(self.folder.tensorboard, self.loop.progress.total)
                closing.callback(board.close)
                takers.append(board.take)
            for event in self.loop.run():
                for take in takers:
                    take(event)
                if isinstance(event, Finished):
                    self._last = event
                    if event.reason == "diverged":
                        raise RunError(
                            f"the loss is not a finite number at step {event.step}",
                            where=str(self.folder.path),
                            hint="start a new run with a smaller --set training.learning_rate",
                        )
                yield event

    @property
    def interrupted(self) -> bool:
        """True if the run was stopped before its end."""
        return self._last is not None and self._last.reason == "interrupted"

    @contextmanager
    def stopped_by_signals(self, told: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let the first SIGINT or SIGTERM stop and save the run.

        The run stops after its current step. A second SIGINT interrupts. Outside the main thread,
        where Python handles no signals, nothing is changed.

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

    @sharing_cores()
    def finish(self) -> dict[str, Any]:
        """Calibrate and test the best weights; write model, summary, curve and card.

        Of several processes only the first does this.

        Returns:
            Contents of `summary.json`.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        self.loop.release()
        give_back_memory()
        folder, modality, network = self.folder, self.run.modality, self.run.network
        best, members = self._best(), self.run.planned.settings.members
        kept = KeptMembers(folder, self.run.planned.bundle)
        trained = kept.told(members) if members > 1 else []
        if trained:
            log.info(members_in_words(trained, best.provenance.validation_loss))
        finished = modality.finish(self.run.planned, best, network, folder.path)
        write_bundle(folder.model, finished.bundle)
        summary: dict[str, Any] = {
            **finished.figures,
            **finished.summary,
            **self._facts(self._last),
        }
        # Where measures select the weights, the best rank of the loop is not a loss.
        summary["validation_loss"] = best.provenance.validation_loss
        if trained:
            summary["members"] = trained
            summary["parameters"] *= len(best.members)
        stages = self._stages(self._last)
        if len(stages) > 1:
            summary["stages"] = stages
        if self.start is not None:
            summary["from"] = self.start
        marks: Mapping[str, float | None] = finished.marks
        family = self.run.planned.settings.model.partition(".")[0]
        curve = draw_course(
            read_course(folder.metrics),
            title=f"{folder.path.resolve().name}: {family}, {summary['parameters']:,} parameters",
            baselines=finished.baselines,
            before=None if self.start is None else self.start.get("validation_loss"),
            **marks,
        )
        write_atomically(folder.curve, curve.encode("utf-8", "backslashreplace"))
        card = modality.card(finished.bundle, summary)
        if trained:
            several = f"{card.summary} Its probabilities are those of {len(best.members)} networks"
            card = replace(card, summary=f"{several}, averaged; {members} were trained.")
        if len(stages) > 1:
            words = ", ".join(f"{stage['steps']:,} in {stage['seconds']:.0f} s" for stage in stages)
            told = f"{card.summary} Lengthened: updates {words}, each with its own warm-up."
            card = replace(card, summary=told)
        write_atomically(folder.card, card_text(card).encode())
        summary["finishing_seconds"] = round(time.monotonic() - began, 3)
        folder.write_summary(summary)
        if trained:
            kept.remove(members)
        return summary

    def _best(self) -> Bundle[Any, Any]:
        """The best weights, without what an earlier end added to them."""
        kept: Bundle[Any, Any] = read_bundle(self.folder.model)
        planned: Bundle[Any, Any] = self.run.planned.bundle
        step, loss = kept.provenance.step, kept.provenance.validation_loss
        provenance = replace(planned.provenance, step=step, validation_loss=loss)
        return replace(planned, members=kept.members, provenance=provenance)

    def _stages(self, last: Finished) -> list[dict[str, Any]]:
        """Updates and seconds of each stage of a run that was lengthened."""
        events = [e for e in read_events(self.folder.metrics) if e["event"] == "lengthened"]
        ends = [*((e["step"], e["elapsed"]) for e in events), (last.step, last.elapsed)]
        return [
            {"steps": step - before, "seconds": round(elapsed - earlier, 3)}
            for (before, earlier), (step, elapsed) in zip([(0, 0.0), *ends], ends, strict=False)
            if step > before
        ]

    def _facts(self, last: Finished) -> dict[str, Any]:
        """Entries of `summary.json` that every run has."""
        planned, settings = self.run.planned, self.run.planned.settings
        rates, device = dict(self.run.machine), self.run.network.device
        gpu, memory = rates.pop("gpu", None), most_memory(device)
        elements = self.loop.elements
        plain = to_mapping(settings)
        sections = ("network", "training", "encoder", "head")
        plan = {name: plain[name] for name in sections if name in plain}
        return {
            "modality": self.run.modality.name,
            "validation_loss": self.loop.progress.best,
            "steps": last.step,
            "ended": last.reason,
            "seconds": round(last.elapsed, 3),
            "elements_per_second": round(elements / max(last.elapsed, 1e-9), 1),
            "epochs": round(elements / max(1, planned.elements), 3),
            "parameters": self.run.network.parameter_count(),
            "plan": {**plan, "reasons": list(planned.plan.reasons)},
            "machine": {
                "matmul_gflops": rates,
                "threads": torch.get_num_threads(),
                "processes": self.group.size,
                "device": str(device),
                **({} if gpu is None else {"gpu": gpu}),
                **({} if memory is None else {"most_memory": memory}),
            },
            "rhapsode": __version__,
        }
