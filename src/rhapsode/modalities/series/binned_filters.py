"""What is asked for of samplers, as a model of series takes it."""

from __future__ import annotations

from dataclasses import fields

from rhapsode.config import SamplingSettings
from rhapsode.generation.chain import Chain
from rhapsode.modalities.series.settings import ForecastSettings
from rhapsode.modalities.values.value_filters import chain_of_values

__all__ = ["chain_of_bins"]


def chain_of_bins(settings: ForecastSettings, bins: int | None) -> Chain | None:
    """The filters that settings of a forecast ask for; see `chain_of_values`."""
    own = {field.name for field in fields(settings)}
    names = [field.name for field in fields(SamplingSettings) if field.name in own]
    sampling = SamplingSettings(**{name: getattr(settings, name) for name in names})
    return chain_of_values(sampling, bins)
