"""Paths of numbers by ancestral sampling: every value is drawn, read, and what follows it depends on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Narrowing
from rhapsode.generation.chain import Chain
from rhapsode.generation.draw import uniforms
from rhapsode.generation.filters.contract import Context

__all__ = ["PathFilter", "PathPredictor", "path_seed", "sample_paths"]

# Rows of one part: fewer where the distribution of a step is told by many numbers.
AT_ONCE = 8192
NUMBERS_AT_ONCE = 1 << 18


class PathPredictor(Protocol):
    """What draws paths, by whatever engine."""

    @property
    def target_size(self) -> int:
        """K, the numbers of one step."""
        ...

    @property
    def numbers(self) -> int:
        """Numbers that describe the distribution of one step."""
        ...

    def paths(
        self,
        state: Any,
        known_RHX: NDArray[np.float32],
        uniforms_RHK: NDArray[np.float64],
        temperature: float,
        narrow: Narrowing | None = None,
    ) -> NDArray[np.float64]:
        """Values (R, H, K) that follow R states, each drawn by inversion of its uniform; the states are used up.

        With `narrow`, which only elements have, it decides instead of the temperature.
        """
        ...

    def each(self, work: Callable[[slice], None], parts: Sequence[slice]) -> None:
        """Do some work on every part, side by side where the machine has cores for that."""
        ...


class PathFilter:
    """A chain of filters for paths; each of the K numbers has its own, and what repeats is counted within a path.

    Arguments:
        chain: filters between logits and the draw.
        seed: of the draws of filters that draw.
        middles: whether an element is the number in its middle, not one drawn in it.
    """

    def __init__(self, chain: Chain, seed: int, *, middles: bool = False) -> None:
        self.chain = chain
        self._seed = seed
        self._middles = middles

    def over(self, sequence_R: NDArray[np.int64], horizon: int, width: int) -> Narrowing:
        """The filters for some paths.

        Arguments:
            sequence_R: names each path for filters that draw; the same for the same path of the same series.
            horizon: steps, H.
            width: numbers of a step, K.
        """
        shape = (width, len(sequence_R), horizon)
        return _Filtering(self.chain, self._seed, sequence_R, shape, middles=self._middles)


class _Filtering:
    def __init__(
        self,
        chain: Chain,
        seed: int,
        sequence_R: NDArray[np.int64],
        shape: tuple[int, int, int],
        *,
        middles: bool,
    ) -> None:
        width, rows, _ = shape
        self.middles = middles
        self._chain, self._seed, self._sequence_R = chain, seed, sequence_R
        self._states = [chain.init(rows) for _ in range(width)]
        self._written_KRH = np.zeros(shape, dtype=np.int64)
        self._nothing = (np.zeros(0, dtype=np.int64),) * rows
        self._step = 0

    def keep(self, logits_RKV: NDArray[np.float32]) -> NDArray[np.float32]:
        kept = np.empty_like(logits_RKV)
        rows, width, _ = logits_RKV.shape
        for lane in range(width):
            context = Context(
                self._nothing,
                tuple(self._written_KRH[lane, :, : self._step]),
                np.full(rows, self._step * width + lane, dtype=np.int64),
                self._sequence_R,
                self._seed,
            )
            kept[:, lane], self._states[lane] = self._chain.apply(
                np.ascontiguousarray(logits_RKV[:, lane]), context, self._states[lane]
            )
        return kept

    def wrote(self, elements_RK: NDArray[np.int64]) -> None:
        self._written_KRH[:, :, self._step] = elements_RK.T
        self._step += 1


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
    narrow: PathFilter | None = None,
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
        narrow: filters of elements, where the model draws any; they hold the temperature, too.
    """
    series, horizon, _ = known_BHX.shape
    width = predictor.target_size
    drawn = np.empty((series * samples, horizon, width))
    owner = np.repeat(np.arange(series), samples)
    number = np.tile(np.arange(samples), series)

    def draw(some: slice) -> None:
        filtering = None
        if narrow is not None:
            base = np.array([seeds[row] & 0xFFFFFFFF for row in owner[some]], dtype=np.int64)
            filtering = narrow.over((base + number[some]) & 0xFFFFFFFF, horizon, width)
        drawn[some] = predictor.paths(
            state.select(owner[some]),
            known_BHX[owner[some]],
            _uniforms(seeds, owner[some], number[some], horizon, width),
            temperature,
            filtering,
        )

    rows = max(1, min(AT_ONCE, NUMBERS_AT_ONCE // predictor.numbers))
    predictor.each(draw, [slice(first, first + rows) for first in range(0, len(owner), rows)])
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
