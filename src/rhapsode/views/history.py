"""The course of a run: losses by evaluation, as lists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.views.display import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["History", "read_history"]


class History(Shown, Mapping[str, list[float]]):
    """Lists of equal length, an entry an evaluation.

    Keys are `step`, `seconds`, `loss` (mean of the training losses since the evaluation before) and
    `val_loss`, nats per element.

    Arguments:
        columns: the lists by name.
        curve: picture of the run as SVG; None if it is not finished.
    """

    def __init__(self, columns: Mapping[str, list[float]], curve: str | None = None) -> None:
        self._columns = dict(columns)
        self.curve = curve

    def __getitem__(self, name: str) -> list[float]:
        return self._columns[name]

    def __iter__(self) -> Any:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def history(self) -> dict[str, list[float]]:
        """The lists by name, where Keras has them."""
        return dict(self._columns)

    def to_mapping(self) -> dict[str, Any]:
        return dict(self._columns)

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rich.table import Column, Table

        table = Table(
            *(Column(name, justify="right") for name in self._columns),
            box=None,
            padding=(0, 2, 0, 0),
        )
        for row in zip(*self._columns.values(), strict=True):
            table.add_row(
                *("" if v is None else f"{v:,.4f}" if v % 1 else f"{v:,.0f}" for v in row)
            )
        return [table]

    def _repr_html_(self) -> str:
        return self.curve or super()._repr_html_()


def read_history(metrics: Path, curve: Path) -> History:
    """The course of a run from its files; empty lists before the first evaluation."""
    columns: dict[str, list[Any]] = {"step": [], "seconds": [], "loss": [], "val_loss": []}
    losses: list[float] = []
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that is being written
        if event.get("event") == "step":
            losses.append(event["loss"])
        elif event.get("event") == "evaluation":
            columns["step"].append(event["step"])
            columns["seconds"].append(event["elapsed"])
            columns["loss"].append(sum(losses) / len(losses) if losses else None)
            columns["val_loss"].append(event["loss"])
            losses.clear()
    return History(columns, curve.read_text(encoding="utf-8") if curve.is_file() else None)
