"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rhapsode.bundle import modality_of
from rhapsode.workflows.continuing import Continuation, Piece
from rhapsode.workflows.model import Model

if TYPE_CHECKING:
    from rhapsode.workflows.series.model import SeriesModel  # loads what reads tables

__all__ = ["Continuation", "Model", "Piece", "load"]


def load(path: str | Path) -> Model | SeriesModel:
    """The model in a run folder or model file: of text, or of series of numbers.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    if modality_of(path) == "series.v1":
        from rhapsode.workflows.series.model import SeriesModel

        return SeriesModel(path)
    return Model(path)
