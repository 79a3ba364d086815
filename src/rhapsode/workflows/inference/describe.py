"""Components, layers and provenance of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.modalities.contract import Model
from rhapsode.views.display import Shown
from rhapsode.workflows import describe, open_model

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Info", "info"]


@dataclass(frozen=True, repr=False)
class Info(Shown):
    """Components, layers, encoder and provenance of a model.

    Arguments:
        facts: plain values.
    """

    facts: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.facts

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rhapsode.views.terminal.model_tables import arrays_table, parts_table

        return [parts_table(self.facts), arrays_table(self.facts)]


def info(model: str | Path | Model[Any]) -> Info:
    """Describe a model.

    Arguments:
        model: a run folder or model file, or an open model.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    return Info(describe(open_model(model)[1]))
