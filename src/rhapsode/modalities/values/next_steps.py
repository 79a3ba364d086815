"""Values for people: quantiles of next steps, a chosen step, values as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.generation import Rows
from rhapsode.modalities.opened import Following
from rhapsode.views.display import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "LEVELS",
    "NextSteps",
    "StepsFollowing",
    "ValueChoice",
    "ValuesSeen",
    "choice_of",
    "plain_row",
]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
CHOICE_LEVELS = 9
"""Quantiles of a chosen step, evenly spaced."""

Floats = NDArray[np.float64]
SHOWN = 40
"""Steps of a sequence that a terminal shows, the last ones."""


@dataclass(frozen=True, repr=False)
class ValueChoice(Shown):
    """The distribution in which the numbers of one step were chosen.

    Arguments:
        names: of the numbers.
        values_K: what was chosen; NaN where missing.
        levels: of the quantiles, rising.
        quantiles_QK: of the model, before any filter.
        nats: negative log-density of the step, in the data's own units.
    """

    names: tuple[str, ...]
    values_K: Floats
    levels: Floats
    quantiles_QK: Floats
    nats: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "values": [plain_number(value) for value in self.values_K],
            "levels": self.levels.tolist(),
            "quantiles": {
                name: self.quantiles_QK[:, number].tolist()
                for number, name in enumerate(self.names)
            },
            "nats": plain_number(self.nats),
        }

    def shown(self, width: int) -> Sequence[RenderableType]:
        """The value in its place among the quantiles, for each number."""
        from rich.text import Text

        from rhapsode.views.candidates import choice_table

        levels = self.levels.tolist()
        return [
            *(
                choice_table(
                    name,
                    levels,
                    self.quantiles_QK[:, number].tolist(),
                    float(self.values_K[number]),
                )
                for number, name in enumerate(self.names)
            ),
            Text(f"{self.nats:.2f} nats", style="dim"),
        ]


def choice_of(rows: Rows, values: Sequence[float], names: tuple[str, ...]) -> ValueChoice:
    """The distribution of the next values of the only row.

    Arguments:
        rows: before the values.
        values: of the K numbers.
        names: of the numbers.
    """
    following = rows.following()
    table = following.table(CHOICE_LEVELS)
    values_K = np.array(values, dtype=np.float64)
    nats = -float(following.log_prob(values_K[None])[0])
    quantiles_QK: Floats = np.asarray(table.elements[0], dtype=np.float64)
    return ValueChoice(names, values_K, table.probabilities, quantiles_QK, nats)


@dataclass(frozen=True)
class NextSteps:
    """Quantiles of the steps that follow a series.

    Arguments:
        series: its name.
        times: of the steps.
        names: of the numbers of a step.
        quantiles_QHK: at `LEVELS`, of sample paths.
        temperature: of the draw.
        chain: the filters and the draw in words.
    """

    series: str
    times: tuple[str, ...]
    names: tuple[str, ...]
    quantiles_QHK: Floats
    temperature: float
    chain: str

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "series": self.series,
            "temperature": self.temperature,
            "chain": self.chain,
            "levels": list(LEVELS),
            "steps": [
                {
                    "time": time,
                    "quantiles": {
                        name: [plain_number(v) for v in self.quantiles_QHK[:, step, number]]
                        for number, name in enumerate(self.names)
                    },
                }
                for step, time in enumerate(self.times)
            ],
        }


class StepsFollowing(Following):
    """Quantiles of the steps that follow series, at one or more temperatures."""

    def shown(self, width: int) -> Sequence[RenderableType]:
        """A table for each series, number and temperature."""
        from rhapsode.views.candidates import steps_table

        blocks = []
        for row in self.tables:
            for one in row:
                for number, name in enumerate(one.names):
                    title = one.series if one.series == name else f"{one.series}, {name}"
                    if len(row) > 1:
                        title += f", temperature {one.temperature:g}"
                    quantiles_HQ = one.quantiles_QHK[:, :, number].T.tolist()
                    rows = list(zip(one.times, quantiles_HQ, strict=True))
                    blocks.append(steps_table(title, LEVELS, rows, width))
        return blocks


def plain_number(value: float) -> float | None:
    """A number as JSON has it; None for what it has not."""
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, repr=False)
class ValuesSeen(Shown):
    """Targets of sequences, as the network learns them.

    Arguments:
        encoding: name of the encoder.
        series: name, times, values and targets of each, and its scale where it has one.
    """

    encoding: str
    series: list[dict[str, Any]]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"encoding": self.encoding, "series": self.series}

    def shown(self, width: int) -> Sequence[RenderableType]:
        """The last steps of every sequence, values and targets."""
        from rich.table import Table
        from rich.text import Text

        blocks: list[RenderableType] = []
        for one in self.series:
            table = Table(
                title=Text(one["series"], style="bold"),
                title_justify="left",
                title_style="",
                box=None,
                padding=(0, 2, 0, 0),
                header_style="dim",
            )
            table.add_column("")
            table.add_column("value", justify="right")
            table.add_column("target", justify="right")
            rows = list(zip(one["times"], one["values"], one["targets"], strict=True))
            for time, values, targets in rows[-SHOWN:]:
                table.add_row(time, _text(values), _text(targets))
            left = len(rows) - SHOWN
            more = f", of which the last {SHOWN} are shown" if left > 0 else ""
            blocks += [table, Text(f"{len(rows):,} steps{more}", style="dim")]
        return blocks


def plain_row(row: Any) -> list[float | None]:
    """A row of numbers for JSON; None where one is missing."""
    return [float(value) if np.isfinite(value) else None for value in row]


def _text(numbers: Sequence[float | None]) -> str:
    return " ".join("–" if number is None else f"{number:.6g}" for number in numbers)
