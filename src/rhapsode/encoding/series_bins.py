"""Series of real numbers as element ids, on which every sampler for text works (as in Ansari et al. 2024, Chronos).

A value is scaled by its series and falls into one of V bins: ids 0 end-of-sequence, 1 missing, from 2 on the bins from
low to high. Within a bin the density is even, in the two outermost it falls off exponentially, so that a probability
of ids and a log-Jacobian make a density over the real line that is one in total and comparable with any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.encoding.contract import END_ID, UNKNOWN_ID
from rhapsode.encoding.series_scaling import Scaling, SeriesStats, column_scale
from rhapsode.errors import BundleError, DataError

__all__ = ["BinnedEncoder", "BinnedSettings"]

FIRST_BIN = 2
LARGEST = 1e300


@dataclass(frozen=True)
class BinnedSettings:
    """Settings of `binned.v1`."""

    scaling: Scaling = "mean_abs"
    """How each series is scaled by its own past: `mean_abs`, `standard`, `robust` or `none`."""
    bins: Annotated[int, Meta(ge=2, le=1 << 16)] = 1024
    """Bins, V."""
    spacing: Literal["quantile", "uniform"] = "quantile"
    """Bins that hold equally many of the values learnt from, or bins of equal width."""
    limit: Annotated[float, Meta(gt=0.0, le=1e6)] = 15.0
    """Uniform bins lie between minus and plus this many scales."""


class BinnedEncoder:
    """Series of one number a step to ids and log-Jacobians, and ids back to numbers.

    Arguments:
        settings: how.
        edges: where one bin ends and the next begins, in scales, rising: one fewer than there are bins.
        tails: mean lengths of the two outermost bins, in scales, above 0.
    """

    name = "binned.v1"

    def __init__(
        self,
        settings: BinnedSettings,
        edges: NDArray[np.floating],
        tails: tuple[float, float],
    ) -> None:
        self.settings = settings
        self.edges = np.asarray(edges, dtype=np.float64)
        self.tails = tails
        # What the density of a bin is divided by; the outermost have a decay length in its place.
        self._widths = np.concatenate((tails[:1], np.diff(self.edges), tails[1:]))

    @classmethod
    def learn(
        cls, histories: Iterable[NDArray[np.floating]], settings: BinnedSettings
    ) -> BinnedEncoder:
        """Bins for series like these, (T,) each; equal neighbours among the edges become one.

        Raises:
            DataError: bins at quantiles of nothing but missing values, or of fewer than two different ones.
        """
        if settings.spacing == "uniform":
            edges = np.linspace(-settings.limit, settings.limit, settings.bins + 1)
            width = float(edges[1] - edges[0])
            return cls(settings, edges[1:-1], (width, width))
        scaled = []
        for history_T in histories:
            values_T = _finite(history_T)
            shift, scale = column_scale(values_T, settings.scaling)
            scaled.append(_scaled(values_T[~np.isnan(values_T)], shift, scale))
        z_N = np.sort(np.concatenate(scaled)) if scaled else np.zeros(0)
        if not len(z_N) or z_N[0] == z_N[-1]:
            raise DataError(
                "bins at quantiles need at least two different values",
                hint="set encoder.spacing to uniform",
            )
        cuts = np.arange(1, settings.bins) * len(z_N) // settings.bins
        cuts = cuts[cuts > 0]
        low, high = z_N[cuts - 1], z_N[cuts]
        edges = np.unique(((low + high) / 2)[low < high])
        if not len(edges):
            edges = np.array([(z_N[0] + z_N[-1]) / 2])
        # The tails' lengths are the mean distances of what lies in them, as a maximum of likelihood has it.
        spread = float(z_N[-1] - z_N[0])
        below, above = edges[0] - z_N[z_N < edges[0]], z_N[z_N >= edges[-1]] - edges[-1]
        tails = [max(float(part.mean()), 1e-6 * spread) for part in (below, above)]
        return cls(settings, edges, (tails[0], tails[1]))

    @property
    def vocab_size(self) -> int:
        """The bins, end-of-sequence and missing."""
        return len(self._widths) + FIRST_BIN

    def label(self, element: int) -> str:
        """A short printable name of an element, in scales."""
        if element == END_ID:
            return "<end>"
        if element == UNKNOWN_ID:
            return "<missing>"
        ends = np.concatenate(((-np.inf,), self.edges, (np.inf,)))
        low, high = ends[element - FIRST_BIN : element - FIRST_BIN + 2]
        return f"{low:.4g} to {high:.4g}"

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that `from_mapping` reads back."""
        return {
            "name": self.name,
            "settings": to_mapping(self.settings),
            "edges": self.edges.tolist(),
            "tails": list(self.tails),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> BinnedEncoder:
        """The encoder written by `to_mapping`.

        Raises:
            BundleError: the mapping is malformed.
        """
        settings = mapping.get("settings")
        if mapping.get("name") != cls.name or not isinstance(settings, dict):
            raise BundleError("the encoder's description is malformed")
        settings = from_mapping(BinnedSettings, settings, where="encoder", error=BundleError)
        edges, tails = _numbers(mapping.get("edges")), _numbers(mapping.get("tails"))
        if not len(edges) or (np.diff(edges) <= 0).any() or len(tails) != 2 or (tails <= 0).any():
            raise BundleError("the encoder's bins are malformed")
        return cls(settings, edges, (float(tails[0]), float(tails[1])))

    def stats(self, history_T: NDArray[np.floating]) -> SeriesStats:
        """The scale of a series, from its history alone, (T,) with NaN where missing."""
        shift, scale = column_scale(_finite(history_T), self.settings.scaling)
        one = np.ones(1)
        return SeriesStats(one * shift, one * scale, one * 0.0, one)

    def encode(
        self, values_T: NDArray[np.floating], stats: SeriesStats
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Ids (T,) and log-Jacobians (T,).

        The log-density of a value, in nats and in the data's own units, is the log-probability of its id plus its
        log-Jacobian; that of a missing value is 0.
        """
        values_T = _finite(values_T)
        known_T = ~np.isnan(values_T)
        z_T = _scaled(np.where(known_T, values_T, 0.0), stats.shift_K[0], stats.scale_K[0])
        bins_T = np.searchsorted(self.edges, z_T, side="right")
        beyond_T = np.maximum(self.edges[0] - z_T, 0.0) / self.tails[0]
        beyond_T += np.maximum(z_T - self.edges[-1], 0.0) / self.tails[1]
        jacobian_T = -np.log(self._widths[bins_T]) - beyond_T - np.log(stats.scale_K[0])
        ids_T = np.where(known_T, bins_T + FIRST_BIN, UNKNOWN_ID).astype(np.int64)
        return ids_T, np.where(known_T, jacobian_T, 0.0)

    def decode(
        self,
        ids_B: NDArray[np.integer],
        stats: SeriesStats,
        uniforms_B: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Values (B,) of ids: the mean of each bin, or, where uniforms in [0, 1) are given, places drawn in it.

        End-of-sequence and missing are NaN.

        Arguments:
            ids_B: elements.
            stats: one scale for all, or one a row, (B, 1).
            uniforms_B: a lane of their own, not the one that chose the ids.
        """
        ids_B = np.asarray(ids_B)
        bins_B = np.maximum(ids_B - FIRST_BIN, 0)
        width_B = self._widths[bins_B]
        share_B = np.full(len(ids_B), 0.5) if uniforms_B is None else uniforms_B
        length_B = width_B if uniforms_B is None else -width_B * np.log1p(-share_B)
        last = len(self.edges)
        inside_B = self.edges[np.clip(bins_B - 1, 0, last - 1)] + share_B * width_B
        z_B = np.where(bins_B == last, self.edges[-1] + length_B, inside_B)
        z_B = np.where(bins_B == 0, self.edges[0] - length_B, z_B)
        shift_B, scale_B = stats.shift_K[..., 0], stats.scale_K[..., 0]
        values_B = np.clip(z_B * scale_B + shift_B, -LARGEST, LARGEST)
        return np.where(ids_B >= FIRST_BIN, values_B, np.nan)


def _finite(values: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values of shape {values.shape}, not (T,)")
    return np.where(np.isfinite(values), values, np.nan)


def _scaled(values: NDArray[np.float64], shift: float, scale: float) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.clip((values - shift) / scale, -LARGEST, LARGEST)


def _numbers(values: Any) -> NDArray[np.float64]:
    if not isinstance(values, list) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    ):
        raise BundleError("the encoder's bins are malformed")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        raise BundleError("the encoder's bins are malformed") from None
    if not np.isfinite(numbers).all():
        raise BundleError("the encoder's bins are malformed")
    return numbers
