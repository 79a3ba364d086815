"""Draw the picture of docs/strokes.md: lines of the corpus, and texts that a model of it wrote.

rhapsode train lines --budget 10m -o runs/lines
python scripts/stroke_pictures.py runs/lines
"""

import json
import sys
from pathlib import Path

import numpy as np

import rhapsode as rh
from rhapsode.data.corpora.pen_lines import line_documents
from rhapsode.modalities.strokes.files.json_ink import read_json
from rhapsode.views.pictures.stroke_drawing import strokes_svg

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
REAL, BIASES = 2, (0.0, 0.5, 1.0)
TEXTS = ("where is my mother", "every letter by hand")
GAP = 60.0


def stacked(drawings: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Drawings one below another, y growing upwards."""
    top, placed = 0.0, []
    for strokes in drawings:
        points = np.concatenate(strokes)
        shift = np.array([-points[:, 0].min(), top - points[:, 1].max()])
        placed += [stroke + shift for stroke in strokes]
        top -= np.ptp(points[:, 1]) + GAP
    return placed


def main() -> None:
    """Write docs/pictures/lines.svg."""
    model = rh.load(sys.argv[1])
    text = "".join(document.text for document in line_documents(REAL))
    real = [list(one.drawing.strokes) for one in read_json(text, "lines")]
    drawn = [
        list(rh.write(model, text, bias=bias, seed=seed).value.strokes)
        for bias in BIASES
        for seed, text in enumerate(TEXTS)
    ]
    picture = strokes_svg(
        stacked([*real, *drawn]),
        up=True,
        size=900,
        given=sum(map(len, real)),
        title="Two lines of the corpus in grey, then two texts by the model: bias "
        + json.dumps(BIASES)[1:-1],
    )
    (PICTURES / "lines.svg").write_text(picture)


if __name__ == "__main__":
    main()
