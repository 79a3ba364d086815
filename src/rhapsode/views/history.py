"""The course of a run: losses by evaluation, as lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.views.display import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType


class History(Shown, dict[str, list[float]]):
    """Lists of equal length, an entry an evaluation.

    Keys are `step`, `seconds`, `loss` (mean of the training losses since the evaluation before) and
    `val_loss`, nats per element.

    Arguments:
        columns: the lists by name.
        curve: picture of the run as SVG; None if it is not finished.
    """

    def __init__(self, columns: Mapping[str, list[float]], curve: str | None = None) -> None:
        super().__init__(columns)
        self.curve = curve

    @property
    def history(self) -> dict[str, list[float]]:
        """The lists by name, where Keras has them."""
        return dict(self)

    def to_mapping(self) -> dict[str, Any]:
        return dict(self)

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rhapsode.views.tables import bare_table, number_columns

        rows = zip(*(map(_in_words, column) for column in self.values()), strict=True)
        return [bare_table(*number_columns(*self), rows=rows, header_style="bold")]

    def _repr_html_(self) -> str:
        return self.curve or super()._repr_html_()


def _in_words(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.4f}" if value % 1 else f"{value:,.0f}"


def read_events(metrics: Path) -> Iterator[dict[str, Any]]:
    """Read the events of a run, without an unfinished last line.

    Arguments:
        metrics: a `metrics.jsonl`.
    """
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def read_history(metrics: Path, curve: Path) -> History:
    """Read the losses of a run at its evaluations.

    Arguments:
        metrics: its `metrics.jsonl`, which may be missing.
        curve: its picture, which may be missing.
    """
    columns: dict[str, list[Any]] = {"step": [], "seconds": [], "loss": [], "val_loss": []}
    losses: list[float] = []
    for event in read_events(metrics) if metrics.is_file() else ():
        if event.get("event") == "step":
            losses.append(event["loss"])
        elif event.get("event") == "evaluation":
            mean = sum(losses) / len(losses) if losses else None
            entries = (event["step"], event["elapsed"], mean, event["loss"])
            for column, entry in zip(columns.values(), entries, strict=True):
                column.append(entry)
            losses.clear()
    return History(columns, curve.read_text(encoding="utf-8") if curve.is_file() else None)
