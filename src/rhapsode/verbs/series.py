"""Classes of the Python API that belong to series."""

from rhapsode.modalities.series.forecasting.series_forecast import SeriesForecast
from rhapsode.modalities.series.model import SeriesModel

__all__ = ["SeriesForecast", "SeriesModel"]
