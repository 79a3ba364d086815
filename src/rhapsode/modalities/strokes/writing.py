"""Texts in a hand: lines one below the other, in one style."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.encoding.strokes import Drawing, moves_of, strokes_of
from rhapsode.encoding.vectors import Floats
from rhapsode.errors import DataError, EncodingError, SettingsError
from rhapsode.log import log
from rhapsode.modalities.strokes.labels import check_seen, text_of
from rhapsode.modalities.strokes.prompts import StrokeDocument, StrokePrompt, opened
from rhapsode.modalities.strokes.settings import StrokeGenerateSettings, WriteSettings
from rhapsode.views.figures import plural

if TYPE_CHECKING:
    from rhapsode.modalities.strokes.model import StrokeModel

# A style is shown by about so many characters.
SHOWN = 12
# Distance of base lines, in heights of a line.
PITCH = 1.1
# Characters by which a window may miss the end of a style.
MISSED = 3
# Characters between the window and a space at which a style may be cut.
NEAR = 1
_ENDS = {
    "window": "stopped by the window behind the last character, not by the pen",
    "length": "stopped by its length: the window did not pass the last character",
}


@dataclass(frozen=True)
class Style:
    """Ink that a line continues.

    Arguments:
        text: what it shows.
        moves_T3: moves of the pen, prepared as in training.
    """

    text: str
    moves_T3: Floats


def handwritten(model: StrokeModel, text: str, settings: WriteSettings) -> StrokeDocument:
    """Write a text.

    Arguments:
        model: that writes given texts.
        text: its lines are kept, long ones are broken between words.
        settings: with a seed.

    Raises:
        SettingsError: the model draws without a text.
        EncodingError: characters that the model has never seen.
        DataError: a style that cannot be read, or has no text.
    """
    source, facts = model.bundle.facts.source, model.bundle.facts
    if source is None:
        raise SettingsError(
            "this model draws, it does not write given texts",
            hint="train on drawings that all have a text; rhapsode generate draws",
        )
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    if settings.unknown == "skip":
        text = "\n".join(map(source.without_unknown, text.splitlines()))
    for line in text.splitlines():
        if line.strip():
            check_seen(line, source)
    lines = wrapped(text, settings.line or facts.letters)
    if not lines:
        raise EncodingError("there is no text to write")
    style = None if settings.style is None else read_style(model, Path(settings.style), settings)
    drawing = StrokeGenerateSettings(
        seed=settings.seed, temperature=settings.temperature, pen_bias=settings.bias
    )
    written: list[Floats] = []
    reasons: list[str] = []
    for number, line in enumerate(lines):
        moves_T3, reason = _line(model, line, style, number, drawing)
        if reason in _ENDS:
            log.info(f"line {number + 1}: {_ENDS[reason]}")
        written.append(moves_T3)
        reasons.append(reason)
        if style is None and len(lines) > 1:
            style = shortened(model, Style(line, moves_T3))
    strokes = laid_out([strokes_of(moves_T3) for moves_T3 in written], up=facts.up)
    worst = next((end for end in ("length", "window") if end in reasons), "stop")
    return StrokeDocument(
        Drawing(tuple(strokes), facts.up),
        tuple(map(tuple, moves_of(strokes).tolist())),
        seed=settings.seed,
        finish_reason=worst,
        written="\n".join(lines),
    )


def wrapped(text: str, most: int) -> list[str]:
    """Lines of a text, broken between words.

    None is longer than `most` characters, except for a single word.
    A line that would be left with a short rest is broken evenly.
    """
    lines: list[str] = []
    for line in text.splitlines():
        words = " ".join(line.split())
        parts = -(-len(words) // most)
        even = most if parts < 2 else min(most, len(words) // parts + 6)
        lines += textwrap.wrap(words, even, break_long_words=False, break_on_hyphens=False)
    return lines


def _line(
    model: StrokeModel,
    line: str,
    style: Style | None,
    number: int,
    settings: StrokeGenerateSettings,
) -> tuple[Floats, str]:
    """Moves of a line, and why it ended."""
    given: tuple[Any, ...] = ()
    text = line
    if style is not None:
        given, text = opened(style.moves_T3), f"{style.text} {line}"
    prompt = StrokePrompt(model, given, text)
    most = model.most_moves_of(StrokePrompt(model, (), line))
    indices = np.array([number], dtype=np.int64)
    pieces = list(model.draw(prompt, indices, settings, most))
    moves = [element for piece in pieces for element in piece.chosen]
    if given:
        # The first move leads from the style to the line.
        moves = [(0.0, 0.0, moves[0][2]), *moves[1:]] if moves[0][2] else moves[1:]
    return np.array(moves, dtype=np.float64).reshape(-1, 3), str(pieces[-1].end)


def read_style(model: StrokeModel, path: Path, settings: WriteSettings) -> Style:
    """The first drawing of a file as a style.

    Raises:
        DataError: it cannot be read, or has no text.
        EncodingError: its text has characters that the model has never seen.
    """
    specimen, moves_T3 = model.specimen_in(path)
    text = text_of(specimen)
    if not text:
        raise DataError(
            "the style has no text",
            where=str(path),
            hint='put "text" beside its strokes: what is written there',
        )
    source = model.bundle.facts.source
    assert source is not None
    if strange := source.unknown(text):
        log.warning(f"the model has never seen {', '.join(map(repr, strange))} of the style")
    return shortened(model, Style(text, moves_T3), told=True)


def shortened(model: StrokeModel, style: Style, *, told: bool = False) -> Style:
    """The first words of a style, with their ink.

    Arguments:
        model: its window tells which ink belongs to them.
        style: the whole.
        told: whether to log where the window does not reach the end.
    """
    read_T = letters_read(model, style)
    reached = int(read_T.max(initial=0))
    if told and reached < len(style.text) - MISSED:
        log.warning(
            f"the window reaches character {reached + 1} of the {len(style.text)} of the style: "
            "the model does not read this hand well"
        )
    cut = style.text.find(" ", SHOWN)
    if cut < 0 or len(style.text) - cut < MISSED:
        return style
    lifts_N = np.flatnonzero(style.moves_T3[:-1, 2] > 0)
    near_N = lifts_N[np.abs(read_T[lifts_N] - cut) <= NEAR]
    if not len(near_N):
        return style
    # The window may move on before the last stroke of a word is drawn, or after the first one of
    # the next: words part at the widest jump ahead.
    direction = np.sign(style.moves_T3[:, 0].sum())
    last = int(near_N[(direction * style.moves_T3[near_N + 1, 0]).argmax()])
    return Style(style.text[:cut], style.moves_T3[: last + 1])


def letters_read(model: StrokeModel, style: Style) -> Any:
    """The characters, from 0, under the window, (T,).

    There is one before each move of the drawing.
    """
    from rhapsode.bundle import ValueCondition

    predictor = model.predictor
    prompt = StrokePrompt(model, (), style.text)
    state = predictor.start(1, ValueCondition(None, prompt.condition))
    encoded = model.bundle.encoder.encode(style.moves_T3)
    return predictor.attended(encoded.features_TD, state)


def laid_out(lines: Sequence[Sequence[Floats]], *, up: bool) -> list[Floats]:
    """Strokes of lines one below the other, from a common left edge.

    Arguments:
        lines: strokes of each.
        up: True if y grows upwards.
    """
    if len(lines) == 1:
        return list(lines[0])
    bases, heights = [], []
    for strokes in lines:
        lowest = [float(part[:, 1].min() if up else part[:, 1].max()) for part in strokes]
        bases.append(float(np.median(lowest)))
        points_N2 = np.concatenate(strokes)
        heights.append(float(np.ptp(points_N2[:, 1])))
    pitch = PITCH * float(np.median(heights)) * (-1 if up else 1)
    placed = []
    for number, (strokes, base) in enumerate(zip(lines, bases, strict=True)):
        left = min(float(part[:, 0].min()) for part in strokes)
        shift = np.array([-left, number * pitch - base])
        placed += [part + shift for part in strokes]
    return placed


def with_own_seed(settings: WriteSettings) -> WriteSettings:
    """The settings, with a seed drawn where none was given."""
    import secrets

    if settings.seed is not None:
        return settings
    return replace(settings, seed=secrets.randbits(32))


def summary(document: StrokeDocument) -> str:
    """The written text in numbers."""
    lines = (document.written or "").count("\n") + 1
    return f"{plural(lines, 'line')}, {plural(document.value.points, 'point')}"
