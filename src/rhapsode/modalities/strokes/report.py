"""Cards of models of strokes, and drawings as training sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rhapsode.encoding.strokes import strokes_of
from rhapsode.encoding.vectors import Floats
from rhapsode.modalities.strokes.facts import StrokeBundle
from rhapsode.modalities.strokes.metrics import BASELINES
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.display import Shown


@dataclass(frozen=True, repr=False)
class DrawingSeen(Shown):
    """A drawing as training sees it.

    Arguments:
        moves_T3: dx, dy and the state of the pen.
        up: True if y grows upwards.
        grid: step of its coordinates; 0 without a grid.
        text: what it shows; None if the source does not say.
    """

    moves_T3: Floats
    up: bool
    grid: float
    text: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        return {
            "moves": self.moves_T3.tolist(),
            "grid": self.grid,
            "y": "up" if self.up else "down",
            "text": self.text,
        }

    def shown(self, width: int) -> Sequence[Any]:
        from rich.text import Text

        from rhapsode.views.terminal.small_drawing import braille_lines

        strokes = strokes_of(self.moves_T3)
        lines = braille_lines(strokes, width=min(width, 72), height=16, up=self.up)
        facts = f"{len(strokes):,} strokes, {len(self.moves_T3):,} moves, grid {self.grid:g}"
        shown = [Text("\n".join(lines)), Text(facts, style="dim")]
        return shown if self.text is None else [shown[0], Text(self.text), shown[1]]


def card_of(bundle: StrokeBundle, summary: Mapping[str, Any]) -> Card:
    """The card of a run on strokes.

    Arguments:
        bundle: the model.
        summary: of the run.
    """
    provenance, facts, settings = bundle.provenance, bundle.facts, bundle.encoder.settings
    writes = facts.source is not None
    known = ""
    if facts.source is not None:
        known = (
            f" Each has a text, nine in ten of at most {facts.letters} characters; "
            f"{facts.source.vocab_size - 2} different characters occur."
        )
    grid = f"on a grid of {settings.grid:g}" if settings.grid else "on no grid"
    figures = ["No test split."]
    if summary["loss"] is not None:
        baselines = summary["baselines"]
        rows = [["model", f"{summary['loss']:.4f}"]]
        rows += [
            [BASELINES[name], f"{baselines[name]:.4f}"] for name in BASELINES if name in baselines
        ]
        protocol = summary["protocol"]
        figures = [
            *markdown_table(["", "nats per move"], rows),
            "",
            f"{summary['nats_per_sequence']:.1f} nats a drawing of "
            f"{summary['points_per_sequence']:.1f} moves; the state of the pen alone costs "
            f"{summary['pen']:.4f} nats a move.",
            f"{protocol['split']}; {protocol['context']}; {protocol['normalisation']}.",
        ]
    return Card(
        "Drawings",
        "A model of handwriting: it writes given texts as strokes of a pen."
        if writes
        else "A model of pen strokes: it draws new ones and completes drawings.",
        [
            f"{provenance.documents or 0:,} drawings of up to {facts.longest:,} moves, the median "
            f"{facts.usual:,}; points {grid}.{known}"
        ],
        figures,
        [
            "The model knows the kind of drawings that it was trained on, and no others.",
            "It does not know the speed of the pen.",
            *(["It cannot write characters that it has never seen."] if writes else []),
        ],
        [
            'rhapsode write <run> "text" -o line.svg'
            if writes
            else "rhapsode generate <run> -o new.svg",
            "rhapsode evaluate <run> --split test",
        ],
        made_of=[
            f"encoding {bundle.encoder.name}, scale {settings.scale:.4g}",
            f"network {bundle.config.model.name}",
            f"head {bundle.config.head.name}, {bundle.config.head.settings['components']} "
            "bivariate components, three states of the pen",
        ],
    )
