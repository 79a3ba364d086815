"""Planning of a run: data, network, batches and precision.

Nothing is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec
import torch

from rhapsode.bundle.device import CPU, check_compiler, choose_device
from rhapsode.bundle.network import Network, build_network, load_network
from rhapsode.config import TrainingSettings, dump_toml, from_mapping, to_mapping
from rhapsode.data import Stream
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import source_name
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.choose import AnyModality, choose_modality
from rhapsode.modalities.contract import Planned, RunRequest
from rhapsode.models.families import FAMILIES
from rhapsode.training import (
    Group,
    join_group,
    machine_speed,
    matmul_rates,
    member_seed,
    prepare_process,
)
from rhapsode.training.events import check_trackers
from rhapsode.training.machine import measure_accelerator
from rhapsode.training.planner import Accelerator, BaseModel
from rhapsode.training.threads.thread_choice import sharing_cores
from rhapsode.views.display import Shown
from rhapsode.workflows.runs.base_model import base_of_run, with_base
from rhapsode.workflows.runs.member_plan import check_members, member_part, with_members
from rhapsode.workflows.runs.run_folder import ResumedRun, differences
from rhapsode.workflows.runs.trial import choose_precision, runs_on

if TYPE_CHECKING:
    from rhapsode.keywords import TrainOptions


@dataclass(frozen=True)
class PlannedRun:
    """A run that is decided and has not begun.

    Arguments:
        modality: of its data.
        planned: corpus, components and settings.
        network: with the weights it begins with.
        stream: batches of the training split.
        machine: measured matmul rates of the CPU, GFLOP/s, and `gpu`, what was measured of one.
        base: the model it begins as; None for fresh weights.
        begins_well: True if its first weights are worth keeping.
    """

    modality: AnyModality
    planned: Planned[Any, Any, Any]
    network: Network
    stream: Stream
    machine: Mapping[str, Any]
    base: BaseModel | None
    begins_well: bool

    def renew(self, member: int) -> Stream:
        """Give the network new weights for another member, and return its batches.

        Random numbers are those of its seed from then on.
        """
        seed = member_seed(self.planned.settings.seed, member)
        planned = replace(self.planned, settings=replace(self.planned.settings, seed=seed))
        fresh, _ = fresh_network(self.modality, planned, seed)
        self.network.load_state_dict(fresh.state_dict())
        return self.modality.stream(planned)


@sharing_cores()
def plan_training(
    sources: Sequence[Any],
    settings: Mapping[str, Any],
    *,
    resumed: ResumedRun | None,
    base: str | Path | None,
    group: Group,
) -> PlannedRun:
    """Read the sources and decide on everything that was left open.

    Arguments:
        sources: to learn from.
        settings: of training by name.
        resumed: the run that goes on.
        base: a run folder or model file to begin as.
        group: the processes that train together.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    opened = base_of_run(base, resumed, group)
    name = None if resumed is None else resumed.modality
    modality, claim = choose_modality(sources, settings, name)
    if opened is not None and resumed is None:
        if MODALITIES.get(opened.bundle.modality) is not modality:
            raise SettingsError(
                f"this model is for {opened.bundle.facts.goes_on_with}, the sources are "
                f"{modality.noun}",
                where="--from",
                hint="name sources of that kind, or use --modality",
            )
        settings = with_base(settings, opened, modality)
    asked = from_mapping(modality.settings, settings, where="settings")
    asked.budget_seconds()  # refused here where it makes no sense
    check_settings(asked, opened, group)
    check_members(asked, modality, base=opened is not None)
    device = choose_device(asked.device)
    modality.check(asked)
    if asked.training.compile == "on":
        if FAMILIES.get(FAMILIES.full_name(asked.model)).sequential:
            raise SettingsError(
                f"{asked.model} runs in kernels that torch.compile would take apart",
                where="[training] compile",
                hint="leave it off, or choose a transformer or a tcn",
            )
        check_compiler(device)
    check_trackers(asked.track)
    prepare_process()
    begun = None if opened is None else opened.bundle
    with group.first_goes():  # the others find what it has encoded in the cache
        corpus = modality.corpus(sources, asked, opened=claim.opened, base=begun)
    if corpus.sha256 != group.agree(lambda: corpus.sha256):
        raise RunError(
            f"the {modality.noun} differs from that of the first process",
            where=", ".join(map(source_name, sources)),
        )
    if resumed is not None:
        resumed.check(corpus.sha256, corpus.documents, corpus.characters, modality.noun)
    machine: dict[str, Any] = group.agree(matmul_rates)
    # Machines may differ in their threads, but there is one plan.
    speed = group.agree(lambda: machine_speed(machine, torch.get_num_threads()))
    gpu = None if device == CPU else group.agree(partial(measure_accelerator, device))
    going_on = resumed is not None and resumed.going_on

    def decide(accelerator: Accelerator | None) -> tuple[Planned[Any, Any, Any], Network, bool]:
        planned = plan_corpus(
            modality, corpus, asked, speed,
            base=opened, first=group.first, accelerator=accelerator,
        )  # fmt: skip
        by_hand = asked.training.batch_size is not None
        rows = group.divide(planned.settings.training.batch_size, asked=by_hand)
        planned = _with_training(planned, batch_size=rows)
        if begun is None:
            network, begins_well = fresh_network(modality, planned, asked.seed)
            return planned, network, begins_well and not going_on
        torch.manual_seed(asked.seed)
        return planned, load_network(begun), False

    planned, network, begins_well = decide(None if gpu is None else Accelerator(**gpu))
    stream = modality.stream(planned)
    if asked.device == "auto" and device != CPU:
        runs_there = partial(runs_on, device, network, stream)
        if not group.agree(runs_there):
            device = CPU
            if gpu is not None:
                planned, network, begins_well = decide(None)
                stream = modality.stream(planned)
    network.to(device)
    network.tie()
    network.train()  # cuDNN gives no gradients in evaluation mode
    again = resumed is not None
    precision = group.agree(
        partial(choose_precision, planned.settings, network, stream, machine, again=again)
    )
    planned = _with_training(planned, precision=precision)
    provenance = replace(
        planned.bundle.provenance,
        settings=to_mapping(planned.settings),
        ancestors=() if opened is None else opened.line,
    )
    planned = replace(planned, bundle=replace(planned.bundle, provenance=provenance))
    measured = machine if gpu is None else {**machine, "gpu": gpu}
    return PlannedRun(modality, planned, network, stream, measured, opened, begins_well)


