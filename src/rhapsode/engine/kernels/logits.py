"""Logits of features, by a full or an adaptive output layer."""

# ruff: noqa: PLR0917  # compiled code is called by position

from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.maths import copy
from rhapsode.engine.kernels.products import product
from rhapsode.engine.kernels.tiles import PANEL
from rhapsode.engine.offsets import (
    FEATURES,
    HEAD,
    HEAD_BIAS,
    PROJECT,
    PROJECT_BIAS,
    SHORTLIST,
    TAIL,
    TAIL_BIAS,
    TAIL_SIZE,
    VOCAB,
)
from rhapsode.engine.sampling_steps import complete_row

# Rows of a tail that are computed at once.
_FEW = 16


@inner
def logits_of(w: Any, m: Any, spec: Any, y: Any, y_at: int, y_step: int, rows: int, z: Any) -> None:
    """Logits of some rows of features, in rows of whole panels."""
    apart()
    size, vocab, short = spec[FEATURES], spec[VOCAB], spec[SHORTLIST]
    row = (vocab + PANEL - 1) // PANEL * PANEL
    panels = (short + PANEL - 1) // PANEL
    for b in range(rows):
        copy(z, b * row, w, spec[HEAD_BIAS], panels * PANEL)
    product(spec, z, 0, row, m, spec[HEAD], size, panels, y, y_at, y_step, rows)
    if short < vocab:
        for b in range(0, rows, _FEW):
            few, own_y = min(_FEW, rows - b), y_at + b * y_step
            _tail(w, m, spec, y, own_y, y_step, few, z[b * row :], row)


@inner
def _tail(
    w: Any, m: Any, spec: Any, y: Any, y_at: int, y_step: int, rows: int, z: Any, z_step: int
) -> None:
    """Logits of the tail of an adaptive head, behind those of its shortlist."""
    apart()
    size, vocab, short, depth = spec[FEATURES], spec[VOCAB], spec[SHORTLIST], spec[TAIL_SIZE]
    rare = vocab - short
    # One more output is the logit of the tail as a whole.
    narrow, wide = depth // PANEL + 1, (rare + PANEL - 1) // PANEL
    step, row = narrow * PANEL, wide * PANEL
    x = np.empty(rows * step, dtype=np.float32)
    tail, weight_N = np.empty(rows * row, dtype=np.float32), np.empty(rare)
    for b in range(rows):
        copy(x, b * step, w, spec[PROJECT_BIAS], step)
        copy(tail, b * row, w, spec[TAIL_BIAS], row)
    product(spec, x, 0, step, m, spec[PROJECT], size, narrow, y, y_at, y_step, rows)
    product(spec, tail, 0, row, m, spec[TAIL], depth, wide, x, 0, step, rows)
    for b in range(rows):
        own = tail[b * row : b * row + rare]
        complete_row(z[b * z_step : b * z_step + vocab], short, own, x[b * step + depth], weight_N)
