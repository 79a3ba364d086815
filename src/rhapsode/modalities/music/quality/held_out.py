"""Passages of the held-out music of a run, as prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rhapsode.config import from_mapping
from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, RhapsodeError
from rhapsode.log import log
from rhapsode.modalities.music.corpus import digest_of, split_pieces
from rhapsode.modalities.music.pieces.reading import Piece, read_pieces
from rhapsode.modalities.music.pieces.stretches import stretch
from rhapsode.modalities.music.settings import MusicTrainSettings
from rhapsode.modalities.run_sources import RunSources

# Bars of a prompt.
BARS = 4


def held_out_passages(model: Path, number: int, seed: int) -> list[Score]:
    """First bars of held-out pieces of a run, drawn by a seed.

    Without a test split they come from the validation split, and without that from the training
    split.

    Arguments:
        model: a model file in its run folder.
        number: how many.
        seed: decides which.

    Raises:
        RunError: the file lies in no run folder.
        DataError: the sources cannot be read.
    """
    run = RunSources.beside(model)
    sources = run.sources
    settings = from_mapping(MusicTrainSettings, run.settings, where=str(run.file))
    try:
        pieces = [
            piece for piece in read_pieces(sources, settings.music).pieces if len(piece.score.notes)
        ]
        splits, _, _ = split_pieces(pieces, settings.data)
    except RhapsodeError as problem:
        raise DataError(
            f"the sources of this run cannot be read ({problem.what})",
            where=", ".join(sources),
            hint="restore them, or give a file of music as the prompt",
        ) from None
    if digest_of(pieces) != run.sha256:
        log.info(
            "the sources have changed since the run: some passages may be from the training data"
        )
    held = splits["test"] or splits["validation"] or splits["train"]
    generator = np.random.default_rng(seed)
    return [_opening(held[int(generator.integers(len(held)))]) for _ in range(number)]


def _opening(piece: Piece) -> Score:
    """The first bars of a piece."""
    bars = piece.score.bars()
    end = bars[BARS][0] if len(bars) > BARS else piece.score.end
    return stretch(piece.score, 0, end)
