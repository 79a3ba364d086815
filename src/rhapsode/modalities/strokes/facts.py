"""Contents of a model file that belong to strokes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from rhapsode.bundle import Bundle, ValueFacts
from rhapsode.encoding.strokes import StrokeEncoder

Points = Annotated[int, Meta(ge=1, le=1 << 24)]


@dataclass(frozen=True)
class StrokeFacts(ValueFacts):
    """Facts about the drawings of a model.

    Arguments:
        up: True if y grows upwards.
        usual: median number of moves of a drawing.
        longest: moves of the longest drawing.
    """

    up: bool = False
    usual: Points = 1
    longest: Points = 1

    modality: ClassVar[str] = "strokes.v1"
    goes_on_with: ClassVar[str] = "strokes"
    command: ClassVar[str] = "rhapsode generate"
    names: ClassVar[tuple[str, ...]] = ("dx", "dy", "pen")  # type: ignore[misc]
    covariate_size: ClassVar[int] = 0
    warm_up: ClassVar[int] = 1 << 20

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> StrokeEncoder:
        return StrokeEncoder.from_mapping(table)


StrokeBundle = Bundle[StrokeEncoder, StrokeFacts]
