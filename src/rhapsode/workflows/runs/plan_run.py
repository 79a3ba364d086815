"""Everything up to the plan of a run: data, network, batches, precision. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch

from rhapsode.bundle import bundle_path, read_bundle
from rhapsode.bundle.network import Network, build_network, load_network
from rhapsode.config import TrainingSettings, dump_toml, from_mapping, merge, to_mapping
from rhapsode.data import Stream
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import source_name
from rhapsode.log import log
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.choose import AnyModality, choose_modality
from rhapsode.modalities.contract import Claim, Planned, RunRequest
from rhapsode.training import (
    Group,
    faster_precision,
    join_group,
    machine_speed,
    matmul_rates,
    prepare_process,
    runs,
    training_loss,
)
from rhapsode.training.events import check_trackers
from rhapsode.training.planner import BaseModel, base_of
from rhapsode.views.display import Shown
from rhapsode.workflows.runs.run_folder import ResumedRun

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.keywords import TrainOptions

__all__ = ["PlannedRun", "inherited", "plan_corpus", "Plan", "plan", "plan_training"]


@dataclass(frozen=True)
class PlannedRun:
    """A run that is decided and has not begun.

    Arguments:
        modality: of its data.
        planned: corpus, components and settings.
        network: with the weights it begins with.
        stream: batches of the training part.
        machine: measured matmul rates, GFLOP/s.
        base: the model it begins as; None for fresh weights.
        begins_well: whether its first weights are worth keeping.
    """

    modality: AnyModality
    planned: Planned[Any, Any, Any]
    network: Network
    stream: Stream
    machine: dict[str, float]
    base: BaseModel | None
    begins_well: bool

    @property
    def settings(self) -> Any:
        """Resolved."""
        return self.planned.settings


def plan_training(
    sources: Sequence[Any],
    asked: Mapping[str, Any],
    *,
    kept: ResumedRun | None,
    start: str | None,
    group: Group,
) -> PlannedRun:
    """Read the sources and decide on everything that was left open.

    Arguments:
        sources: what to learn from.
        asked: settings by name.
        kept: the run that is resumed.
        start: a run folder or model file to begin as.
        group: the processes that train together.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    base = _base(start, kept)
    modality, claim = _modality(sources, asked, kept, base)
    if base is not None and kept is None:
        asked = inherited(asked, base, modality)
    settings = from_mapping(modality.settings, asked, where="settings")
    settings.budget_seconds()  # refused here where it makes no sense
    modality.check(settings)
    check_trackers(settings.track)
    prepare_process()
    begun = None if base is None else base.bundle
    with group.first_goes():  # the others find what it has encoded in the cache
        corpus = modality.corpus(sources, settings, opened=claim.opened, base=begun)
    if corpus.sha256 != group.agree(lambda: corpus.sha256):
        raise RunError(
            f"the {modality.noun} is not the one that the first process reads",
            where=", ".join(map(source_name, sources)),
        )
    if kept is not None:
        kept.check(corpus.sha256, corpus.documents, corpus.characters, modality.noun)
    machine = group.agree(matmul_rates)
    by_hand = settings.training.batch_size is not None
    planned = plan_corpus(modality, corpus, settings, machine, base=base, first=group.first)
    rows = group.divide(planned.settings.training.batch_size, asked=by_hand)
    planned = _with_training(planned, batch_size=rows)
    torch.manual_seed(settings.seed)
    network = build_network(planned.bundle.config) if base is None else load_network(base.bundle)
    going_on = kept is not None and kept.folder.checkpoint.exists()
    begins_well = base is None and not going_on and modality.initialise(network, planned)
    stream = modality.stream(planned)
    precision = group.agree(
        partial(_precision, planned.settings, network, stream, machine, again=kept is not None)
    )
    planned = _with_training(planned, precision=precision)
    provenance = replace(
        planned.bundle.provenance,
        settings=to_mapping(planned.settings),
        ancestors=() if base is None else base.line,
    )
    planned = replace(planned, bundle=replace(planned.bundle, provenance=provenance))
    return PlannedRun(modality, planned, network, stream, machine, base, begins_well)


def plan_corpus(
    modality: AnyModality,
    corpus: Any,
    settings: Any,
    machine: Mapping[str, float],
    *,
    base: BaseModel | None = None,
    first: bool = False,
) -> Planned[Any, Any, Any]:
    """Decide on everything that a run on a corpus leaves open.

    Arguments:
        modality: of the corpus.
        corpus: what is learnt from.
        settings: as asked for.
        machine: measured matmul rates, GFLOP/s.
        base: the model that the run begins as.
        first: whether this process tells and counts.
    """
    speed = machine_speed(machine, torch.get_num_threads())
    seconds = settings.budget_seconds()
    return modality.plan(corpus, RunRequest(settings, seconds, speed, base, first))


def _with_training(planned: Planned[Any, Any, Any], **changes: Any) -> Planned[Any, Any, Any]:
    settings = planned.settings
    changed = replace(settings, training=replace(settings.training, **changes))
    return replace(planned, settings=changed)


def _modality(
    sources: Sequence[Any],
    asked: Mapping[str, Any],
    kept: ResumedRun | None,
    base: BaseModel | None,
) -> tuple[AnyModality, Claim]:
    """The modality of the run, and what its claim has read."""
    if kept is not None:
        return choose_modality(sources, asked, kept.modality)
    modality, claim = choose_modality(sources, asked)
    if base is not None and MODALITIES.get(base.bundle.modality) is not modality:
        raise SettingsError(
            f"this model goes on with {base.bundle.facts.goes_on_with}, the sources are "
            f"{modality.noun}",
            where="--from",
            hint="name sources of its kind, or say --modality",
        )
    return modality, claim


