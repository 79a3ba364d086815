"""The corpus `reels`: dances from a probabilistic grammar, in ABC notation.

The probability of every tune is known, so that the distance of a model from the optimum can be
measured in nats, in any encoding that keeps notes, metre and key. A tune has two parts of eight
bars. Chords follow one of four progressions in each part; the melody of a bar is a figure of its
chord. Figures return, sometimes changed, and both parts end alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from rhapsode.data.corpora.text_grammar import (
    Choice,
    Node,
    Recall,
    Series,
    Text,
    draw_text,
    log_prob,
)
from rhapsode.data.document import Document

COUNT = 4_000
SEED = 1744

_DANCES = ("Reel", "Jig")
_METRES = ("4/4", "6/8")
# Key, steps of the tonic above middle C, letters of the scale with their sharps, qualities.
_MAJOR, _MINOR = ("", "m", "m", "", "", "m", "dim"), ("m", "dim", "", "m", "m", "", "")
_KEYS = (
    ("D", 1, "DEFGABC", "FC", _MAJOR),
    ("G", 4, "GABCDEF", "F", _MAJOR),
    ("A", 5, "ABCDEFG", "FCG", _MAJOR),
    ("Em", 2, "EFGABCD", "F", _MINOR),
    ("Am", 5, "ABCDEFG", "", _MINOR),
)
_KEY_WEIGHTS = (5.0, 5.0, 2.0, 2.0, 2.0)
# Degrees of the scale, counted from 0, of the first four bars of a part.
_PROGRESSIONS = {
    "A": {
        "": ((0, 0, 3, 4), (0, 3, 0, 4), (0, 5, 3, 4), (0, 4, 3, 4)),
        "m": ((0, 0, 6, 6), (0, 6, 0, 6), (0, 2, 6, 6), (0, 6, 3, 6)),
    },
    "B": {
        "": ((3, 0, 3, 4), (5, 3, 0, 4), (0, 3, 4, 4), (3, 4, 0, 4)),
        "m": ((2, 0, 6, 6), (0, 2, 3, 6), (3, 0, 2, 6), (2, 6, 0, 6)),
    },
}
_PROGRESSION_WEIGHTS = (4.0, 3.0, 2.0, 2.0)
# A bar of the melody: steps above the root of the chord, each with its length in eighths.
_FIGURES = {
    "Reel": {
        "bar": (
            "0 2 4 2 0 2 4 2", "4 2 0 2 4 2 0 2", "0:2 4 2 0 2 4 2", "0 1 2 4 2 1 0 2",
            "4 5 4 2 0 2 4 2", "2 0 2 4 5 4 2 1", "0 4 2 4 0 4 2 4", "7 5 4 2 4 2 0 2",
            "4 2 1 2 0:2 2:2", "2:2 4 2 0:2 2 0", "0:3 1 2 4 2 0", "4:2 2 4 5 4 2 0",
        ),
        "half": (
            "0 1 2 1 0:4", "2 1 0 2 4:4", "4 2 0 2 0:2 2:2", "0:2 2:2 4:4", "2 4 2 1 0:2 -1:2",
            "4:2 2:2 0:4",
        ),
        "end": (
            "2 0 1 -1 0:4", "4 2 1 -1 0:4", "1 0 -1 1 0:4", "4 3 2 1 0:4", "2:2 1:2 0:4",
            "0 2 4 2 0:4",
        ),
    },
    "Jig": {
        "bar": (
            "0 2 4 2 0 2", "4 2 0 4 2 0", "0:3 0 1 2", "0:2 2 4:2 2", "4 2 4 0 2 4",
            "0 1 2 4 2 0", "2 4 2 0 2 0", "4 5 4 2 1 0", "7 4 2 4 2 0", "2:2 0 2:2 4",
            "4:3 2 1 0", "2 1 0 4:2 2",
        ),
        "half": (
            "0 1 2 0:3", "2 1 0 4:3", "4 2 0 2:2 1", "0:2 2 4:3", "2 4 2 0:2 -1", "4:2 2 0:3",
        ),
        "end": (
            "2 1 -1 0:3", "4 2 1 0:3", "1 0 -1 0:3", "2:2 1 0:3", "0 2 0 0:3", "4 3 1 0:3",
        ),
    },
}  # fmt: skip
_SAME = 0.75
# Name of the figure and kind of each bar; `new` figures are remembered under their name.
_PARTS = {
    "A": (
        ("a", "new"), ("b", "new"), ("a", "again"), ("c", "half"),
        ("a", "again"), ("b", "again"), ("d", "new"), ("e", "end"),
    ),
    "B": (
        ("f", "new"), ("g", "new"), ("f", "again"), ("h", "half"),
        ("f", "again"), ("g", "again"), ("d", "same"), ("e", "same end"),
    ),
}  # fmt: skip


@cache
def reel_grammar() -> Node:
    """Grammar of whole tunes."""
    names = tuple(Text(key) for key, *_ in _KEYS)
    parts: list[Node] = [
        Text("X:1\nT:"), Choice(tuple(map(Text, _DANCES)), (3.0, 2.0), "dance"),
        Text(" in "), Choice(names, _KEY_WEIGHTS, "key"),
        Text("\nM:"), Recall("dance", tuple(map(Text, _METRES))),
        Text("\nL:1/8\nK:"), Recall("key", names), Text("\n"),
    ]  # fmt: skip
    nothing = (Text(""),) * 4
    for part, bars in _PARTS.items():
        parts.append(Choice(nothing, _PROGRESSION_WEIGHTS, part))
        for place, (figure, kind) in enumerate(bars):
            parts += [_bar(part, place, figure, kind), Text("|\n" if place % 4 == 3 else "|")]
    return Series(tuple(parts))


def _bar(part: str, place: int, figure: str, kind: str) -> Node:
    """A bar in every dance, key and progression."""
    return Recall(
        "dance",
        tuple(
            Recall(
                "key",
                tuple(
                    Recall(
                        part,
                        tuple(
                            _figure(dance, key, _degree(part, key, choice, place), figure, kind)
                            for choice in range(len(_PROGRESSION_WEIGHTS))
                        ),
                    )
                    for key in range(len(_KEYS))
                ),
            )
            for dance in _DANCES
        ),
    )


def _degree(part: str, key: int, choice: int, place: int) -> int:
    """Degree of the chord of a bar; the last two are a cadence."""
    quality = _KEYS[key][4][0]
    if place >= 6:
        return 0 if place == 7 else (6 if quality else 4)
    return _PROGRESSIONS[part][quality][choice][place % 4]


@cache
def _figure(dance: str, key: int, degree: int, figure: str, kind: str) -> Node:
    """The melody of a bar over its chord, with the chord's symbol."""
    sort = {"new": "bar", "again": "bar", "same": "bar", "same end": "end"}.get(kind, kind)
    texts = tuple(Text(bar_text(steps, key, degree)) for steps in _FIGURES[dance][sort])
    weights = tuple(1 / (rank + 3) for rank in range(len(texts)))
    same = Recall(figure, texts)
    if kind in ("new", "half", "end"):
        return Choice(texts, weights, figure)
    if kind == "again":
        return Choice((same, Recall(figure, _others(texts, weights))), (_SAME, 1 - _SAME))
    return same


