"""Encoder of series: values to features and targets, and back.

Loaded on first use.
"""

from typing import TYPE_CHECKING

from rhapsode.late import late_names

if TYPE_CHECKING:
    from rhapsode.encoding.series.scaling import (
        BinSettings,
        SeriesStats,
        column_extent,
        column_scale,
        learn_bins,
    )
    from rhapsode.encoding.series.series_paths import SeriesPaths
    from rhapsode.encoding.series.values import SeriesEncoder, SeriesEncoderSettings

__all__ = [
    "BinSettings",
    "SeriesEncoder",
    "SeriesEncoderSettings",
    "SeriesPaths",
    "SeriesStats",
    "column_extent",
    "column_scale",
    "learn_bins",
]

_PLACES = {
    **dict.fromkeys(__all__, ".scaling"),
    **dict.fromkeys(("SeriesEncoder", "SeriesEncoderSettings"), ".values"),
    "SeriesPaths": ".series_paths",
}

__getattr__ = late_names(__name__, _PLACES)
