"""Prompts and documents of strokes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings
from rhapsode.encoding.strokes import DRAWS, ENDS, LIFTS, Drawing, strokes_of
from rhapsode.modalities.opened import Fragments, Given
from rhapsode.modalities.strokes.labels import condition_of
from rhapsode.modalities.values.prompts import Step, ValuePrompt, number_text, read_steps

if TYPE_CHECKING:
    from rhapsode.modalities.strokes.model import StrokeModel

# Cells and lines of a drawing in a terminal.
CELLS, LINES = 72, 16


@dataclass(frozen=True, eq=False)
class StrokeDocument:
    """Strokes as a document.

    Arguments:
        value: the drawing.
        elements: moves (dx, dy, state of the pen), those of the prompt first.
        seed: of the draw; None if nothing was drawn.
        finish_reason: "stop" where the pen ended the drawing, or "length"; None if it is not known.
        given: strokes of the prompt at the beginning.
        written: the text that it shows; None for a drawing without one.
    """

    value: Drawing
    elements: tuple[Step, ...] = ()
    seed: int | None = None
    finish_reason: str | None = None
    given: int = 0
    written: str | None = None

    def text(self) -> str:
        """Moves, a line each: dx, dy, and the pen after the move."""
        return "".join(map(_line_of, self.elements))

    def svg(self) -> str:
        """Smooth curves, a path each stroke; the prompt is grey."""
        from rhapsode.views.pictures.stroke_drawing import strokes_svg

        title = self.written or ""
        return strokes_svg(self.value.strokes, up=self.value.up, given=self.given, title=title)

    def html(self) -> str:
        """The picture and its numbers, for a page."""
        caption = self._facts()
        if self.written is not None:
            caption = f"{escape(self.written)}<br>{caption}"
        return f"<figure>{self.svg()}<figcaption>{caption}</figcaption></figure>"

    def save(self, path: str | Path) -> None:
        """Write it in the format of the suffix.

        Formats are .svg, .json, .ndjson, .gcode and .txt.

        Raises:
            SettingsError: a suffix that strokes have no format for.
            RunError: it cannot be written.
        """
        from rhapsode.modalities.strokes.files.write_ink import write_ink

        write_ink(self, Path(path))

    def pictured(self, width: int) -> Sequence[Any]:
        """Drawing in Braille dots, text and numbers, for a terminal."""
        from rich.text import Text

        from rhapsode.views.terminal.small_drawing import braille_lines

        lines = braille_lines(self.value.strokes, width=width, height=LINES, up=self.value.up)
        facts = Text(self._facts(), style="dim")
        return [Text("\n".join(lines)), Text(self.written or ""), facts]

    def _facts(self) -> str:
        strokes = len(self.value.strokes)
        return f"{strokes:,} stroke{'' if strokes == 1 else 's'}, {self.value.points:,} points"

    def __repr__(self) -> str:
        return f"<drawing: {self._facts()}>"

    def _repr_svg_(self) -> str:
        return self.svg()


class _Lines(Fragments):
    """A line for every move."""

    def feed(self, element: Step) -> str:
        return _line_of(element)


class StrokePrompt(ValuePrompt):
    """The beginning of a drawing, and the text to write.

    Arguments:
        model: that completes it.
        steps: moves of the drawing.
        written: the whole text, that of the moves included; None for a model that draws without.
    """

    picture_hint = "-o new.svg keeps it, | cat prints the moves"

    def __init__(
        self, model: StrokeModel, steps: Sequence[Step] = (), written: str | None = None
    ) -> None:
        source = model.bundle.facts.source
        condition = None
        if written is not None and source is not None:
            condition = condition_of([written], source)
        super().__init__(model, steps, condition)
        self._up = model.bundle.facts.up
        self.written = written

    def saved(self) -> dict[str, Any]:
        return {} if self.written is None else {"text": self.written}

    def fragments(self, before: Sequence[Step], settings: GenerateSettings) -> Fragments:
        return _Lines()

    def line(self, place: int, step: Step) -> str:
        return _line_of(step)

    def given(self, text: str, settings: GenerateSettings) -> Given:
        steps = read_steps(text, self._width)
        if steps:
            self._model.bundle.encoder.encode(self.stack(steps)[0], None)
        return Given(steps, "")

    def document(self, elements: Sequence[Step], text: str = "", **made: Any) -> StrokeDocument:
        given = len(strokes_of(self.opening.elements)) if self.opening.elements else 0
        drawing = Drawing(strokes_of(elements), self._up)
        return StrokeDocument(drawing, tuple(elements), given=given, written=self.written, **made)

    def continued(self, elements: Sequence[Step], text: str = "", **made: Any) -> StrokeDocument:
        """The document of new moves, from where the pen first draws."""
        moves = list(elements)
        last = self.opening.elements[-1][2] if self.opening.elements else DRAWS
        # After a lift the first move only leads to the beginning of a stroke.
        if last == LIFTS and moves:
            moves = [(0.0, 0.0, moves[0][2]), *moves[1:]] if moves[0][2] != DRAWS else moves[1:]
        return StrokeDocument(Drawing(strokes_of(moves), self._up), tuple(elements), **made)

    def picture(self, elements: Sequence[Step], new: int, width: int) -> Any:
        """The drawing in Braille dots, and its numbers."""
        from rich.console import Group
        from rich.text import Text

        from rhapsode.views.terminal.small_drawing import braille_lines

        strokes = strokes_of(elements)
        lines = braille_lines(strokes, width=min(width, CELLS), height=LINES, up=self._up)
        if not lines:
            return None
        facts = Text(f"{len(strokes):,} strokes, {new:,} new moves", style="dim")
        written = [] if self.written is None else [Text(self.written)]
        return Group(Text("\n".join(lines)), *written, facts)


def opened(moves_T3: NDArray[np.float64]) -> tuple[Step, ...]:
    """Moves of a drawing that goes on after a lift."""
    moves = moves_T3.copy()
    moves[moves[:, 2] == ENDS, 2] = LIFTS
    return tuple(map(tuple, moves.tolist()))


def _line_of(step: Sequence[float]) -> str:
    """The numbers of a move in a line."""
    return ",".join(map(number_text, step)) + "\n"
