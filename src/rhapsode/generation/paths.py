"""Sample paths of numbers by ancestral sampling.

Every value is drawn and read, and the following ones depend on it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import DrawKey, Rows, run

# Most rows of one part.
AT_ONCE = 8192
_LOW = 0xFFFFFFFF


def path_seed(seed: int, name: str) -> int:
    """The seed of one series, independent of the others of a request."""
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8])


def path_keys(
    seeds_R: NDArray[np.uint64], number_R: NDArray[np.int64], filter_seed: int
) -> tuple[DrawKey, DrawKey]:
    """Names of the draws of paths, and of the filters before them.

    Arguments:
        seeds_R: of the series of each path.
        number_R: of each path in its series.
        filter_seed: of the request.
    """
    low_R = (seeds_R & np.uint64(_LOW)).astype(np.int64)
    return DrawKey(seeds_R, number_R), DrawKey(filter_seed, (low_R + number_R) & _LOW)


def sample_paths(
    predictor: Predictor,
    state: Any,
    known_BHX: NDArray[np.float32],
    *,
    samples: int,
    seeds: Sequence[int],
    temperature: float = 1.0,
    chain: Chain | None = None,
    filter_seed: int = 0,
) -> NDArray[np.float64]:
    """Sample paths that follow B series.

    The result is (B, S, H, K), in the units of the data.

    Number of the path and step decide its uniforms, one lane for each of the K numbers, so that ten
    paths are the first ten of a hundred.

    Arguments:
        predictor: the model.
        state: after the histories, B rows; it is not changed.
        known_BHX: covariates of the H steps to come, scaled; X may be 0.
        samples: paths of each series, S.
        seeds: of each series.
        temperature: 1 leaves the distribution as it is.
        chain: filters, for models that draw ids; each of the K numbers has its own, and repeats
            are counted within a path. The chain holds the temperature, too.
        filter_seed: seed of filters with random draws.
    """
    series, horizon, _ = known_BHX.shape
    drawn = np.empty((series * samples, horizon, predictor.element_size))
    owner = np.repeat(np.arange(series), samples)
    number = np.tile(np.arange(samples), series)
    seeds_B = np.array(seeds, dtype=np.uint64)
    filters = chain or Chain([])

    def draw(part: slice) -> None:
        own_R, number_R = owner[part], number[part]
        key, filter_key = path_keys(seeds_B[own_R], number_R, filter_seed)
        rows = Rows(
            predictor,
            predictor.select(state, own_R),
            filters,
            key,
            filter_key=filter_key,
            unread=np.empty((len(own_R), 0, predictor.element_size)),
            known_RHX=known_BHX[own_R],
            steps=horizon,
        )
        for step in run(
            rows, lambda rows: rows.draw(temperature) if rows.position < horizon else None
        ):
            drawn[part, rows.position] = step.elements

    size = min(AT_ONCE, predictor.batch_rows)
    parts = [slice(first, first + size) for first in range(0, len(owner), size)]
    with predictor.workers(len(parts)) as pool:
        for _ in map(draw, parts) if pool is None else pool.map(draw, parts):
            pass
    return drawn.reshape(series, samples, horizon, predictor.element_size)
