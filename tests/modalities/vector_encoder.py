"""Vectors of measured numbers and kinds to features and targets, and back, for the toy modality of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.encoding.vectors import FARTHEST, EncodedValues, Floats, Singles
from rhapsode.errors import BundleError, EncodingError


@dataclass(frozen=True)
class VectorSettings:
    """Settings of `vectors.v1`."""

    scale: tuple[Annotated[float, Meta(gt=0.0, le=1e30)], ...] = ()
    """Scale of each measured number, which is divided by it."""
    kinds: tuple[Annotated[int, Meta(ge=2, le=1 << 16)], ...] = ()
    """Number of categories of each categorical number, which follow the measured ones: 0, 1, ...
    below this."""


class VectorEncoder:
    """Vectors of K numbers: measured ones in front, kinds behind them.

    Features are the vector before: measured numbers scaled, kinds one-hot, 0 where missing.

    Arguments:
        settings: scale and kinds.
    """

    name = "vectors.v1"
    span = 1
    counts = False
    spans_gaps = False

    def __init__(self, settings: VectorSettings) -> None:
        self.settings = settings
        self.scale_K: Floats = np.array([*settings.scale, *(1.0 for _ in settings.kinds)])

    @classmethod
    def learn(cls, values: Sequence[NDArray[Any]], kinds: Sequence[int] = ()) -> VectorEncoder:
        """An encoder for sequences like these, scaled by the deviations of their numbers.

        Arguments:
            values: (T, K) each.
            kinds: sizes of the kinds behind the measured numbers.
        """
        measured_NM = np.concatenate(values)[:, : values[0].shape[1] - len(kinds)]
        deviation_M = np.nan_to_num(np.nanstd(measured_NM, axis=0))
        scale = np.where(deviation_M > 0, deviation_M, 1.0)
        return cls(VectorSettings(tuple(scale.tolist()), tuple(kinds)))

    @property
    def target_size(self) -> int:
        """K, the numbers of a vector."""
        return len(self.scale_K)

    @property
    def feature_size(self) -> int:
        """D: a feature a measured number, and one for each kind."""
        return len(self.settings.scale) + sum(self.settings.kinds)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that `from_mapping` reads back."""
        return {"name": self.name, "settings": to_mapping(self.settings)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> VectorEncoder:
        """The encoder written by `to_mapping`.

        Raises:
            BundleError: the mapping is malformed.
        """
        settings = mapping.get("settings")
        if mapping.get("name") != cls.name or not isinstance(settings, dict):
            raise BundleError("the encoder's description is malformed")
        return cls(from_mapping(VectorSettings, settings, where="encoder", error=BundleError))

    def stats(self, history_TK: Any) -> None:
        """Nothing: the scale is the same for all."""

    def encode(self, values_TK: Any, stats: None = None) -> EncodedValues:
        """A sequence from its beginning on.

        Arguments:
            values_TK: NaN (or an infinity) where missing.
            stats: nothing.

        Raises:
            EncodingError: a kind that there is not.
        """
        values_TK = self.checked(values_TK)
        known_TK = ~np.isnan(values_TK)
        after_TD = self.features(values_TK)
        features_TD = np.concatenate((np.zeros_like(after_TD[:1]), after_TD[:-1]))
        return EncodedValues(
            features_TD[: len(values_TK)],
            values_TK / self.scale_K,
            known_TK.any(axis=1).astype(np.float32),
            self.log_jacobian(values_TK),
        )

    def paths(self, stats: None = None, copies: int = 1) -> VectorPaths:
        """Paths that have read nothing."""
        return VectorPaths(self, np.zeros((copies, self.feature_size), dtype=np.float32))

    def paths_after(self, values_TK: Any, stats: None = None) -> VectorPaths:
        """A path that has read values."""
        path = self.paths()
        if len(values_TK):
            path.push(np.asarray(values_TK)[-1:])
        return path

    def checked(self, values_BK: Any) -> Floats:
        """Values as float64, what is not finite as NaN.

        Raises:
            EncodingError: a kind that there is not.
        """
        values = np.array(values_BK, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.target_size:
            raise ValueError(f"values of shape {values.shape} for {self.target_size} targets")
        values[~np.isfinite(values)] = np.nan
        for place, size in enumerate(self.settings.kinds, len(self.settings.scale)):
            column_B = values[:, place]
            wrong_B = ~np.isnan(column_B) & ~np.isin(column_B, np.arange(size))
            if wrong_B.any():
                row = int(np.nonzero(wrong_B)[0][0])
                raise EncodingError(
                    f"{column_B[row]:g} is none of the kinds 0 to {size - 1}",
                    where=f"step {row + 1}",
                )
        return values

    def features(self, values_BK: Floats) -> Singles:
        """Features (B, D) of what follows values."""
        measured = len(self.settings.scale)
        scaled_BM = values_BK[:, :measured] / self.scale_K[:measured]
        parts = [np.nan_to_num(np.clip(scaled_BM, -FARTHEST, FARTHEST))]
        for place, size in enumerate(self.settings.kinds, measured):
            parts.append(values_BK[:, place, None] == np.arange(size))
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def log_jacobian(self, values_BK: Floats) -> Floats:
        """Log-Jacobians (B,) of values."""
        each_BK = np.where(np.isnan(values_BK), 0.0, -np.log(self.scale_K))
        return np.asarray(each_BK.sum(axis=1))


@dataclass
class VectorPaths:
    """Paths of vectors, each with the features of its last one.

    Arguments:
        encoder: the encoder.
        last_BD: features.
    """

    encoder: VectorEncoder
    last_BD: Singles

    def __len__(self) -> int:
        """B, the number of paths."""
        return len(self.last_BD)

    def features(self) -> Singles:
        """Features (B, D) before the next vector."""
        return self.last_BD

    def log_scale(self) -> Floats:
        """Zeros (B, K): no number is a count."""
        return np.zeros((len(self), self.encoder.target_size))

    def encode_next(self, values_BK: Any) -> tuple[Floats, Floats]:
        """Targets (B, K) and log-Jacobians (B,) of vectors, which are not read."""
        values = self.encoder.checked(values_BK)
        return values / self.encoder.scale_K, self.encoder.log_jacobian(values)

    def decode_next(self, targets_BK: Any) -> Floats:
        """Vectors (B, K) of targets; nothing is read."""
        return np.asarray(targets_BK, dtype=np.float64) * self.encoder.scale_K

    def push(self, values_BK: Any) -> None:
        """Read the next vector of every path."""
        self.last_BD = self.encoder.features(self.encoder.checked(values_BK))

    def select(self, rows_R: NDArray[np.int64]) -> VectorPaths:
        """Some of the paths, in that order; a row may occur twice."""
        return VectorPaths(self.encoder, self.last_BD[rows_R])

    @classmethod
    def join(cls, parts: Sequence[VectorPaths]) -> VectorPaths:
        """The paths of several, in order."""
        return cls(parts[0].encoder, np.concatenate([part.last_BD for part in parts]))
