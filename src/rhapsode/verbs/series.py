"""Classes of the Python API that belong to series."""

from rhapsode.modalities.series.model import SeriesForecast, SeriesModel

__all__ = ["SeriesForecast", "SeriesModel"]
