"""Training, from sources to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode import __version__
from rhapsode.config import to_mapping
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import is_there, source_name
from rhapsode.log import log
from rhapsode.training import (
    BudgetClock,
    Clock,
    Event,
    LoopHooks,
    StepClock,
    TrainingLoop,
    join_group,
    read_checkpoint,
)
from rhapsode.training.planner import BaseModel
from rhapsode.workflows import AnyModel, load
from rhapsode.workflows.runs.plan_run import PlannedRun, plan_training
from rhapsode.workflows.runs.run_folder import RunFolder, find_run
from rhapsode.workflows.runs.training import Training, begin_with, loop_hooks

if TYPE_CHECKING:
    from rhapsode.keywords import TrainOptions

__all__ = ["prepare_training", "train"]


def train(
    *sources: Any,
    output: str | Path | None = None,
    resume: bool = False,
    base: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    **settings: Unpack[TrainOptions],
) -> AnyModel:
    """Train a model.

    Interrupted by Ctrl-C or a stopped cell, the run is saved and returned without a test figure;
    `train(output=..., resume=True)` continues it.

    Arguments:
        sources: files, folders, catalogue names; or lists of texts or records, data frames, arrays.
        output: the run folder. [default: runs/<name>]
        resume: continue the run in `output`.
        base: a run folder or model file whose encoder and weights training begins with.
        on_event: called with every event of the run.
        settings: of the modality by name, sections as mappings: `budget="3m"`,
            `network={"hidden_size": 256}`.

    Returns:
        The trained model. `history` and `summary` tell of the run.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
        RunError: interrupted before the first evaluation.
    """
    training = prepare_training(
        sources, settings, output=None if output is None else str(output), resume=resume, start=base
    )
    with training.stopped_by_signals():
        for event in training.events():
            if on_event is not None:
                on_event(event)
    path = training.folder.path
    if training.interrupted:
        hint = f'continue with train(output="{path}", resume=True)'
        if not training.folder.model.exists():
            raise RunError(
                "interrupted before the first evaluation; saved", where=str(path), hint=hint
            )
        log.warning(f"interrupted and saved; {hint}")
        return load(path)
    with training.group.first_goes():
        if training.group.first:
            training.finish()
    return load(path)


def prepare_training(
    sources: Sequence[Any],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
    start: str | Path | None = None,
    spent: float = 0.0,
    clock: Clock | None = None,
) -> Training:
    """Everything up to the first update. A new folder appears only when all input has been found good.

    Arguments:
        sources: what to learn from; may be left out with `resume`.
        asked: settings by name.
        output: the run folder.
        resume: go on with the run in `output`.
        start: a run folder or model file to begin as.
        spent: seconds of the budget that are gone already.
        clock: replaces the run's clock, to replay one.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    group = join_group()
    if group.size > 1 and "-" in [source for source in sources if isinstance(source, str)]:
        raise SettingsError(
            "several processes cannot share standard input", hint="name a file instead"
        )
    kept = None
    if resume:
        if start is not None:
            raise SettingsError("a resumed run knows what it began as", hint="leave out --from")
        kept = find_run(output, tuple(sources), asked)
        folder, sources, asked = kept.folder, kept.sources, kept.settings
    else:
        # Only the first process places and makes the folder: another would find it there already.
        names = [source_name(source) for source in sources] or [""]
        folder = RunFolder(Path(group.agree(lambda: str(RunFolder.place(output, names).path))))
    run = plan_training(
        sources, asked, kept=kept, start=None if start is None else str(start), group=group
    )
    hooks = loop_hooks(folder, run)
    going_on = kept is not None and folder.checkpoint.exists()
    began_as: dict[str, Any] | None = None
    if kept is not None and kept.start is not None:
        began_as = dict(kept.start)
    elif run.base is not None:
        began_as = group.agree(partial(_before, run.base, hooks, run.modality.noun))
    if kept is None and group.first:
        folder.create(_config_of(sources, run, began_as))
    if clock is None:
        clock = _clock(run, time.monotonic() - began, folder if going_on else None)
    loop = TrainingLoop(run.network, run.stream, clock, run.settings.training, hooks, group=group)
    if going_on:
        loop.resume(folder.checkpoint)
    elif began_as is not None:
        begin_with(began_as.get("validation_loss"), loop, hooks, folder, group)
    elif run.begins_well and hooks.evaluate is not None and group.size == 1:
        before = hooks.evaluate()
        log.info(f"before the first update: validation {before:.4f}")
        begin_with(before, loop, hooks, folder, group)
    if kept is not None and group.first:
        # Without a checkpoint too: a run that was killed before its first one begins again.
        folder.rewind(loop.progress.step)
    log.info(
        f"{run.settings.model}: {run.network.parameter_count():,} parameters; "
        f"{'; '.join(run.planned.plan.reasons)}; {run.settings.training.precision}"
    )
    return Training(folder=folder, run=run, loop=loop, start=began_as, group=group)


def _config_of(
    sources: Sequence[Any], run: PlannedRun, began_as: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The contents of the run's `config.toml`."""
    names = [source_name(source) for source in sources]
    corpus = run.planned.corpus
    entry: dict[str, Any] = {
        "sources": [str(Path(name).resolve()) if is_there(Path(name)) else name for name in names],
        "modality": run.modality.name,
        "sha256": corpus.sha256,
        "documents": corpus.documents,
        "characters": corpus.characters,
        "rhapsode": __version__,
    }
    if began_as is not None:
        entry["from"] = {name: value for name, value in began_as.items() if value is not None}
    return {"run": entry, **to_mapping(run.settings)}


def _before(base: BaseModel, hooks: LoopHooks, noun: str) -> dict[str, Any]:
    """The model a run begins as, and what it makes of the new data."""
    loss = None if hooks.evaluate is None else hooks.evaluate()
    if loss is not None:
        log.info(f"before: validation {loss:.4f} on the new {noun}, by {base.path}")
    return {"model": str(base.path.resolve()), "sha256": base.sha256, "validation_loss": loss}


def _clock(run: PlannedRun, before: float, resumed: RunFolder | None) -> Clock:
    """The run's clock; a resumed one starts where its checkpoint left it.

    Arguments:
        run: budget, epochs or steps.
        before: seconds this process has spent.
        resumed: the folder with the checkpoint.
    """
    settings, origin = run.settings, None
    if resumed is not None:
        kept = read_checkpoint(resumed.checkpoint).values
        before += float(kept["spent"])
        origin = float(kept["origin"])
    seconds = settings.budget_seconds()
    if seconds is not None:
        most = run.planned.most_steps
        return BudgetClock(seconds, spent=before, origin=origin, most_steps=most)
    steps = settings.steps
    if steps is None:
        assert settings.epochs is not None
        steps = max(1, run.stream.steps(settings.epochs) // settings.training.accumulate)
    return StepClock(steps, spent=before)
