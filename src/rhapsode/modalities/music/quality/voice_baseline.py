"""A counted baseline for music of fixed voices.

An n-gram model sees the last elements. This one sees what tells most of a cell: the pitch that its
voice sounded before, the cells of the step that are known, and the step before. Contexts become
longer one by one; a longer one is smoothed by the shorter one (interpolated absolute discounting:
Ney, Essen and Kneser, 1994).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.chords import ChordEncoder
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.encoding.music.voices import VoiceEncoder
from rhapsode.modalities.music.pieces.reading import Piece

Ints = NDArray[np.int64]
# A pitch that no voice has: it rests.
_REST = 0
_PITCHES = 129
_LEVELS = 6
_LEAST_DISCOUNT = 0.1
# Cells up to which the training split is counted in all keys of the model.
_MOST_CELLS = 1_000_000


def cells_of(scores: Iterable[Score], voices: int, grid: int) -> list[Ints]:
    """Pitch plus 1 of every voice and step, (T, K).

    A rest is 0.
    """
    settings = {"voices": voices, "grid": grid, "lowest": 0, "highest": 127, "join": True}
    encoder = VoiceEncoder.learn((), settings)
    hold = encoder.encode("hold")[0]
    cells = []
    for score in scores:
        ids_TK = encoder.elements(score).astype(np.int64).reshape(-1, voices)
        told_TK = ids_TK != hold
        told_TK[:1] = True
        last_TK = np.maximum.accumulate(
            np.where(told_TK, np.arange(len(ids_TK))[:, None], 0), axis=0
        )
        ids_TK = np.take_along_axis(ids_TK, last_TK, axis=0)
        cells.append(encoder.pitch_V[ids_TK] + 1)
    return cells


def _mixed(one: NDArray[np.uint64], other: Ints) -> NDArray[np.uint64]:
    """A hash of two numbers."""
    value_N = one * np.uint64(0x9E3779B97F4A7C15) + other.astype(np.uint64)
    value_N ^= value_N >> np.uint64(31)
    value_N *= np.uint64(0xBF58476D1CE4E5B9)
    value_N ^= value_N >> np.uint64(29)
    return value_N


def _contexts(cells: Sequence[Ints], grid: int) -> tuple[list[NDArray[np.uint64]], Ints]:
    """Hashes of the contexts of every cell from the shortest on, each (N,), and the cells."""
    levels: list[list[NDArray[np.uint64]]] = [[] for _ in range(_LEVELS)]
    for cells_TK in cells:
        steps, voices = cells_TK.shape
        before_TK = np.vstack((np.zeros((1, voices), np.int64), cells_TK[:-1]))[:steps]
        beat_T = np.arange(steps) % grid
        frame_T = np.zeros(steps, np.uint64)
        for k in range(voices):
            frame_T = _mixed(frame_T, before_TK[:, k])
        known_T = np.zeros(steps, np.uint64)
        for k in range(voices):
            hash_T = _mixed(np.full(steps, k, np.uint64), before_TK[:, k])
            above_T = cells_TK[:, k - 1] if k else beat_T * 0 + _PITCHES
            chain = [np.full(steps, k, np.uint64), hash_T, _mixed(hash_T, above_T)]
            chain.append(_mixed(chain[2], known_T.astype(np.int64)))
            chain.append(_mixed(chain[3], beat_T))
            chain.append(_mixed(chain[4], frame_T.astype(np.int64)))
            for level, hashes_T in zip(levels, chain, strict=True):
                level.append(hashes_T)
            known_T = _mixed(known_T, cells_TK[:, k])
    targets = [cells_TK[:, k] for cells_TK in cells for k in range(cells_TK.shape[1])]
    return [np.concatenate(level) for level in levels], np.concatenate(targets)


def _transposed(cells: Sequence[Ints], keys: Iterable[int]) -> list[Ints]:
    return [np.where(each > _REST, each + key, _REST) for key in keys for each in cells]


def voice_nats(
    train: Sequence[Ints], test: Sequence[Ints], grid: int, keys: Sequence[int] = (0,)
) -> float:
    """Nats per cell of held-out pieces; ends of pieces are not scored.

    Arguments:
        train: cells of the training split, as from `cells_of`.
        test: those of the pieces to score.
        grid: steps a quarter note.
        keys: semitones of the copies of the training split that are counted.
    """
    context_LN, target_N = _contexts(_transposed(train, keys), grid)
    known_LM, wanted_M = _contexts(test, grid)
    probability_M = np.full(len(wanted_M), 1 / _PITCHES)
    for context_N, known_M in zip(context_LN, known_LM, strict=True):
        pair_N = _mixed(context_N, target_N)
        pair_J, first_J, count_J = np.unique(pair_N, return_index=True, return_counts=True)
        names_C, total_C = np.unique(context_N, return_counts=True)
        # Numbers of different cells after each context: each pair counts once.
        kinds_C = np.bincount(np.searchsorted(names_C, context_N[first_J]), minlength=len(names_C))
        once, twice = int((count_J == 1).sum()), int((count_J == 2).sum())
        discount = max(_LEAST_DISCOUNT, once / max(1, once + 2 * twice))
        place_M = np.minimum(np.searchsorted(names_C, known_M), len(names_C) - 1)
        seen_M = names_C[place_M] == known_M
        pair_M = _mixed(known_M, wanted_M)
        at_M = np.minimum(np.searchsorted(pair_J, pair_M), len(pair_J) - 1)
        count_M = np.where(pair_J[at_M] == pair_M, count_J[at_M] - discount, 0.0)
        rest_M = discount * kinds_C[place_M] * probability_M
        probability_M = np.where(seen_M, (count_M + rest_M) / total_C[place_M], probability_M)
    return float(-np.log(probability_M).mean())


def voice_baseline(
    encoder: MusicEncoder, train: Iterable[Score], pieces: Sequence[Piece], keys: Sequence[int]
) -> float | None:
    """Nats of the cells of pieces; None for encodings without fixed voices.

    Arguments:
        encoder: of a model.
        train: the training split in its own keys.
        pieces: to score.
        keys: semitones in which the model learnt the training split.
    """
    if not isinstance(encoder, ChordEncoder | VoiceEncoder) or not pieces:
        return None
    known = cells_of(train, encoder.voices, encoder.grid)
    cells = sum(each.size for each in known)
    if not cells:
        return None
    test = cells_of([piece.score for piece in pieces], encoder.voices, encoder.grid)
    counted = keys if cells <= _MOST_CELLS else (0,)
    return voice_nats(known, test, encoder.grid, counted) * sum(each.size for each in test)
