"""Paths of numbers by ancestral sampling: every value is drawn, read, and what follows it depends on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.generation.draw import uniforms

__all__ = ["PathPredictor", "path_seed", "sample_paths"]

# Rows whose values, features and gates find room in the cache together.
AT_ONCE = 4096


class PathPredictor(Protocol):
    """What draws paths, by whatever engine."""

    @property
    def target_size(self) -> int:
        """K, the numbers of one step."""
        ...

    def paths(
        self,
        state: Any,
        known_RHX: NDArray[np.float32],
        uniforms_RHK: NDArray[np.float64],
        temperature: float,
    ) -> NDArray[np.float64]:
        """Values (R, H, K) that follow R states, each drawn by inversion of its uniform; the states are used up."""
        ...


def path_seed(seed: int, name: str) -> int:
    """The seed of one series' paths: what is drawn for it does not depend on which others are asked for beside it."""
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8])


def sample_paths(
    predictor: PathPredictor,
    state: Any,
    known_BHX: NDArray[np.float32],
    *,
    samples: int,
    seeds: Sequence[int],
    temperature: float = 1.0,
) -> NDArray[np.float64]:
    """Paths that follow B series, (B, S, H, K), in the data's own units.

    The number of a path and the step make its uniforms, one lane for each of the K numbers, so that ten paths are the
    first ten of a hundred.

    Arguments:
        predictor: the model.
        state: behind the histories, B rows; it is not changed.
        known_BHX: covariates of the H steps to come, scaled; X may be 0.
        samples: paths of each series, S.
        seeds: of each series.
        temperature: 1 is the model itself.
    """
    series, horizon, _ = known_BHX.shape
    width = predictor.target_size
    drawn = np.empty((series * samples, horizon, width))
    owner = np.repeat(np.arange(series), samples)
    number = np.tile(np.arange(samples), series)
    for first in range(0, len(owner), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        drawn[some] = predictor.paths(
            state.select(owner[some]),
            known_BHX[owner[some]],
            _uniforms(seeds, owner[some], number[some], horizon, width),
            temperature,
        )
    return drawn.reshape(series, samples, horizon, width)


def _uniforms(
    seeds: Sequence[int],
    owner_R: NDArray[np.int64],
    number_R: NDArray[np.int64],
    horizon: int,
    width: int,
) -> NDArray[np.float64]:
    """Uniforms (R, H, K)."""
    found = np.empty((len(owner_R), horizon, width))
    steps = np.arange(horizon)
    for series in np.unique(owner_R):
        rows = np.nonzero(owner_R == series)[0]
        sequence, position = np.repeat(number_R[rows], horizon), np.tile(steps, len(rows))
        for lane in range(width):
            found[rows, :, lane] = uniforms(seeds[series], sequence, position, lane).reshape(
                len(rows), horizon
            )
    return found
