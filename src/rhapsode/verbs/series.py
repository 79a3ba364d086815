"""Classes of the Python API that belong to series."""

from rhapsode.modalities.series.model import SeriesModel
from rhapsode.modalities.series.series_forecast import SeriesForecast

__all__ = ["SeriesForecast", "SeriesModel"]
