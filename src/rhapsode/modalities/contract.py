"""The modality contract: the interface of a kind of sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from rhapsode.bundle import FACTS
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import source_name
from rhapsode.modalities.opened import Shown
from rhapsode.modalities.run_contract import (
    B,
    C,
    Claim,
    Corpus,
    Degree,
    FinishedModel,
    Planned,
    RunRequest,
    S,
    resolved,
)
from rhapsode.modalities.scoring import (
    Compared,
    Measure,
    Metrics,
    NoSettings,
    Part,
    Scored,
    SplitName,
    Surveyed,
)
from rhapsode.models.families import FAMILIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # training loads torch
    from rhapsode.bundle.network import Network
    from rhapsode.data import Stream
    from rhapsode.training import Measures
    from rhapsode.views.card import Card

__all__ = [
    "Claim",
    "Compared",
    "Corpus",
    "Degree",
    "FinishedModel",
    "Measure",
    "Metrics",
    "Modality",
    "Part",
    "Planned",
    "RunRequest",
    "Scored",
    "Shown",
    "SplitName",
    "Surveyed",
    "resolved",
]


class Modality(ABC, Generic[S, C, B]):
    """A kind of sequence.

    Callers use this interface alone and never check which modality it is.
    """

    name: ClassVar[str]
    """The registered name."""
    noun: ClassVar[str]
    """Noun of its data, for messages: "text", "series"."""
    decides_all_of: ClassVar[tuple[str, ...]] = ("encoder", "network")
    """Sections of the settings in which a base model decides every entry."""
    averages: ClassVar[bool] = False
    """True if a model may average several networks."""
    settings: type[S]
    """The dataclass of its settings; loads no torch."""
    evaluation: ClassVar[type[Any]] = NoSettings
    """The dataclass of the settings of an evaluation; loads no torch."""
    comparison: ClassVar[type[Any]] = NoSettings
    """The dataclass of the settings of a comparison; loads no torch."""

    @abstractmethod
    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Decide if sources are of this kind.

        Arguments:
            sources: paths, names, or things in memory.
            asked: settings by name.
        """

    def check(self, settings: S) -> None:
        """Refuse settings that make no sense before anything is read.

        Raises:
            SettingsError: an unknown component or setting, or values that exclude one another.
        """
        FAMILIES.full_name(settings.model)

    @abstractmethod
    def corpus(
        self, sources: Sequence[Any], settings: S, *, opened: Any = None, base: B | None = None
    ) -> C:
        """Read sources, divide and encode them.

        Arguments:
            sources: training data.
            settings: as requested.
            opened: data that a claim has read already.
            base: a model whose encoder is used.

        Raises:
            DataError: they cannot be read, or hold too little.
        """

    @abstractmethod
    def decided(self, bundle: B) -> Mapping[str, Any]:
        """The settings that a base model decides, by name."""

    def suggested(self, bundle: B) -> dict[str, Any]:
        """Settings that a base model suggests as defaults."""
        names = ("optimiser", "beta1", "beta2", "weight_decay", "clip")
        trained = bundle.provenance.section("training")
        return {"training": {name: trained[name] for name in names if name in trained}}

    def alike(self, name: str, asked: Any, decided: Any) -> bool:
        """True if a requested value equals that of the base model.

        Aliases of a name are equal.
        """
        return bool(asked == decided)

    @abstractmethod
    def plan(self, corpus: C, request: RunRequest[S]) -> Planned[S, C, B]:
        """Fill all settings that were left open."""

    @abstractmethod
    def stream(self, planned: Planned[S, C, B]) -> Stream:
        """The training split as batches."""

    def initialise(self, network: Network, planned: Planned[S, C, B]) -> bool:
        """Set the initial weights; True if they are worth keeping."""
        return False

    @abstractmethod
    def validation(self, planned: Planned[S, C, B], network: Network) -> Callable[[], float] | None:
        """Function that computes the validation loss, nats per element; None without data."""

    def measures(
        self, planned: Planned[S, C, B], network: Network
    ) -> Callable[[float], Measures] | None:
        """Function that measures a network besides its loss, which it is given.

        Its measures select the best weights. None: the loss does.
        """
        return None

    def element_losses(
        self, planned: Planned[S, C, B], network: Network
    ) -> Callable[[], NDArray[np.floating]] | None:
        """Function that computes nats of every validation element; None without data.

        NaN stands where an element is not scored. Needed where several networks are averaged.
        """
        raise SettingsError(f"a model of {self.noun} has one network", where="members")

    @abstractmethod
    def samples(
        self, planned: Planned[S, C, B], network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        """Function that generates previews, each with its temperature."""

    def samples_shown(
        self, planned: Planned[S, C, B], samples: Sequence[tuple[float, str]], width: int
    ) -> Any:
        """Samples for a terminal, as a `rich` renderable.

        Arguments:
            planned: the run.
            samples: temperature and text of each.
            width: cells there are.
        """
        from rhapsode.views.terminal.model_tables import samples_table

        return samples_table(samples)

    @abstractmethod
    def finish(
        self, planned: Planned[S, C, B], bundle: B, network: Network, folder: Path
    ) -> FinishedModel[B]:
        """Calibrate and test the best weights, and write sidecar files.

        Arguments:
            planned: the run.
            bundle: the best weights.
            network: the trained network, with the last weights instead of the best.
            folder: where sidecars go.
        """

    @abstractmethod
    def card(self, bundle: B, summary: Mapping[str, Any]) -> Card:
        """Contents of the card of a run."""

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        """Lines and `rich` tables for the end of a run."""
        if summary["loss"] is not None:
            yield f"{title}: {summary['loss']:.4f} nats per element"

    def next_command(self, folder: Path) -> str:
        """The command to try after training."""
        return f"{FACTS.get(self.name).command} {folder}"

    def to_score(self, model: Any, sources: Sequence[str], asked: Mapping[str, Any]) -> Part:
        """Read sources as a model takes them.

        Arguments:
            model: the model.
            sources: data to score.
            asked: settings of `evaluation` by name. [default: as in training]

        Raises:
            DataError: they cannot be read, or hold nothing to score.
        """
        raise DataError(
            f"of {self.noun}, only splits of a run can be scored",
            where=", ".join(sources),
            hint="--split test",
        )

    def part(self, corpus: C, settings: S, name: SplitName) -> Part:
        """A split of the corpus of a run, to score.

        Raises:
            DataError: it is empty.
        """
        raise DataError(f"there are no splits of {self.noun}", where="--split")

    def metrics(self, model: Any, part: Any, settings: Any) -> Metrics:
        """Measure a model: likelihood in the data's own units, and baselines.

        Arguments:
            model: the model.
            part: from `part` or `to_score`.
            settings: of `evaluation`.
        """
        raise SettingsError(f"models of {self.noun} are not evaluated", where="evaluate")

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        """Measure several models on one part, unit by unit.

        Arguments:
            models: by name.
            part: from `to_score` or `part`.
            settings: of `comparison`.
        """
        raise SettingsError(f"models of {self.noun} are not compared", where="compare")

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        """A comparison for people, as lines and `rich` renderables."""
        from rhapsode.views.comparison_report import plain_comparison

        yield from plain_comparison(compared, title)

    def passages(self, part: Any, *, count: int, length: int, seed: int) -> list[str]:
        """Prompts from random places of a part, for a blind comparison.

        Raises:
            SettingsError: prompts are not taken from places of data.
        """
        raise SettingsError(f"no prompts are taken from {self.noun}", where="--on")

    def show(
        self, sources: Sequence[Any], number: int, settings: S, *, opened: Any = None
    ) -> Shown:
        """One document of sources as training would encode it.

        Arguments:
            sources: paths, names, or things in memory.
            number: which document, from 0.
            settings: as for training.
            opened: data that a claim has read already.

        Raises:
            DataError: there are fewer documents.
        """
        raise SettingsError(f"documents of {self.noun} are not shown", where="data show")

    def survey(self, sources: Sequence[Any], settings: S, opened: Any) -> Surveyed[C]:
        """Describe sources, and prepare their corpus for training.

        Arguments:
            sources: paths, names, or things in memory.
            settings: as for training.
            opened: data that a claim has read already.
        """
        corpus = self.corpus(sources, settings, opened=opened)
        return Surveyed(
            {
                "sources": [source_name(source) for source in sources],
                "documents": corpus.documents,
                "characters": corpus.characters,
            },
            corpus,
        )

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        """A survey for people, as `rich` renderables.

        Arguments:
            found: from `survey`, with `training`.
            width: columns there are.
        """
        from rhapsode.views.survey_report import plain_survey

        yield from plain_survey(found, width)

    def draw_survey(self, found: Mapping[str, Any], path: Path) -> None:
        """Draw a survey into a .png or .svg file.

        Raises:
            SettingsError: there is no picture of it.
        """
        raise SettingsError(f"there is no picture of {self.noun}", where="--plot")
