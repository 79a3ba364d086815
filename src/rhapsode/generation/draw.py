"""Uniform random numbers fixed by seed, sequence, position and lane.

The generator is Philox 4x32-10 (Salmon et al. 2011), with the seed as key and the place as counter.
The text of a request depends neither on other requests in the same batch nor on how it is split
into pieces.
"""

import numpy as np
from numpy.typing import NDArray

Seed = int | NDArray[np.uint64]

ELEMENT_LANE = 0
XTC_LANE = 1

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter_N4: NDArray[np.uint64], key: Seed) -> NDArray[np.uint64]:
    """Ten rounds of Philox 4x32.

    Arguments:
        counter_N4: counters, four 32-bit words each, uint64.
        key: 64 bits, one for all or one for each (N,).

    Returns:
        Four random 32-bit words for each counter, uint64 (N, 4).
    """
    c0, c1, c2, c3 = (counter_N4[:, word] for word in range(4))
    k0, k1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(10):
        product0, product1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ np.asarray(k0, dtype=np.uint64),
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ np.asarray(k1, dtype=np.uint64),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3), axis=1)


def uniforms(
    seed: Seed,
    sequence_B: NDArray[np.int64],
    position_B: NDArray[np.int64],
    lane: int | NDArray[np.int64] = ELEMENT_LANE,
) -> NDArray[np.float64]:
    """One uniform in [0, 1) for each row, with 53 random bits.

    Arguments:
        seed: 0 to 2**64 - 1, one for all rows or one for each (B,).
        sequence_B: index of the continuation, below 2**32.
        position_B: counted from the first generated element.
        lane: 0 for the element itself; further ones for what needs more; one for all rows or one
            for each (B,).
    """
    position_N = position_B.astype(np.uint64)
    counter_N4 = np.stack(
        (
            position_N & _LOW,
            position_N >> _HALF,
            sequence_B.astype(np.uint64) & _LOW,
            np.full(len(position_N), lane, dtype=np.uint64),
        ),
        axis=1,
    )
    words_N4 = philox(counter_N4, seed)
    high, low = words_N4[:, 0] >> np.uint64(5), words_N4[:, 1] >> np.uint64(6)
    return (high.astype(np.float64) * 67108864.0 + low.astype(np.float64)) / 9007199254740992.0
