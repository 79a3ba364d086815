"""Metrics of strokes: nats a move and a drawing, and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.errors import DataError
from rhapsode.evaluation.losses import value_losses
from rhapsode.modalities.scoring import Metrics
from rhapsode.modalities.strokes.baselines import baseline_losses
from rhapsode.modalities.strokes.corpus import StrokePart
from rhapsode.modalities.strokes.facts import StrokeBundle
from rhapsode.modalities.strokes.fitting.batches import dithered, encode_drawings
from rhapsode.modalities.strokes.labels import condition_of
from rhapsode.modalities.values.modality import ScoredPart
from rhapsode.views.tables import bare_table, number_column

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

# Noise of scored moves is always the same.
SEED = 0
BASELINES = {
    "gaussian": "a Gaussian by state of the pen",
    "linear": "linear in two moves, four scales",
    "ngram": "directions and radii, n-gram of order 2",
}


def encode_part(bundle: StrokeBundle, part: StrokePart) -> ScoredPart:
    """Encoded drawings of a part, with noise in place of the grid.

    Raises:
        DataError: the model writes texts, and a drawing has none.
    """
    condition, source = None, bundle.facts.source
    if source is not None:
        if part.texts is None:
            raise DataError(
                "the model writes texts, and a drawing has none",
                where=part.split,
                hint='give every drawing a "text"',
            )
        condition = condition_of(part.texts, source)
    arrays = encode_drawings(bundle.encoder, part.moves, condition)
    settings = bundle.encoder.settings
    targets_NK = dithered(arrays.targets_NK, settings.grid / settings.scale, SEED)
    lengths_S = np.array([len(each) for each in part.moves], dtype=np.int64)
    return ScoredPart(
        replace(arrays, targets_NK=targets_NK), np.zeros(len(lengths_S), dtype=np.int64), lengths_S
    )


@dataclass(frozen=True, repr=False)
class StrokeMetrics(Metrics):
    """Density of drawings.

    Arguments:
        loss: nats a move, pen and end of the drawing included, in the data's own units.
        elements: moves scored.
        drawings: number of drawings.
        pen: nats a move of the state of the pen alone.
        baselines: nats a move of each baseline, and "pen" of the state of the pen given the one
            before; empty where there is no training split to estimate them from.
        grid: step of the grid that the noise replaces; 0 without noise.
        protocol: how they were measured.
    """

    loss: float
    elements: int
    drawings: int
    pen: float
    baselines: Mapping[str, float]
    grid: float
    protocol: dict[str, Any]

    @property
    def perplexity(self) -> float:  # type: ignore[override]
        return math.exp(min(self.loss, 700.0))

    def to_mapping(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "elements": self.elements,
            "nats_per_point": self.loss,
            "nats_per_sequence": self.loss * self.elements / self.drawings,
            "sequences": self.drawings,
            "points_per_sequence": self.elements / self.drawings,
            "offset": self.loss - self.pen,
            "pen": self.pen,
            "baselines": dict(self.baselines),
            "grid": self.grid,
            "protocol": self.protocol,
        }

    def shown(self, width: int) -> Sequence[Any]:
        return list(self.report(str(self.protocol["split"])))

    def report(self, title: str) -> Iterator[Any]:
        yield from stroke_report(self.to_mapping(), title)


def stroke_report(found: Mapping[str, Any], title: str) -> Iterator[Any]:
    """Metrics of drawings for people.

    Arguments:
        found: plain values of the metrics.
        title: printed above.
    """
    yield title
    rows = [("model", found["loss"], found["pen"])]
    baselines = found["baselines"]
    rows += [
        (words, baselines[name], None if name == "ngram" else baselines["pen"])
        for name, words in BASELINES.items()
        if name in baselines
    ]
    yield bare_table(
        "",
        number_column("nats a move"),
        number_column("of them, the pen"),
        rows=[
            (name, f"{loss:.4f}", "" if pen is None else f"{pen:.4f}") for name, loss, pen in rows
        ],
        header_style="bold",
    )
    yield (
        f"{found['elements']:,} moves of {found['sequences']:,} drawings, "
        f"{found['nats_per_sequence']:.1f} nats a drawing, ends of drawings included"
    )


def measure_strokes(
    predictor: ValuePredictor[StrokeBundle], part: StrokePart, split: str
) -> StrokeMetrics:
    """Measure a model on drawings.

    Arguments:
        predictor: the model.
        part: the drawings.
        split: their description, for the protocol.
    """
    bundle = predictor.bundle
    encoded = encode_part(bundle, part)
    loss = encoded.loss(predictor, bundle.facts.warm_up)
    pen_only = encoded.arrays.targets_NK.copy()
    pen_only[:, :2] = np.nan
    arrays = replace(
        encoded.arrays,
        targets_NK=pen_only,
        log_jacobian_N=np.zeros_like(encoded.arrays.log_jacobian_N),
    )
    starts_S = arrays.offsets[:-1]
    pen = value_losses(predictor, arrays, starts_S, warm_up=bundle.facts.warm_up).mean()
    grid = bundle.encoder.settings.grid
    return StrokeMetrics(
        loss,
        encoded.values,
        len(part.moves),
        float(pen),
        baseline_losses(part.train, part.moves, grid) if part.train else {},
        grid,
        {
            "split": split,
            "selected_on": bundle.provenance.selected_on,
            "context": "fresh: every drawing from the zero state, scored whole",
            "normalisation": f"none: nats in the units of the data, with uniform noise of one step "
            f"of the grid, {grid:g}, in place of rounding"
            if grid
            else "none: nats in the units of the data",
            "unknown_cost": "every move is scored, and the end of every drawing",
        },
    )
