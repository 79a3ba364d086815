"""Training on the terminal: progress lines and the summary.

A terminal shows one live line, other outputs plain lines.
"""

import sys
import time
from contextlib import AbstractContextManager, nullcontext

from rich.live import Live
from rich.text import Text

import rhapsode as rh
from rhapsode.cli.console import note, stderr
from rhapsode.config import format_duration

_BAR = 24
_DECAY = 0.98
_SECONDS_BETWEEN_LINES = 10.0


class Watch:
    """Shows events on stderr.

    Arguments:
        live: the line that is drawn again; None to print lines.
        budget: seconds of the run, or None when steps rule.
        baseline: nats per element of the validation slice by the best n-gram model.
        members: networks that are trained in turn.
    """

    def __init__(
        self, live: Live | None, budget: float | None, baseline: float | None, members: int = 1
    ) -> None:
        self._live, self._budget, self._baseline = live, budget, baseline
        self._members, self._member = members, 0
        self._validation: float | None = None
        self._first: rh.Step | None = None
        self._smooth = 0.0
        self._shown = 0.0

    def show(self, event: "rh.Event") -> None:
        """Take one event."""
        if isinstance(event, rh.Step):
            self._step(event)
        elif isinstance(event, rh.Evaluated):
            self._validation = event.loss
            mark = "" if event.best else " (not better)"
            if event.member and event.average is not None:
                mark += f", average {event.average:.4f}"
            mark = event.in_words + mark
            text = f"{format_duration(event.elapsed):>6}  validation {event.loss:.4f}{mark}"
            stderr().print(Text(text, style="bold" if event.best else ""))

    def _step(self, event: "rh.Step") -> None:
        if self._first is None:
            self._first, self._smooth = event, event.loss
        if event.member != self._member:
            self._member, self._smooth, self._validation = event.member, event.loss, None
        self._smooth = _DECAY * self._smooth + (1 - _DECAY) * event.loss
        now = time.monotonic()
        pause = 0.12 if self._live is not None else _SECONDS_BETWEEN_LINES
        if now - self._shown < pause:
            return
        self._shown = now
        line = self._line(self._first, event)
        if self._live is not None:
            self._live.update(line, refresh=True)
        else:
            stderr().print(Text(line.plain))

    def _line(self, first: "rh.Step", event: "rh.Step") -> Text:
        seconds, elements = event.elapsed - first.elapsed, event.elements - first.elements
        fraction, begin = ((e.member + e.fraction) / self._members for e in (event, first))
        left = seconds / (fraction - begin) * (1 - fraction) if fraction > begin else 0.0
        if self._budget is not None:
            left = max(0.0, self._budget - event.elapsed)
        filled = round(fraction * _BAR)
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("━" * filled, style="green")
        line.append("─" * (_BAR - filled), style="dim")
        line.append(f" {fraction:4.0%}")
        if self._members > 1:
            line.append(f"  member {event.member + 1}/{self._members}")
        line.append(f"  loss {self._smooth:.3f}")
        if self._validation is not None:
            line.append(f"  validation {self._validation:.3f}")
        if self._baseline is not None:
            line.append(f"  n-gram {self._baseline:.3f}", style="dim")
        if seconds > 0:
            line.append(f"  {elements / seconds:,.0f} elements/s", style="dim")
        line.append(f"  {format_duration(left)} left", style="dim")
        if event.busy:
            line.append("  other programs are busy", style="yellow")
        return line


def run_training(training: "rh.Training") -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    reason, path, planned = "done", training.folder.path, training.run.planned
    live: AbstractContextManager[Live | None] = nullcontext()
    if stderr().is_terminal:
        live = Live(console=stderr(), auto_refresh=False, transient=True)
    with training.stopped_by_signals(_say_stopping), live as line:
        settings = planned.settings
        watch = Watch(line, settings.budget_seconds(), planned.baseline, settings.members)
        for event in training.events():
            watch.show(event)
            if isinstance(event, rh.Sampled):
                modality, width = training.run.modality, stderr().width
                stderr().print(modality.samples_shown(planned, event.texts, width))
            if isinstance(event, rh.Finished):
                reason = event.reason
    if reason == "interrupted":
        note(f"interrupted and saved; continue with: rhapsode train -o {path} --resume")
        return False
    if not training.group.first:
        return True
    if reason == "overfitting":
        note(
            "stopped early: validation loss had not improved for "
            f"{planned.settings.training.patience} "
            "evaluations, the model is overfitting; the best weights are kept (more dropout, a "
            "smaller network or less time may help)"
        )
    summary = training.finish()
    stderr().print()
    for part in training.run.modality.told(summary, f"test split, scored once ({path})"):
        if isinstance(part, str):
            note(part)
        else:
            stderr().print(part)
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s; "
        f"finishing {summary['finishing_seconds']:.1f} s"
    )
    before, after = (training.start or {}).get("validation_loss"), summary["validation_loss"]
    if before is not None:
        verdict = "" if after < before else ": no improvement, so the base model is kept"
        note(
            f"validation on the new {training.run.modality.noun}: {before:.4f} before, "
            f"{after:.4f} now{verdict}"
        )
    note(f"loss curve: {training.folder.curve}")
    return True


def _say_stopping() -> None:
    sys.stderr.write("\nstopping and saving ...\n")
