"""Sources of the toy modalities, drawn from laws that are known."""

from pathlib import Path

import numpy as np

from tests.encoding.brackets import END, Brackets, walk
from tests.modalities.bracket_encoder import SIGNS, BracketEncoder


def bracket_lines() -> str:
    """Balanced lines of brackets and letters, every allowed sign as likely as the next."""
    encoder, lines = BracketEncoder(), [[]]
    for element in walk(Brackets(len(SIGNS) + 2), 3000, 1, 1)[0].tolist():
        if element == END:
            lines.append([])
        else:
            lines[-1].append(element)
    # The last line may not be balanced yet.
    return "\n".join(encoder.decode(line) for line in lines[:-1] if line)


def zigzag_lines() -> str:
    """Drawings that the class sends right or left, in steps that are longer at every other time."""
    random, lines = np.random.default_rng(0), []
    for _ in range(60):
        kind, length = int(random.integers(2)), int(random.integers(10, 40))
        ahead = (1 if kind else -1) * (1 + np.arange(length) % 2)
        noise_T2 = 0.2 * random.normal(size=(length, 2))
        moves = [
            f"{x + noise_T2[t, 0]:.3f},{noise_T2[t, 1]:.3f},{t // 2 % 3}"
            for t, x in enumerate(ahead)
        ]
        lines.append(" ".join([str(kind), *moves]))
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> tuple[str]:
    """Write a source."""
    path.write_text(text, encoding="utf-8")
    return (str(path),)
