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
class WrittenTextSettings:
    """Texts that drawings are written from."""

    use: Literal["auto", "always", "never"] = "auto"
    """auto: the model writes from texts if every drawing has one; always: a drawing without text is
    an error; never: texts are ignored."""
    window: Literal["auto", "reading_window", "gaussian_window"] = "auto"
    """How the text is followed, by a window that moves forward: reading_window knows on which
    character it stands, gaussian_window does not. [default: reading_window]"""
    feedback: bool = False
    """Feed the character under the window back into the layers before it, too, as Graves (2013)
    does; training then takes one move after another."""
    layers_above: Annotated[int, Meta(ge=0, le=64)] = 1
    """Layers between the window and the output."""


@dataclass(frozen=True)
class StrokeTrainSettings(TrainingSettings):
    """Settings of training on strokes."""

    strokes: InkSettings = field(default_factory=InkSettings)
    text: WrittenTextSettings = field(default_factory=WrittenTextSettings)
    data: StrokeDataSettings = field(default_factory=StrokeDataSettings)
    head: Mapping[str, Any] = field(default_factory=dict)
    """Output distribution, settings of the head pen: components, by_pen, least_scale."""


@dataclass(frozen=True)
class WriteSettings:
    """Settings of a written text."""

    style: Annotated[str | None, option("FILE", "the model's choice")] = None
    """File of ink with its text, such as .json that was written before: its hand is continued. Its
    first drawing is read."""
    bias: Annotated[Annotated[float, Meta(ge=0.0, le=20.0)], option("B")] = 0.5
    """Write neatly: deviations are multiplied by exp(-B), logits of the mixture by 1 + B (Graves
    2013); 0 writes as the training data were written."""
    line: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None, option("N", "as long as in training")
    ] = None
    """Break lines between words where they are longer than this number of characters."""
    temperature: Annotated[float, Meta(ge=0.0, le=100.0)] = 1.0
    """Logits are divided by it, variances multiplied."""
    unknown: Literal["error", "skip"] = "error"
    """Characters that the model has never seen: error stops, skip leaves them out."""
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None, option("N", "random, printed on stderr")
    ] = None
    """Random seed; the same seed writes the same ink."""


@dataclass(frozen=True)
class StrokeGenerateSettings(GenerateSettings):
    """Settings of a new drawing."""

    pen_bias: Annotated[Annotated[float, Meta(ge=0.0, le=20.0)], option("B")] = 0.0
    """Prefer likely moves of the pen: deviations are multiplied by exp(-B), logits of the mixture
    by 1 + B (Graves 2013); 0 draws from the model, 1 or 2 draws neatly."""