def _others(texts: Sequence[Node], weights: Sequence[float]) -> tuple[Node, ...]:
    """For each text a choice of all the others."""
    return tuple(
        Choice(
            tuple(text for place, text in enumerate(texts) if place != left_out),
            tuple(weight for place, weight in enumerate(weights) if place != left_out),
        )
        for left_out in range(len(texts))
    )


def bar_text(steps: str, key: int, degree: int) -> str:
    """A bar in ABC notation, with its chord symbol.

    Arguments:
        steps: of a figure.
        key: its number.
        degree: of the chord.
    """
    _, tonic, scale, sharps, qualities = _KEYS[key]
    letter = scale[degree]
    chord = f"{letter}{'#' if letter in sharps else ''}{qualities[degree]}"
    root = tonic + degree
    while root > 5:
        root -= 7
    notes = []
    for item in steps.split():
        step, _, length = item.partition(":")
        octave, place = divmod(root + int(step), 7)
        name = "CDEFGAB"[place]
        name = name.lower() + "'" * (octave - 1) if octave > 0 else name + "," * -octave
        notes.append(name + length)
    return f'"{chord}"{"".join(notes)}'


def reel_documents(count: int = COUNT, seed: int = SEED) -> Iterator[Document]:
    """Drawn tunes in ABC notation; the same for the same seed."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        yield Document(draw_text(reel_grammar(), generator)[0], f"reels/{number + 1}.abc")


def reel_log_prob(text: str) -> float:
    """Exact log-probability of a tune, in nats.

    It is -inf for a text that the grammar cannot produce.
    """
    return log_prob(reel_grammar(), text)
