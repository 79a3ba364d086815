"""Contents of sources: documents, and the run that training would plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.config import from_mapping
from rhapsode.errors import DataError
from rhapsode.modalities.choose import AnyModality, choose_modality
from rhapsode.modalities.contract import Shown, Surveyed

if TYPE_CHECKING:
    from rhapsode.keywords import TrainOptions


@dataclass(frozen=True, repr=False)
class Survey(Shown):
    """Contents of sources, and the run that training would plan for them.

    Arguments:
        modality: of the sources.
        found: plain values; see `describe`.
    """

    modality: AnyModality
    found: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.found

    def shown(self, width: int) -> Sequence[Any]:
        return list(self.modality.survey_report(self.found, width))

    def plot(self, path: str | Path) -> None:
        """Draw it into a .png or .svg file.

        Raises:
            SettingsError: there is no picture of such data.
        """
        self.modality.draw_survey(self.found, Path(path))


def describe(*sources: Any, **settings: Unpack["TrainOptions"]) -> Survey:
    """Describe sources, and plan a run on them.

    Encoded documents go into the cache, where training finds them. Under `training` are model,
    parameters, encoding, context, network, batch_size, window, learning_rate, budget, epochs, steps
    and reasons; only `reasons` where training is not possible.

    Arguments:
        sources: files, folders, catalogue names, or texts, records and tables in memory.
        settings: of training by name.

    Raises:
        DataError: nothing to read.
        SettingsError: a setting that does not fit.
    """
    modality, resolved, opened = _chosen(sources, settings)
    surveyed = modality.survey(sources, resolved, opened)
    training: dict[str, Any] = {"reasons": [surveyed.reason]}
    if surveyed.corpus is not None:
        training = _planned(modality, surveyed, resolved)
    return Survey(modality, {**surveyed.found, "training": training})


def show(*sources: Any, number: int = 0, **settings: Unpack["TrainOptions"]) -> Shown:
    """One document of sources as training would encode it.

    Arguments:
        sources: as in `describe`.
        number: which document, from 0.
        settings: of training by name.

    Raises:
        DataError: nothing to read, or fewer documents.
        SettingsError: a setting that does not fit.
    """
    modality, resolved, opened = _chosen(sources, settings)
    return modality.show(sources, number, resolved, opened=opened)


def _chosen(sources: Sequence[Any], asked: Mapping[str, Any]) -> tuple[AnyModality, Any, Any]:
    """The modality of sources, the settings, and intermediate results."""
    modality, claim = choose_modality(sources, asked)
    settings = from_mapping(modality.settings, asked, where="settings")
    settings.budget_seconds()  # refused here where it makes no sense
    modality.check(settings)
    return modality, settings, claim.opened


def _planned(modality: AnyModality, surveyed: Surveyed[Any], settings: Any) -> dict[str, Any]:
    import torch

    from rhapsode.bundle.network import build_network
    from rhapsode.training import machine_speed, matmul_rates
    from rhapsode.workflows.runs.planning import plan_corpus

    speed = machine_speed(matmul_rates(), torch.get_num_threads())
    try:
        planned = plan_corpus(modality, surveyed.corpus, settings, speed)
        modality.stream(planned)
    except DataError as problem:
        return {"reasons": [problem.what]}
    with torch.device("meta"):
        network = build_network(planned.bundle.config)
    chosen = planned.settings
    return {
        "model": chosen.model,
        "parameters": network.parameter_count(),
        "encoding": chosen.encoding,
        "encoding_reason": surveyed.encoding_reason,
        "context": planned.bundle.config.context,
        "network": dict(chosen.network),
        "batch_size": chosen.training.batch_size,
        "window": chosen.training.window,
        "learning_rate": chosen.training.learning_rate,
        "budget": chosen.budget,
        "epochs": chosen.epochs,
        "steps": chosen.steps,
        "reasons": list(planned.plan.reasons),
    }
