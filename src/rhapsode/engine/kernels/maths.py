"""Vectorisable exp, logistic function and tanh, and stretches of vectors.

The functions have no branches, so that loops over them become vector instructions. The stretches
replace slices, which take long to compile.
"""

from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner

_f = np.float32
_LOW, _HIGH = _f(-87.0), _f(88.0)
_LOG2E = _f(1.44269504088896341)
# Adding and taking away 1.5 * 2**23 rounds to a whole number.
_ROUND = _f(12582912.0)
# log 2 in two parts, so that whole multiples of the first are exact.
_LN2_HIGH, _LN2_LOW = _f(0.693359375), _f(-2.12194440e-4)
_P0, _P1, _P2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_P3, _P4, _P5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_ONE, _TWO = _f(1.0), _f(2.0)
_BIAS, _SHIFT = np.int32(127), np.int32(23)

_LOW64 = -708.0
_LOG2E_64 = 1.4426950408889634
_ROUND_64 = 6755399441055744.0
_BIAS_64 = np.int64(1023 << 52)
_LN2_HIGH_64, _LN2_LOW_64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@inner
def exp32(x: Any) -> Any:
    """Exp in float32, within 2 units in the last place.

    The bound holds between -87 and 88; the result is constant beyond.

    Range reduction and polynomial of Moshier's Cephes, expf.
    """
    x = max(_LOW, x)
    x = min(_HIGH, x)
    n = (x * _LOG2E + _ROUND) - _ROUND
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    p = p * r * r + r + _ONE
    power = np.int32((np.int32(n) + _BIAS) << _SHIFT)
    return p * power.view(np.float32)


@inner
def sigmoid32(x: Any) -> Any:
    """1 / (1 + exp(-x)) in float32."""
    return _ONE / (_ONE + exp32(-x))


@inner
def tanh32(x: Any) -> Any:
    """Tanh in float32, within 2e-7."""
    return _ONE - _TWO / (exp32(_TWO * x) + _ONE)


@inner
def exp64(x: float) -> float:
    """Exp in float64 for x from minus infinity to 0.

    It is 0 below -708. The series goes up to r**13 / 13!.
    """
    y = max(_LOW64, x)
    rounded = y * _LOG2E_64 + _ROUND_64
    n = rounded - _ROUND_64
    r = y - n * _LN2_HIGH_64 - n * _LN2_LOW_64
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    # The whole number is the low end of the rounded one's bits; AVX2 could not convert it but one
    # by one.
    power = np.int64((np.float64(rounded).view(np.int64) << 52) + _BIAS_64)
    told = p * power.view(np.float64)
    return told if x > _LOW64 else 0.0


@inner
def copy(y: Any, y_at: int, x: Any, x_at: int, size: int) -> None:
    """y[y_at:] = x[x_at:], so many numbers."""
    apart()
    to, of = y[y_at : y_at + size], x[x_at : x_at + size]
    for j in range(size):
        to[j] = of[j]


@inner
def fill(y: Any, y_at: int, number: Any, size: int) -> None:
    """y[y_at:] = number, so many times."""
    apart()
    to = y[y_at : y_at + size]
    for j in range(size):
        to[j] = number
