"""Small chorales by chance, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.encoding.music.score import Key, Metre, Notes, Score, Tempo, Track
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

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


def tune(seed: int, *, bars: int = 8) -> Score:
    """A melody by chance over held chords, with a beat."""
    generator = np.random.default_rng(seed)
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72, 74, 76])
    walk = np.clip(np.cumsum(generator.integers(-2, 3, size=4 * bars)) + 4, 0, len(scale) - 1)
    start_N = np.arange(4 * bars) * 480
    roots = np.array([48, 53, 55, 45])[generator.integers(4, size=bars)]
    chord_starts = np.repeat(np.arange(bars) * 1920, 3)
    chords = (roots[:, None] + np.array([0, 4, 7])).reshape(-1)
    beats = np.arange(2 * bars) * 960
    return Score(
        ticks=480,
        notes=Notes.of(
            np.concatenate((start_N, chord_starts, beats)),
            np.concatenate(
                (np.full(len(start_N), 480), np.full(len(chords), 1920), np.full(len(beats), 60))
            ),
            np.concatenate((scale[walk], chords, np.tile([36, 38], bars))),
            80,
            np.repeat([0, 1, 2], [len(start_N), len(chords), len(beats)]),
        ),
        tracks=(Track(73, name="flute"), Track(24, name="guitar"), Track(drums=True, name="drums")),
        tempos=(Tempo(0, 100.0),),
        metres=(Metre(0, 4, 4),),
        keys=(Key(0, 0),),
        end=1920 * bars,
    )


def write_tunes(folder: Path, count: int) -> Path:
    """A folder of MIDI files."""
    folder.mkdir(exist_ok=True)
    for number in range(1, count + 1):
        (folder / f"tune-{number:02d}.mid").write_bytes(midi_bytes(tune(number)))
    return folder
