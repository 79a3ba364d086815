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
    from rhapsode.encoding.series.values import SeriesEncoder, SeriesEncoderSettings, SeriesPaths

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

_VALUES = ("SeriesEncoder", "SeriesEncoderSettings", "SeriesPaths")

__getattr__ = late_names(
    __name__, {name: ".values" if name in _VALUES else ".scaling" for name in __all__}
)
