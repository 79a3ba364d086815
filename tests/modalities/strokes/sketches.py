"""Small drawings of known laws, and files of them."""

import json
from pathlib import Path

import numpy as np


def zigzags(count: int = 60, seed: int = 0) -> list[list[list[int]]]:
    """Drawings of two to four strokes, each three or four moves to the right, up and down in turn."""
    random = np.random.default_rng(seed)
    drawings = []
    for _ in range(count):
        rows = [[0, 0, 0]]
        for stroke in range(int(random.integers(2, 5))):
            if stroke:
                rows.append([-int(random.integers(20, 40)), 30, 0])
            rows += [
                [int(random.integers(8, 12)), 10 if move % 2 else -10, 0]
                for move in range(int(random.integers(3, 5)))
            ]
            rows[-1][2] = 1
        drawings.append(rows)
    return drawings


def write_zigzags(folder: Path, count: int = 60) -> tuple[str, ...]:
    path = folder / "zigzags.ndjson"
    lines = [json.dumps({"strokes": rows}) for rows in zigzags(count)]
    path.write_text("\n".join(lines) + "\n")
    return (str(path),)
