"""Temperature: sharper or flatter distributions.

Nothing is removed, except by greedy choice.
"""

from typing import Any

import numpy as np

from rhapsode.bundle import log_softmax
from rhapsode.bundle.distribution import GREEDY_BELOW
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import (
    FILTERS,
    FROM_ZERO,
    POSITIVE,
    Context,
    Filter,
    Logits,
    NumberFilter,
    entropy,
    likeliest_only,
)


@FILTERS.register("temperature.v1")
class Temperature(NumberFilter):
    """Logits divided by the temperature, z / T; 1 is off.

    Below 1e-5 only the likeliest element stays, the lowest id on ties.

    Arguments:
        temperature: T, 0 or more.

    Raises:
        SettingsError: a negative temperature, or none.
    """

    name = setting = compiled_name = "temperature"
    limits = FROM_ZERO
    off = 1.0

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        if self._value < GREEDY_BELOW:
            return likeliest_only(logits_BV)
        # From the maximum, so that no logit overflows: the distribution is the same.
        shifted_BV = logits_BV - logits_BV.max(axis=1, keepdims=True)
        divided_BV: Logits = (shifted_BV / np.float64(self._value)).astype(np.float32)
        return divided_BV

    def compiled(self) -> tuple[str, Any] | None:
        return ("greedy", 0.0) if self._value < GREEDY_BELOW else super().compiled()


@FILTERS.register("dynatemp.v1")
class DynamicTemperature(Filter):
    """A temperature that rises with the entropy of the distribution.

    z / T with T = low + (high - low) (H / Hmax)^exponent. H is the entropy of the candidates left
    and Hmax the logarithm of their number, so that T is `high` where all are equally likely; a
    single candidate has T = `low`. This is the dynamic temperature of KoboldCpp and llama.cpp.

    Arguments:
        low: T at no entropy, 0 or more; under 1e-5 greedy.
        high: T at full entropy, at least `low`.
        exponent: above 1 keeps T low for longer.

    Raises:
        SettingsError: a range that is none, or an exponent that is not positive.
    """

    name = "dynatemp"

    def __init__(self, low: float, high: float, exponent: float = 1.0) -> None:
        if not 0.0 <= low <= high < float("inf"):
            raise SettingsError(
                f"dynamic temperature from {low:g} to {high:g} is no range from 0 up"
            )
        POSITIVE.check("dynatemp_exponent", exponent)
        self._low, self._high, self._exponent = low, high, exponent

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        log_BV = log_softmax(logits_BV)
        entropy_B = entropy(log_BV)
        most_B = np.log(np.isfinite(logits_BV).sum(axis=1))
        share_B = np.divide(entropy_B, most_B, out=np.zeros_like(entropy_B), where=most_B > 0)
        share_B = np.clip(share_B, 0.0, 1.0) ** self._exponent
        temperature_B = self._low + (self._high - self._low) * share_B
        greedy_B = temperature_B < GREEDY_BELOW
        shifted_BV = logits_BV - logits_BV.max(axis=1, keepdims=True)
        warm_B = np.where(greedy_B, 1.0, temperature_B)
        divided_BV = (shifted_BV / warm_B[:, None]).astype(np.float32)
        return np.where(greedy_B[:, None], likeliest_only(logits_BV), divided_BV), state

    def explain(self) -> str:
        return f"dynatemp {self._low:g} to {self._high:g}, exponent {self._exponent:g}"
