"""The encoder of series: values to features and targets, and back. Loaded when it is asked for."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rhapsode.encoding.series.scaling import BinSettings, SeriesStats, column_scale, learn_bins
    from rhapsode.encoding.series.values import SeriesEncoder, SeriesEncoderSettings, SeriesPaths

__all__ = [
    "BinSettings",
    "SeriesEncoder",
    "SeriesEncoderSettings",
    "SeriesPaths",
    "SeriesStats",
    "column_scale",
    "learn_bins",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = "values" if name.startswith("Series") and name != "SeriesStats" else "scaling"
    return getattr(importlib.import_module(f"{__name__}.{place}"), name)
