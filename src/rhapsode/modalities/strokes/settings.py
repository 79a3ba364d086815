"""Settings of training on strokes, and of new drawings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config import GenerateSettings, TrainingSettings, option

Share = Annotated[float, Meta(ge=0.0, le=0.5)]


@dataclass(frozen=True)
class InkSettings:
    """Reading and preparation of drawings."""

    prepare: Literal["auto", "keep", "simplify"] = "auto"
    """keep takes the points as they are; simplify leaves out points near the line between their
    neighbours (Ramer-Douglas-Peucker), after which sizes are relative to the median height of the
    strokes of each drawing; auto simplifies dense ink (InkML, UNIPEN, SVG, JSON), and other points
    at equal distances."""
    tolerance: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.05
    """For simplify: greatest distance of a point that is left out, relative to the median height of
    the strokes."""
    steps: Annotated[int, Meta(ge=4, le=100_000)] = 50
    """For simplify: steps of the grid in the median height of the strokes."""
    y: Literal["auto", "up", "down"] = "auto"
    """Direction in which y grows: auto is up for UNIPEN, down for SVG, InkML and Quick Draw, and as
    a file says for JSON, otherwise down."""


@dataclass(frozen=True)
class StrokeDataSettings:
    """Splits of the drawings."""

    split: Literal["auto", "source", "drawings"] = "auto"
    """source: the splits that the source names (train, valid, test); drawings: a hash of each
    drawing selects its split; auto: source if it names any."""
    test_share: Share = 0.1
    """Fraction of the drawings in the test split, which is scored once, at the end of the run."""
    validation_share: Share = 0.1
    """Fraction of the rest in the validation split, which selects the best weights."""


@dataclass(frozen=True)
class StrokeTrainSettings(TrainingSettings):
    """Settings of training on strokes."""

    strokes: InkSettings = field(default_factory=InkSettings)
    data: StrokeDataSettings = field(default_factory=StrokeDataSettings)
    head: Mapping[str, Any] = field(default_factory=dict)
    """Output distribution, settings of the head pen: components, by_pen, least_scale."""


@dataclass(frozen=True)
class StrokeGenerateSettings(GenerateSettings):
    """Settings of a new drawing."""

    pen_bias: Annotated[Annotated[float, Meta(ge=0.0, le=20.0)], option("B")] = 0.0
    """Prefer likely moves of the pen: deviations are multiplied by exp(-B), logits of the mixture
    by 1 + B (Graves 2013); 0 draws from the model, 1 or 2 draws neatly."""
