"""The encoder of series: values to features and targets, and back."""

from rhapsode.encoding.series.scaling import BinSettings, SeriesStats, column_scale, learn_bins
from rhapsode.encoding.series.values import (
    SeriesEncoder,
    SeriesEncoderSettings,
    SeriesPaths,
)

__all__ = [
    "BinSettings",
    "SeriesEncoder",
    "SeriesEncoderSettings",
    "SeriesPaths",
    "SeriesStats",
    "column_scale",
    "learn_bins",
]
