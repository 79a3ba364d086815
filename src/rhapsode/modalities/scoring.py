"""Contracts of measuring: parts, metrics, comparisons, surveys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.views.display import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType


SplitName = Literal["train", "validation", "test"]
C = TypeVar("C")


@dataclass(frozen=True)
class NoSettings:
    """No settings of its own."""


class Part(Protocol):
    """Data to score, opened."""

    @property
    def split(self) -> str:
        """The data in words, for a protocol."""


class Metrics(Shown):
    """Metrics of a model on a part."""

    loss: float
    """Nats per element, in the data's own units."""

    perplexity: float
    """The exponential of the loss."""

    @abstractmethod
    def report(self, title: str) -> Iterator[RenderableType]:
        """Metrics for people under a title, as lines and `rich` renderables."""

    def notes(self) -> Iterator[str]:
        """Warnings and remarks on the metrics."""
        yield from ()


@dataclass(frozen=True)
class Measure:
    """A measure by which models are compared; less is better.

    Arguments:
        key: its name in JSON.
        name: its name for people.
        per: nats of one unit of the measure, if its unit is not nats.
    """

    key: str
    name: str
    per: float = 1.0


@dataclass(frozen=True)
class Scored:
    """One model of a comparison.

    Arguments:
        row: plain values that describe it.
        sums_U: by measure, the sum over each unit of the part.
    """

    row: Mapping[str, Any]
    sums_U: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Compared:
    """Models on a common part.

    Arguments:
        models: by name.
        measures: the first one decides the order.
        sizes_U: by measure, the size of each unit; a unit without size or cost is left out.
        units: noun of a unit.
        passages: the units in words.
        caution: why the metrics do not compare; None where they do.
    """

    models: Mapping[str, Scored]
    measures: Sequence[Measure]
    sizes_U: Mapping[str, NDArray[np.int64]]
    units: str
    passages: str
    caution: str | None = None


@dataclass(frozen=True)
class Surveyed(Generic[C]):
    """Contents of sources.

    Arguments:
        found: plain values.
        corpus: training data; None if they cannot be learnt from.
        reason: why `corpus` is None.
        encoding_reason: why the encoding was chosen.
    """

    found: dict[str, Any]
    corpus: C | None
    reason: str = ""
    encoding_reason: str = ""