def plan_corpus(
    modality: AnyModality,
    corpus: Any,
    settings: Any,
    speed: float,
    *,
    base: BaseModel | None = None,
    first: bool = False,
    accelerator: Accelerator | None = None,
) -> Planned[Any, Any, Any]:
    """Decide on everything that a run on a corpus leaves open.

    Arguments:
        modality: of the corpus.
        corpus: what is learnt from.
        settings: as asked for.
        speed: of the machine, as `machine_speed` tells it.
        base: the model that the run begins as.
        first: True for the process that logs and counts.
        accelerator: the GPU that trains; None for a CPU.
    """
    own, seconds = member_part(settings)
    planned = modality.plan(corpus, RunRequest(own, seconds, speed, base, first, accelerator))
    return with_members(planned, settings)


def fresh_network(
    modality: AnyModality, planned: Planned[Any, Any, Any], seed: int
) -> tuple[Network, bool]:
    """A network with new weights, and True if they are worth keeping.

    Random numbers are those of the seed from then on.
    """
    torch.manual_seed(seed)
    network = build_network(planned.bundle.config)
    return network, modality.initialise(network, planned)


def _with_training(planned: Planned[Any, Any, Any], **changes: Any) -> Planned[Any, Any, Any]:
    settings = planned.settings
    changed = replace(settings, training=replace(settings.training, **changes))
    return replace(planned, settings=changed)


def check_settings(asked: TrainingSettings, base: BaseModel | None, group: Group) -> None:
    """Refuse settings other than those of the first process.

    The device may be another one.

    Arguments:
        asked: settings of this process.
        base: the model that it begins as.
        group: the processes that train together.

    Raises:
        SettingsError: some differ, which are named.
    """
    plain = msgspec.json.decode(msgspec.json.encode(asked))  # lists, as `agree` gives them
    own = {**plain, "device": "", "from": None if base is None else base.sha256}
    changed = sorted(differences(group.agree(lambda: own), own))
    if changed:
        raise SettingsError(
            f"these settings differ from those of the first process: {', '.join(changed)}",
            hint="start all processes with the same command",
        )


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """Settings that training would use, and why.

    Arguments:
        modality: of the sources, without its version.
        settings: resolved.
        reasons: for what was planned.
        parameters: of the network.
        updates: of one pass over the training split.
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

    def shown(self, width: int) -> Sequence[Any]:
        return [self.toml()]


def plan(*sources: Any, base: str | Path | None = None, **settings: Unpack["TrainOptions"]) -> Plan:
    """Decide on everything that a run leaves open; nothing is written.

    Arguments:
        sources: as in `train`.
        base: as in `train`.
        settings: as in `train`.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    run = plan_training(sources, settings, resumed=None, base=base, group=join_group())
    return Plan(
        run.modality.name.partition(".v")[0],
        run.planned.settings,
        tuple(run.planned.plan.reasons),
        run.network.parameter_count(),
        run.stream.steps(1.0),
        run.planned.elements,
    )
