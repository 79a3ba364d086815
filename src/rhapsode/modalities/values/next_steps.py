"""Views of values: next steps, a chosen step, encoded values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.opened import Following
from rhapsode.views.display import Shown

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
# Steps of a sequence that a terminal shows, the last ones.
SHOWN = 40

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ValueChoice(Shown):
    """The distribution in which the numbers of one step were chosen.

    Arguments:
        names: of the numbers.
        values_K: chosen numbers; NaN where missing.
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
        return {
            "values": plain_row(self.values_K),
            "levels": self.levels.tolist(),
            "quantiles": {
                name: self.quantiles_QK[:, number].tolist()
                for number, name in enumerate(self.names)
            },
            "nats": plain_number(self.nats),
        }

    def shown(self, width: int) -> Sequence[Any]:
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
                        name: plain_row(self.quantiles_QHK[:, step, number])
                        for number, name in enumerate(self.names)
                    },
                }
                for step, time in enumerate(self.times)
            ],
        }


class StepsFollowing(Following):
    """Quantiles of the steps that follow series, at one or more temperatures."""

    def shown(self, width: int) -> Sequence[Any]:
        return [
            table
            for row in self.tables
            for one in row
            for table in quantile_tables(
                one.series,
                one.names,
                one.times,
                LEVELS,
                one.quantiles_QHK,
                width=width,
                ending=f", temperature {one.temperature:g}" if len(row) > 1 else "",
            )
        ]


def quantile_tables(
    series: str,
    names: Sequence[str],
    times: Sequence[str],
    levels: Sequence[float],
    quantiles_QHK: Floats,
    *,
    width: int,
    ending: str = "",
) -> Iterator[Any]:
    """Quantiles of the steps of a series, a table for each number.

    Arguments:
        series: its name.
        names: of the numbers.
        times: of the steps.
        levels: of the quantiles.
        quantiles_QHK: of the steps.
        width: cells of the terminal.
        ending: of each title.
    """
    from rhapsode.views.candidates import steps_table

    for number, name in enumerate(names):
        title = series if series == name else f"{series}, {name}"
        rows = list(zip(times, quantiles_QHK[:, :, number].T.tolist(), strict=True))
        yield steps_table(title + ending, levels, rows, width)


def plain_number(value: float | None) -> float | None:
    """A number for JSON; None if it is not finite."""
    return None if value is None or not np.isfinite(value) else float(value)


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
        return {"encoding": self.encoding, "series": self.series}

    def shown(self, width: int) -> Sequence[Any]:
        from rich.table import Column, Table
        from rich.text import Text

        blocks: list[Any] = []
        for one in self.series:
            table = Table(
                "",
                Column("value", justify="right"),
                Column("target", justify="right"),
                title=Text(one["series"], style="bold"),
                title_justify="left",
                title_style="",
                box=None,
                padding=(0, 2, 0, 0),
                header_style="dim",
            )
            rows = list(zip(one["times"], one["values"], one["targets"], strict=True))
            for time, values, targets in rows[-SHOWN:]:
                table.add_row(time, _text(values), _text(targets))
            left = len(rows) - SHOWN
            more = f", of which the last {SHOWN} are shown" if left > 0 else ""
            blocks += [table, Text(f"{len(rows):,} steps{more}", style="dim")]
        return blocks


def plain_row(row: Any) -> list[float | None]:
    """A row of numbers for JSON; None where one is missing."""
    return [plain_number(value) for value in row]


def _text(numbers: Sequence[float | None]) -> str:
    return " ".join("–" if number is None else f"{number:.6g}" for number in numbers)