def _base(start: str | None, kept: ResumedRun | None) -> BaseModel | None:
    """The model that a run begins as, or began as; None for fresh weights."""
    if kept is None:
        return None if start is None else _open_base(start)
    if kept.start is None:
        return None
    if kept.folder.checkpoint.exists() and kept.folder.model.exists():
        # The run's own file has the same elements and network; the first model may be gone by now.
        own: Any = read_bundle(kept.folder.model)
        return replace(
            base_of(kept.folder.model, own),
            path=Path(kept.start["model"]),
            sha256=kept.start["sha256"],
            line=own.provenance.ancestors,
        )
    return _open_base(kept.start["model"], sha256=kept.start["sha256"])


def _open_base(model: str, *, sha256: str | None = None) -> BaseModel:
    return base_of(bundle_path(model), read_bundle(model), sha256=sha256)


def _precision(
    settings: TrainingSettings,
    network: Network,
    stream: Stream,
    machine: Mapping[str, float],
    *,
    again: bool,
) -> Literal["float32", "bfloat16"]:
    """The precision asked for, or the faster one, measured for a moment on this very network.

    Arguments:
        settings: as asked for.
        network: to be trained.
        stream: its batches.
        machine: measured matmul rates, GFLOP/s.
        again: whether the run was begun before, perhaps on another machine.

    Raises:
        SettingsError: this machine cannot do what was asked for.
    """

    def step(precision: str) -> None:
        loss, _ = training_loss(network, stream, 0, None, precision)
        torch.autograd.backward(loss)

    wanted = settings.training.precision
    if wanted == "float32":
        return wanted
    try:
        with torch.random.fork_rng():
            if wanted == "bfloat16":
                if runs(step, wanted):
                    return wanted
                if not again:
                    raise SettingsError(
                        "PyTorch has no bfloat16 kernel for this network on this machine",
                        where="[training] precision",
                        hint="leave it at auto, or set float32",
                    )
                log.info("float32: this machine cannot go on in bfloat16")
                return "float32"
            if machine["bfloat16"] < machine["float32"]:
                log.info("float32: this machine has no fast bfloat16")
                return "float32"
            seconds = min(2.0, (settings.budget_seconds() or 120.0) / 120)
            precision, ratio = faster_precision(step, seconds=seconds)
    finally:
        network.zero_grad(set_to_none=True)
    log.info(f"{precision}: bfloat16 is {ratio:.2f} x as fast on this machine")
    return precision


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """Settings that training would use, and why.

    Arguments:
        modality: of the sources, without its version.
        settings: resolved.
        reasons: for what was planned.
        parameters: of the network.
        updates: of one pass over the training part.
        elements: of that pass.
    """

    modality: str
    settings: TrainingSettings
    reasons: tuple[str, ...]
    parameters: int
    updates: int
    elements: int

    def to_mapping(self) -> dict[str, Any]:
        """Settings by name."""
        return {**to_mapping(self.settings), "modality": self.modality}

    def toml(self) -> str:
        """A file for `--config`, after the reasons as comments."""
        about = [
            f"{self.settings.model}: {self.parameters:,} parameters",
            *self.reasons,
            f"one pass: {self.updates:,} updates over {self.elements:,} elements",
        ]
        written = dump_toml(self.to_mapping())
        return "".join(f"# {line}\n" for line in about) + "\n" + written

    def shown(self, width: int) -> Sequence[RenderableType]:
        return [self.toml()]


def plan(*sources: Any, base: str | Path | None = None, **settings: Unpack[TrainOptions]) -> Plan:
    """Decide on everything that a run leaves open; nothing is written.

    Arguments:
        sources: as in `train`.
        base: as in `train`.
        settings: as in `train`.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    start = None if base is None else str(base)
    run = plan_training(sources, settings, kept=None, start=start, group=join_group())
    return Plan(
        run.modality.name.partition(".v")[0],
        run.settings,
        tuple(run.planned.plan.reasons),
        run.network.parameter_count(),
        run.stream.steps(1.0),
        run.planned.elements,
    )


def inherited(asked: Mapping[str, Any], base: BaseModel, modality: AnyModality) -> dict[str, Any]:
    """The settings asked for, with all that the base model decides filled in from it.

    Arguments:
        asked: settings by name.
        base: decides network and encoding, and how it was fitted where nothing else is asked.
        modality: says what a model decides.

    Raises:
        SettingsError: something is asked for that the model decides otherwise.
    """
    decided = modality.decided(base.bundle)
    differing = list(_differences(asked, decided, modality))
    if differing:
        raise SettingsError(
            f"the model decides this: {', '.join(differing)}",
            where="--from",
            hint="leave it out, or train a new model without --from",
        )
    return merge(merge(modality.suggested(base.bundle), asked), decided)


def _differences(
    asked: Mapping[str, Any], decided: Mapping[str, Any], modality: AnyModality
) -> Iterator[str]:
    """Settings asked for that differ, as "network.hidden_size is 512, not 64"."""
    for section, fixed in decided.items():
        wanted = asked.get(section)
        if wanted is None:
            continue
        if not isinstance(fixed, Mapping):
            if not modality.alike(section, wanted, fixed):
                yield f"{section} is {fixed}, not {wanted}"
            continue
        for name, value in wanted.items() if isinstance(wanted, Mapping) else ():
            has = fixed.get(name)
            if name not in fixed and section not in modality.decides_all_of:
                continue
            if not modality.alike(f"{section}.{name}", value, has):
                yield f"{section}.{name} is {'not set' if has is None else has}, not {value}"
