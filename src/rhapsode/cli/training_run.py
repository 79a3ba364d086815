"""A training run on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rhapsode.cli.console import note, stderr

if TYPE_CHECKING:
    from rhapsode.workflows.runs.training import Training

__all__ = ["run_training"]


def run_training(training: Training) -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    from rhapsode.cli.watch import Watch
    from rhapsode.training.events import Finished

    ended = "done"
    budget, baseline = training.settings.budget_seconds(), training.run.planned.baseline
    with training.stopped_by_signals(_say_stopping), Watch(budget, baseline) as watch:
        for event in training.events():
            watch.show(event)
            if isinstance(event, Finished):
                ended = event.reason
    path = training.folder.path
    if ended == "interrupted":
        note(f"interrupted and saved; go on with: rhapsode train -o {path} --resume")
        return False
    if not training.group.first:
        return True
    if ended == "overfitting":
        note(
            f"stopped early: validation loss had not improved for {training.settings.training.patience} "
            "evaluations, the model is overfitting; the best weights are kept (more dropout, a "
            "smaller network or less time may help)"
        )
    summary = training.finish()
    stderr().print()
    for told in training.run.modality.told(summary, f"test share, swept once ({path})"):
        if isinstance(told, str):
            note(told)
        else:
            stderr().print(told)
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s; finishing {summary['finishing_seconds']:.1f} s"
    )
    start = summary.get("from")
    if start is not None and start.get("validation_loss") is not None:
        before, after = start["validation_loss"], summary["validation_loss"]
        verdict = "" if after < before else ": no better, so the model is the old one"
        note(
            f"validation on the new {training.run.modality.noun}: {before:.4f} before, {after:.4f} now{verdict}"
        )
    note(f"the course of the run: {training.folder.curve}")
    return True


def _say_stopping() -> None:
    sys.stderr.write("\nstopping and saving ...\n")
