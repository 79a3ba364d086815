"""Training, from sources to a finished run folder."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from msgspec import convert, to_builtins
from numpy.typing import NDArray

from rhapsode import __version__
from rhapsode.bundle import Member, write_bundle
from rhapsode.bundle.network import network_arrays
from rhapsode.config import format_duration, to_mapping
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import is_there, source_name
from rhapsode.log import log
from rhapsode.training import (
    BudgetClock,
    Checkpoint,
    Clock,
    Event,
    LoopHooks,
    MemberLoops,
    Progress,
    StepClock,
    TrainingLoop,
    join_group,
    joined,
    read_checkpoint,
    write_checkpoint,
)
from rhapsode.training.threads.thread_choice import TrainingThreads, thread_modes
from rhapsode.workflows.inference.ask import AnyModel, load
from rhapsode.workflows.runs.kept_members import KeptMembers
from rhapsode.workflows.runs.planning import PlannedRun, plan_training
from rhapsode.workflows.runs.run_folder import ResumedRun, RunFolder, find_run
from rhapsode.workflows.runs.training import Training

if TYPE_CHECKING:
    from rhapsode.keywords import TrainOptions


def train(
    *sources: Any,
    output: str | Path | None = None,
    resume: bool = False,
    base: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    **settings: Unpack["TrainOptions"],
) -> AnyModel:
    """Train a model.

    Interrupted by Ctrl-C or a stopped cell, the run is saved and returned without a test figure;
    `train(output=..., resume=True)` continues it.

    Arguments:
        sources: files, folders, catalogue names; or lists of texts or records, data frames, arrays.
        output: the run folder. [default: runs/<name>]
        resume: continue the run in `output`; a larger `budget`, `epochs` or `steps` lengthens it,
            also if it is finished.
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
    training = prepare_training(sources, settings, output=output, resume=resume, base=base)
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
    settings: Mapping[str, Any],
    *,
    output: str | Path | None = None,
    resume: bool = False,
    base: str | Path | None = None,
    spent: float = 0.0,
    clock: Clock | None = None,
    threads: TrainingThreads | None = None,
) -> Training:
    """Prepare a run up to its first update.

    A new folder appears only if all input is good.

    Arguments:
        sources: to learn from; may be left out with `resume`.
        settings: of training by name.
        output: the run folder.
        resume: continue the run in `output`.
        base: a run folder or model file to begin as.
        spent: seconds of the budget that have gone already.
        clock: replaces the run's clock, to replay one.
        threads: replaces the choice of threads, to replay one.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    group = join_group()
    if group.size > 1 and "-" in [source for source in sources if isinstance(source, str)]:
        raise SettingsError(
            "several processes cannot share standard input", hint="name a file instead"
        )
    resumed, asked = None, settings
    place = None if output is None else str(output)
    if resume:
        if base is not None:
            raise SettingsError("a resumed run keeps its base model", hint="leave out --from")
        found = group.agree(lambda: to_builtins(find_run(place, asked), enc_hook=_folder_path))
        resumed = convert(found, ResumedRun, dec_hook=lambda kind, path: kind(Path(path)))
        folder, sources, asked = resumed.folder, sources or resumed.sources, resumed.settings
    else:
        # Only the first process places and makes the folder: another would find it there already.
        names = [source_name(source) for source in sources] or [""]
        folder = RunFolder(Path(group.agree(lambda: str(RunFolder.place(place, names).path))))
    run = plan_training(sources, asked, resumed=resumed, base=base, group=group)
    hooks = _hooks(folder, run)
    going_on = resumed is not None and resumed.going_on
    began_as: Mapping[str, Any] | None = None
    if resumed is not None and resumed.start is not None:
        began_as = resumed.start
    elif run.base is not None:
        began_as = group.agree(partial(_base_facts, run, hooks))
    if resumed is not None and resumed.lengthened and run.planned.settings.members > 1:
        raise RunError(
            "a run of several members cannot be lengthened",
            where=str(folder.path),
            hint="start a new one with a larger limit",
        )
    if resumed is None:
        config = _config_toml(sources, run, began_as)
        taken = group.agree(lambda: str(folder.create(config, names if place is None else ())))
        folder.move_to(Path(taken))
        hooks = replace(hooks, checkpoint=folder.checkpoint)
    resolved = run.planned.settings
    if threads is None and group.size == 1:
        timed = clock is None and resolved.steps is None and resolved.epochs is None
        threads = TrainingThreads(thread_modes(torch.get_num_threads(), counts=timed))
    if clock is None:
        # Only the clock of the first process is read.
        clock = _clock(run, time.monotonic() - began, resumed if going_on and group.first else None)

    def make(progress: Progress, clock: Clock) -> TrainingLoop:
        stream = run.stream if progress.member == 0 else run.renew(progress.member)
        return TrainingLoop(
            run.network, stream, clock, resolved.training, hooks,
            group=group, threads=threads, progress=progress,
        )  # fmt: skip

    loop = MemberLoops(make, clock, resolved.members, group)
    training = Training(folder=folder, run=run, loop=loop, start=began_as, group=group)
    if resumed is not None and going_on:
        loop.resume(folder.checkpoint)
        if resumed.lengthened:
            _begin_stage(training)
    elif began_as is not None:
        _begin_with(began_as.get("validation_loss"), training, hooks)
    elif run.begins_well and hooks.evaluate is not None and group.size == 1:
        before = hooks.evaluate()
        log.info(f"before the first update: validation {before:.4f}")
        _begin_with(before, training, hooks)
    if resumed is not None and group.first:
        # Without a checkpoint too: a run that was killed before its first one begins again.
        folder.rewind(loop.progress.total)
        if resumed.lengthened:
            config = _config_toml(sources, run, began_as)
            folder.lengthen(config, loop.progress.step, clock.elapsed())
    log.info(
        f"{resolved.model}: {run.network.parameter_count():,} parameters; "
        f"{'; '.join(run.planned.plan.reasons)}; {resolved.training.precision}"
    )
    return training


def _hooks(folder: RunFolder, run: PlannedRun) -> LoopHooks:
    bundle, several = run.planned.bundle, run.planned.settings.members > 1
    nats_N: NDArray[np.floating] | None = None
    measure = run.modality.element_losses(run.planned, run.network) if several else None

    def evaluate() -> float:
        nonlocal nats_N
        assert measure is not None
        nats_N = measure()
        return float(np.nanmean(nats_N, dtype=np.float64))

    def keep_best(progress: Progress, loss: float | None) -> float | None:
        member = Member(network_arrays(run.network))
        if several:
            kept = KeptMembers(folder, bundle)
            return kept.keep(progress.member, progress.total, loss, nats_N, member)
        provenance = replace(bundle.provenance, step=progress.total, validation_loss=loss)
        write_bundle(folder.model, replace(bundle, members=(member,), provenance=provenance))
        return None

    one = None if several else run.modality.validation(run.planned, run.network)
    return LoopHooks(
        evaluate=one if measure is None else evaluate,
        sample=run.modality.samples(run.planned, run.network),
        keep_best=keep_best,
        checkpoint=folder.checkpoint,
        secure=folder.secure,
        measure=None if several else run.modality.measures(run.planned, run.network),
    )


def _folder_path(folder: RunFolder) -> str:
    return str(folder.path)


def _begin_with(loss: float | None, training: Training, hooks: LoopHooks) -> None:
    """Record the first weights as the best so far, and checkpoint them."""
    fresh = training.loop.state()
    checkpoint = training.folder.checkpoint
    with training.group.first_goes():
        if training.group.first:
            hooks.keep_best(Progress(), loss)
            best = None if loss is None else hooks.rank(loss)[0]
            write_checkpoint(checkpoint, Checkpoint(fresh.tensors, {**fresh.values, "best": best}))
    training.loop.resume(checkpoint)


def _begin_stage(training: Training) -> None:
    """Begin another stage of a run, and checkpoint it."""
    state, folder = training.loop.lengthen(), training.folder
    with training.group.first_goes():
        if training.group.first:
            write_checkpoint(folder.checkpoint, state)
    step = training.loop.progress.step
    log.info(f"lengthened after {step:,} updates; the learning rate is warmed up again")


def _config_toml(
    sources: Sequence[Any], run: PlannedRun, began_as: Mapping[str, Any] | None
) -> dict[str, Any]:
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
    return {"run": entry, **to_mapping(run.planned.settings)}


def _base_facts(run: PlannedRun, hooks: LoopHooks) -> dict[str, Any]:
    base = run.base
    assert base is not None
    loss = None if hooks.evaluate is None else hooks.evaluate()
    if loss is not None:
        log.info(f"before: validation {loss:.4f} on the new {run.modality.noun}, by {base.path}")
    return {"model": str(base.path.resolve()), "sha256": base.sha256, "validation_loss": loss}


def _clock(run: PlannedRun, spent: float, resumed: ResumedRun | None) -> Clock:
    """The run's clock; a resumed one starts where its checkpoint left it.

    Raises:
        RunError: a run that is lengthened has reached its new limit already.
    """
    settings, origin, begin, member = run.planned.settings, None, 0, 0
    lengthened = resumed is not None and resumed.lengthened
    if resumed is not None:
        values = read_checkpoint(resumed.folder.checkpoint).values
        spent += float(values["spent"])
        origin, begin = float(values["origin"]), int(values.get("begin", 0))
        member = int(values.get("member", 0))
        if lengthened:
            origin, begin = None, int(values["step"])
    seconds = settings.budget_seconds()
    if seconds is not None:
        _refuse_reached(lengthened and seconds <= spent, format_duration(spent))
        return BudgetClock(
            seconds, spent=spent, origin=origin, begin=begin,
            most_steps=run.planned.most_steps, members=settings.members - member,
        )  # fmt: skip
    steps = settings.steps
    if steps is None:
        steps = max(1, run.stream.steps(settings.epochs) // settings.training.accumulate)
    _refuse_reached(lengthened and steps <= begin, f"{begin:,} updates")
    clock = StepClock(steps, spent=spent, begin=begin, members=settings.members)
    for _ in range(member):
        clock = clock.following()
    return clock


def _refuse_reached(reached: bool, spent: str) -> None:
    if reached:
        raise RunError(
            f"this run has taken {spent} already",
            hint="give more to lengthen it; the limit covers the whole run",
        )


def claim_report() -> bool:
    """Claim the report of an error for this process.

    Returns:
        False if another process of the run has claimed it already.
    """
    group = joined()
    return os.environ.get("RANK", "0") == "0" if group is None else group.tells()
