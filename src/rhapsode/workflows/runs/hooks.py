"""What the training loop calls: validation, samples, the best weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rhapsode.bundle import Member, write_bundle
from rhapsode.bundle.network import network_arrays
from rhapsode.training import Checkpoint, Group, LoopHooks, TrainingLoop, write_checkpoint
from rhapsode.workflows.runs.plan_run import PlannedRun
from rhapsode.workflows.runs.run_folder import RunFolder

__all__ = ["begin_with", "loop_hooks"]


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
