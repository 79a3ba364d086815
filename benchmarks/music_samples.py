"""Sampled music of every encoding: does all of it decode, how full are its bars, does it loop?

    RHAPSODE_DATA=../shared/data python benchmarks/music_samples.py --count 10000 --budget 90s

Trains a model for each encoding, or takes those of an earlier run in `--runs`, and writes pieces
from the empty prompt, with no filter but the grammar. Counts are kept in `--runs`, and a later call
goes on from there; `--seconds` ends a call. A piece decodes if none of its notes is
dropped, and if encoding its score gives a score equal to it. Bars of encodings without bars are
four quarters. A loop repeats at most four bars at least four times, over more than four bars.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rhapsode as rh
from rhapsode.config import GenerateSettings
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.errors import RhapsodeError
from rhapsode.modalities.ids.continuation import continue_prompts
from rhapsode.modalities.music.corpus import split_pieces
from rhapsode.modalities.music.files import read_file
from rhapsode.modalities.music.pieces.reading import read_pieces
from rhapsode.modalities.music.quality.features import loop_share
from rhapsode.modalities.music.settings import MusicSettings, MusicTrainSettings

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
JSB = DATA / "jsb_chorales"
SOURCES = {
    "notes": DATA / "nottingham" / "nottingham_midi.tar.gz",
    "performance": DATA / "midi_classical",
    "frames": JSB / "jsb-chorales-quarter.json",
    "chords": JSB / "jsb-chorales-quarter.json",
    "voices": JSB / "jsb-chorales-quarter.json",
    "abc": DATA / "irish_abc",
}
AT_ONCE = 64
LOOP_BARS = 4
BEATS = 4


@dataclass
class Found:
    """Counts over sampled pieces; tunes of `abc` that are cut off are written, but no pieces."""

    written: int = 0
    pieces: int = 0
    broken: int = 0
    notes: int = 0
    bars: float = 0.0
    loops: int = 0
    elements: int = 0
    cut: int = 0
    seconds: float = 0.0

    def add(self, encoder: Any, ids: list[int], *, ended: bool) -> None:
        """Look at one piece."""
        self.written += 1
        if not isinstance(encoder, MusicEncoder):
            self._add_abc(encoder.decode(ids), len(ids), ended=ended)
            return
        score = encoder.score_of(ids)
        again = encoder.score_of(encoder.elements(score))
        snapped, _ = encoder.snap(score)
        self.pieces += 1
        self.elements += len(ids)
        self.cut += not ended
        self.broken += bool(encoder.outside(ids)) or not same(again, snapped)
        self.notes += len(score.notes)
        self.bars += bars_of(encoder, score)
        self.loops += loops(score)

    def _add_abc(self, text: str, elements: int, *, ended: bool) -> None:
        """Look at a tune, unless it was cut off in its header."""
        self.cut += not ended
        self.elements += elements
        if not ended:
            return
        self.pieces += 1
        try:
            scores = [read.score for read in read_file(text.encode(), "sample.abc")[0]]
        except RhapsodeError:
            scores = []
        self.broken += not scores
        for score in scores:
            self.notes += len(score.notes)
            self.bars += len(score.bars())
            self.loops += loops(score)


def same(one: Score, other: Score) -> bool:
    """True if two scores have the same notes."""
    names = ("start_N", "length_N", "pitch_N", "track_N")
    return len(one.notes) == len(other.notes) and all(
        np.array_equal(getattr(one.notes, name), getattr(other.notes, name)) for name in names
    )


def bars_of(encoder: Any, score: Score) -> float:
    """Number of bars."""
    if encoder.name.startswith(("notes", "abc")):
        return len(score.bars())
    return score.end / score.ticks / BEATS


def loops(score: Score) -> bool:
    """True if a piece holds a loop of more than four bars."""
    share, _, _ = loop_share(score)
    return share * len(score.bars()) > LOOP_BARS


def written(
    model: Any, begin: int, count: int, length: int
) -> Iterator[list[tuple[list[int], bool]]]:
    """Elements of pieces from the empty prompt, and whether each one ended by itself."""
    empty_N = np.zeros(0, dtype=np.int64)
    for first in range(begin, count, AT_ONCE):
        some = min(AT_ONCE, count - first)
        settings = GenerateSettings(length=length, count=some, temperature=1.0, seed=1 + first)
        pieces: dict[int, list[int]] = {}
        ended: dict[int, bool] = {}
        for piece in continue_prompts(model.predictor, model.bundle, [empty_N], settings):
            pieces.setdefault(piece.index, []).extend(piece.chosen)
            ended[piece.index] = piece.end == "stop"
        yield [(ids, ended[index]) for index, ids in sorted(pieces.items())]


def trained(encoding: str, runs: Path, budget: str) -> Path:
    """The run folder of an encoding, trained if it is not there."""
    folder = runs / encoding
    if not (folder / "model.safetensors").exists():
        command = [sys.executable, "-m", "rhapsode", "train", str(SOURCES[encoding])]
        kind = "text" if encoding == "abc" else "music"  # tunes as they are written
        command += ["--modality", kind, "--encoding", encoding, "--seed", "1"]
        command += ["--steps" if budget.isdigit() else "--budget", budget, "-o", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def held_out(encoding: str) -> list[Score]:
    """Test pieces of a source."""
    pieces = [p for p in read_pieces([SOURCES[encoding]], MusicSettings()).pieces if p.score.end]
    splits, _, _ = split_pieces(pieces, MusicTrainSettings().data)
    return [piece.score for piece in splits["test"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encodings", nargs="*", default=list(SOURCES))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--budget", default="90s", help="time, or a number of updates")
    parser.add_argument("--length", type=int, default=600)
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "music-samples")
    parser.add_argument("--seconds", type=float, default=1e9, help="of writing, in this call")
    given = parser.parse_args()
    print("| encoding | pieces | do not decode | notes a bar, held out | loops, held out | "
          "cut at the length | notes/s |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for encoding in given.encodings:
        model = rh.load(trained(encoding, given.runs, given.budget))
        encoder = model.bundle.encoder
        real = Found()
        for score in held_out(encoding):
            snapped = encoder.snap(score)[0] if isinstance(encoder, MusicEncoder) else score
            real.pieces += 1
            real.notes += len(snapped.notes)
            real.bars += bars_of(encoder, snapped)
            real.loops += loops(snapped)
        kept = given.runs / f"{encoding}.json"
        found = Found(**json.loads(kept.read_text())) if kept.exists() else Found()
        began = then = time.monotonic()
        for chunk in written(model, found.written, given.count, given.length):
            found.seconds += time.monotonic() - then
            for ids, ended in chunk:
                found.add(encoder, ids, ended=ended)
            kept.write_text(json.dumps(asdict(found)))
            then = time.monotonic()
            if then - began > given.seconds:
                break
        print(
            f"| {encoding} | {found.pieces:,} | {found.broken} | "
            f"{found.notes / max(1.0, found.bars):.2f}, {real.notes / max(1.0, real.bars):.2f} | "
            f"{found.loops / max(1, found.pieces):.1%}, {real.loops / max(1, real.pieces):.1%} | "
            f"{found.cut / max(1, found.written):.1%} | {found.notes / max(1e-9, found.seconds):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
