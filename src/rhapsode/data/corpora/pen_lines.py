"""The corpus `lines`: handwriting whose movements have a known density.

Every line is set in a single-stroke font and written by a writer of its own: slant, width, size,
spacing, slope of the line and tempo. The strokes are displaced smoothly and passed at a speed
that falls with the curvature (the two-thirds power law: Lacquaniti, Terzuolo and Viviani 1983).
At equal times the pen steers to a point of this path and misses it by Gaussian noise, which the
next movement corrects. Given writer, words and path, the density of every movement is therefore
that of the noise, `ORACLE` nats a movement. A model, which does not know them, lies above it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.document import Document

Floats = NDArray[np.float64]

COUNT = 1_000
SEED = 1967
# Letters without ascenders are so high; the pen misses by so much, in the same units.
X_HEIGHT, NOISE = 50.0, 1.0
ORACLE = math.log(2 * math.pi * math.e) + 2 * math.log(NOISE)
# Distance of neighbours on the path before it is sampled, and the mean distance after.
_FINE, _COARSE = 2.0, 16.0
_TEXT = (
    "about after again air all also an and another any are around as ask at away back be "
    "because been before big boy but by call came can come could day did different do does "
    "down each end even every far few find first follow for form found from get give go good "
    "great had hand hard has have he help her here him his home house how if in into is it "
    "just kind know land large last learn left letter light like line little live long look "
    "made make man many may me mean men might more most mother move much must my name near "
    "need never new next night no not now number of off old on one only open or other our out "
    "over own page part people picture place plant play point put read right said same saw "
    "say school see seem sentence set she should show side small so some sound spell still "
    "story such take tell than that the their them then there these they thing think this "
    "thought three time to together too try turn two under until up us use very walk want was "
    "water way we well went were what when where which while white who why will with word "
    "work world would write year you young your quick quite question size zero"
)
_WORDS = _TEXT.split()


@cache
def _font() -> dict[str, Any]:
    file = resources.files("rhapsode.data.corpora") / "hershey_sans.json"
    font: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return font


def line_documents(count: int = COUNT, seed: int = SEED) -> Iterator[Document]:
    """Lines as JSON: text, and rows dx, dy, pen.

    A pen of 1 is lifted after the move.

    Arguments:
        count: number of lines.
        seed: of all draws.
    """
    for number in range(count):
        random = np.random.default_rng((seed, number))
        words = random.choice(len(_WORDS), size=int(random.integers(1, 6)))
        text = " ".join(_WORDS[word] for word in words)
        rows = [[0.0, 0.0, 0]]
        at = None
        for stroke_N2 in written(text, random):
            for place, point in enumerate(stroke_N2.tolist(), 1):
                pen = int(place == len(stroke_N2))
                if at is None:
                    rows[0][2] = pen
                else:
                    rows.append([round(point[0] - at[0], 2), round(point[1] - at[1], 2), pen])
                at = point
        record = {"id": number, "text": text, "y": "up", "strokes": rows}
        yield Document(json.dumps(record, separators=(",", ":")) + "\n", f"lines/{number}")


def written(text: str, random: np.random.Generator, noise: float = NOISE) -> list[Floats]:
    """Strokes (N, 2) of a text by a random writer.

    y grows upwards.

    Arguments:
        text: letters of the font.
        random: draws writer, path and noise.
        noise: standard deviation of each coordinate around the path.
    """
    slant, slope = random.normal(0.1, 0.12), random.normal(0.0, 0.02)
    width, size, tempo = np.exp(random.normal(0.0, (0.1, 0.12, 0.12)))
    spacing = random.normal(0.0, 2.0)
    font = _font()
    unit = X_HEIGHT / font["x_height"]
    cursor, strokes = 0.0, []
    for letter in text:
        advance, parts = font["glyphs"][letter]
        for part in parts:
            points_N2 = np.array(part, dtype=np.float64).T * unit
            points_N2 += random.normal(0.0, 1.5, points_N2.shape)
            points_N2[:, 0] = (points_N2[:, 0] + slant * points_N2[:, 1] + cursor) * width
            points_N2[:, 1] += slope * points_N2[:, 0]
            strokes.append(_timed(points_N2 * size, _COARSE * tempo * size))
        cursor += advance * unit + spacing
    return [path_N2 + random.normal(0.0, noise, path_N2.shape) for path_N2 in strokes]


def _timed(points_N2: Floats, distance: float) -> Floats:
    """Points of a path at equal times.

    Arguments:
        points_N2: corners of the path.
        distance: mean distance of neighbours.
    """
    steps_N = np.hypot(*np.diff(points_N2, axis=0).T)
    along_N = np.concatenate(([0.0], np.cumsum(steps_N)))
    length = float(along_N[-1])
    if length == 0:
        return points_N2[:1]
    fine = np.linspace(0.0, length, max(5, math.ceil(length / _FINE) + 1))
    path_N2 = np.stack([np.interp(fine, along_N, axis_N) for axis_N in points_N2.T], axis=1)
    for _ in range(3):  # round the corners
        path_N2[1:-1] = (path_N2[:-2] + 2 * path_N2[1:-1] + path_N2[2:]) / 4
    moves_N2 = np.diff(path_N2, axis=0)
    lengths_N = np.maximum(np.hypot(*moves_N2.T), 1e-9)
    turns_N = np.abs(np.diff(np.unwrap(np.arctan2(moves_N2[:, 1], moves_N2[:, 0]))))
    curvature_N = turns_N / ((lengths_N[1:] + lengths_N[:-1]) / 2)
    # Speed is the curvature to the power of -1/3: time is length by its third root.
    slow_N = np.cbrt(np.concatenate((curvature_N[:1], curvature_N, curvature_N[-1:])) + 0.01)
    times_N = np.concatenate(([0.0], np.cumsum(lengths_N * (slow_N[1:] + slow_N[:-1]) / 2)))
    count = max(2, round(length / distance) + 1)
    wanted_N = np.linspace(0.0, times_N[-1], count)
    return np.stack([np.interp(wanted_N, times_N, axis_N) for axis_N in path_N2.T], axis=1)
