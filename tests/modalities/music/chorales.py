"""Small chorales by chance, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CHORDS = ((60, 64, 67, 72), (57, 60, 65, 72), (55, 59, 62, 71), (60, 64, 69, 76))


def rolls(pieces: int, *, steps: int = 24, seed: int = 0) -> list[list[list[int]]]:
    """Pieces of chords that move by chance."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(pieces):
        chords = generator.integers(len(CHORDS), size=steps)
        shift = int(generator.integers(-3, 4))
        made.append([[pitch + shift for pitch in CHORDS[chord]] for chord in chords])
    return made


def roll_file(folder: Path, name: str = "rolls-quarter.json", *, pieces: int = 24) -> Path:
    """A JSON file of rolls that names its splits."""
    content: dict[str, Any] = {
        "train": rolls(pieces, seed=1),
        "valid": rolls(4, seed=2),
        "test": rolls(4, seed=3),
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return path
