"""Generated music beside real music that the model has not learnt from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import GenerateSettings
from rhapsode.encoding.music.score import Score
from rhapsode.errors import BundleError, RhapsodeError
from rhapsode.log import log
from rhapsode.modalities.ids.continuation import continue_prompts
from rhapsode.modalities.music.facts import music_encoder
from rhapsode.modalities.music.pieces.reading import Piece
from rhapsode.modalities.music.pieces.stretches import stretch
from rhapsode.modalities.music.quality.copies import LEAST, MELODY_INDEX, MelodyIndex
from rhapsode.modalities.music.quality.features import (
    HISTOGRAMS,
    NUMBERS,
    distance,
    loop_share,
    mean_features,
)

if TYPE_CHECKING:
    from rhapsode.data import ElementStore
    from rhapsode.modalities.ids.model import IdModel

TEMPERATURES = (1.0, 0.8)
PIECES = 32
AT_ONCE = 8
# Quarter notes of a passage that is measured, and the fewest that are worth it.
BEATS, FEWEST_BEATS = 64, 8
# Elements of a passage at most, and of a passage for each of a real one.
MOST_ELEMENTS, ROOM = 2000, 1.5
# What the writing may take, all temperatures together.
SECONDS = 8.0
SEED = 0
# A loop that takes more of a passage than this is reported.
LOOPING = 0.5


def open_melodies(model: Path) -> MelodyIndex | None:
    """The index of melodies beside a model file; None without one."""
    path = model.parent / MELODY_INDEX
    if not path.exists():
        return None
    try:
        return MelodyIndex.load(path)
    except BundleError as problem:
        log.warning(f"{path}: {problem.what}")
        return None


def measure_writing(
    model: IdModel,
    index: MelodyIndex | None,
    real: Sequence[Piece],
    store: ElementStore,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Measure generated music beside passages of real music of the same length.

    Every piece is generated from the empty prompt, with temperature as the only filter.

    Arguments:
        model: generates.
        index: melodies of the training music; None: no copies are counted.
        real: pieces that the model has not learnt from.
        store: their elements.
        clock: seconds, of any origin.

    Returns:
        For JSON: `beats` of a passage, `pieces`, `seed`, `real` and, by temperature, `written`:
        measures as in `Features`, `distances` of histograms from real music, `loops`, `copies`.
        `reason` if nothing could be measured.
    """
    if not real:
        return {"written": None, "reason": "there is no held-out music to compare with"}
    encoder = music_encoder(model.bundle.encoder)
    scores = [encoder.snap(piece.score)[0] for piece in real]
    beats = sum(score.end / score.ticks for score in scores)
    if beats < FEWEST_BEATS:
        return {"written": None, "reason": "there is too little held-out music to compare with"}
    wanted = min(BEATS, max(FEWEST_BEATS, math.floor(_median_beats(scores))))
    length = min(MOST_ELEMENTS, math.ceil(ROOM * wanted * len(store) / beats))
    passages = list(_passages(scores, wanted))[: PIECES * 4]
    if not passages:
        return {"written": None, "reason": "the held-out pieces are too short to compare with"}
    known = mean_features(passages)
    written: list[dict[str, Any]] = []
    began = clock()
    for number, temperature in enumerate(TEMPERATURES, 1):
        until = began + SECONDS * number / len(TEMPERATURES)
        try:
            found = list(_generate(model, temperature, length, until=until, clock=clock))
        except RhapsodeError as problem:  # a finished run shall not fail for this
            return {"written": None, "reason": problem.what}
        whole = [first for score in found for first in _passages([score], wanted, first=True)]
        if not whole:
            continue
        own = mean_features(whole)
        loops = [loop_share(score)[0] for score in whole]
        written.append(
            {
                "temperature": temperature,
                "pieces": len(found),
                **{name: getattr(own, name) for name in NUMBERS},
                "distances": {
                    name.removesuffix("_P"): distance(getattr(own, name), getattr(known, name))
                    for name in HISTOGRAMS
                },
                "loops": float(np.mean([share > LOOPING for share in loops])),
                "copies": copies_of(index, whole),
            }
        )
    halves = passages[::2], passages[1::2]
    apart = [mean_features(half) for half in halves if half]
    return {
        "beats": wanted,
        "seed": SEED,
        "real": {
            "passages": len(passages),
            **{name: getattr(known, name) for name in NUMBERS},
            "distances": {
                name.removesuffix("_P"): distance(getattr(apart[0], name), getattr(apart[-1], name))
                for name in HISTOGRAMS
            },
            "loops": float(np.mean([loop_share(score)[0] > LOOPING for score in passages])),
            "copies": copies_of(index, passages[:PIECES]),
        },
        "written": written,
    }


def copies_of(index: MelodyIndex | None, scores: Sequence[Score]) -> dict[str, Any] | None:
    """The longest stretches that occur in the training music."""
    if index is None or not scores:
        return None
    copies = [copy for copy in map(index.longest, scores) if copy is not None]
    if not copies:
        return {"mean_notes": 0.0, "longest": None}
    longest = max(copies, key=lambda copy: copy.notes)
    notes = [copy.notes for copy in copies] + [0] * (len(scores) - len(copies))
    told = asdict(longest) if longest.notes >= LEAST else None
    return {"mean_notes": float(np.mean(notes)), "longest": told}


def _median_beats(scores: Sequence[Score]) -> float:
    return float(np.median([score.end / score.ticks for score in scores]))


def _passages(scores: Sequence[Score], beats: int, *, first: bool = False) -> Iterator[Score]:
    """Passages of so many quarter notes, end to end; a shorter rest is left out."""
    for score in scores:
        size = beats * score.ticks
        ends = range(size, score.end + 1, size)
        for end in ends if not first else [min(size, score.end)]:
            if end > 0:
                yield stretch(score, max(0, end - size), end)


def _generate(
    model: IdModel, temperature: float, length: int, *, until: float, clock: Callable[[], float]
) -> Iterator[Score]:
    """Scores from the empty prompt, at least some, then as many as time allows."""
    encoder = music_encoder(model.bundle.encoder)
    prompt_N = np.zeros(0, dtype=np.int64)
    for first in range(0, PIECES, AT_ONCE):
        if first and clock() > until:
            return
        settings = GenerateSettings(
            length=length, count=AT_ONCE, temperature=temperature, seed=SEED + first
        )
        elements: dict[int, list[int]] = {}
        for piece in continue_prompts(model.predictor, model.bundle, [prompt_N], settings):
            elements.setdefault(piece.index, []).extend(piece.chosen)
        yield from (encoder.score_of(ids) for _, ids in sorted(elements.items()))
