"""Scores as piano rolls, for pictures and for terminals."""

from __future__ import annotations

import numpy as np

from rhapsode.encoding.music.score import Score
from rhapsode.modalities.music.drawing.instruments import DRUMS, part_names
from rhapsode.views.pictures.piano_roll import Part, Roll, draw_roll


def roll_of(score: Score) -> Roll:
    """The notes, bars and beats of a score in quarter notes."""
    notes, per = score.notes, score.ticks
    bars = score.bars()
    beats: list[float] = []
    ends = [start for start, _ in bars[1:]] + [score.end]
    for (start, metre), end in zip(bars, ends, strict=True):
        # Three units of 6/8, 9/8 and 12/8 are a beat.
        units = 3 if metre.unit >= 8 and metre.beats % 3 == 0 and metre.beats > 3 else 1
        step = max(1, metre.ticks(per) * units // metre.beats)
        # Beats of an upbeat are counted from its end.
        first = start + (end - start) % step if start == 0 and score.upbeat else start
        beats += [tick / per for tick in range(first, end, step)]
    used = sorted(set(notes.track_N.tolist()))
    names = part_names([score.tracks[track] for track in used])
    parts = tuple(
        Part(name, DRUMS if score.tracks[track].drums else None)
        for track, name in zip(used, names, strict=True)
    )
    place = np.zeros(max(1, len(score.tracks)), np.int64)
    place[used] = np.arange(len(used))
    return Roll(
        notes.start_N / per,
        notes.length_N / per,
        notes.pitch_N.astype(np.int64),
        notes.velocity_N.astype(np.int64),
        place[notes.track_N],
        parts,
        tuple(start / per for start, _ in bars),
        tuple(beats),
        score.end / per,
        pickup=bool(score.upbeat),
    )


def roll_svg(score: Score, *, title: str | None = None, seed_end: int = 0) -> str:
    """Draw a score as a piano roll, in SVG.

    Arguments:
        score: the piece.
        title: printed above; None for the score's own.
        seed_end: tick at which the prompt ends; 0 without a prompt.
    """
    return draw_roll(
        roll_of(score),
        title=score.title if title is None else title,
        about=facts(score),
        seed_end=seed_end / score.ticks,
    )


def facts(score: Score) -> str:
    """Bars, metre, speed and length of a score in words."""
    bars = score.bars()
    count = len(bars) - bool(score.upbeat and len(bars) > 1)
    metres = list(dict.fromkeys(f"{metre.beats}/{metre.unit}" for _, metre in bars))
    quarters = [tempo.quarters for tempo in score.tempos] or [120.0]
    low, high = round(min(quarters)), round(max(quarters))
    seconds = int(score.seconds(score.end) + 0.5)
    return "   ·   ".join(
        (
            f"{count:,} bar{'' if count == 1 else 's'}",
            ", ".join(metres[:3]) + (" and others" if len(metres) > 3 else ""),
            f"♩ = {low}" if low == high else f"♩ = {low} to {high}",
            f"{len(score.notes):,} note{'' if len(score.notes) == 1 else 's'}",
            f"{seconds // 60}:{seconds % 60:02d}",
        )
    )
