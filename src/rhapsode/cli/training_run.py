"""A training run on the terminal."""

import sys

import rhapsode as rh
from rhapsode.cli.console import note, stderr


def run_training(training: "rh.Training") -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    from rhapsode.cli.watch import Watch

    reason, path, modality = "done", training.folder.path, training.run.modality
    watch = Watch(training.settings.budget_seconds(), training.run.planned.baseline)
    with training.stopped_by_signals(_say_stopping), watch:
        for event in training.events():
            watch.show(event)
            if isinstance(event, rh.Finished):
                reason = event.reason
    if reason == "interrupted":
        note(f"interrupted and saved; go on with: rhapsode train -o {path} --resume")
        return False
    if not training.group.first:
        return True
    if reason == "overfitting":
        note(
            f"stopped early: validation loss had not improved for {training.settings.training.patience} "
            "evaluations, the model is overfitting; the best weights are kept (more dropout, a "
            "smaller network or less time may help)"
        )
    summary = training.finish()
    stderr().print()
    for part in modality.told(summary, f"test share, swept once ({path})"):
        if isinstance(part, str):
            note(part)
        else:
            stderr().print(part)
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s; finishing {summary['finishing_seconds']:.1f} s"
    )
    before, after = (training.start or {}).get("validation_loss"), summary["validation_loss"]
    if before is not None:
        verdict = "" if after < before else ": no better, so the model is the old one"
        note(
            f"validation on the new {modality.noun}: {before:.4f} before, {after:.4f} now{verdict}"
        )
    note(f"the course of the run: {training.folder.curve}")
    return True


def _say_stopping() -> None:
    sys.stderr.write("\nstopping and saving ...\n")
