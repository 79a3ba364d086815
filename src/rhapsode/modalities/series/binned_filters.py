"""What is asked for of samplers, as a model of series takes it."""

from __future__ import annotations

from dataclasses import fields, replace

from rhapsode.config import SamplingSettings
from rhapsode.errors import SettingsError
from rhapsode.generation.chain import Chain, chain_of
from rhapsode.modalities.series.settings import ForecastSettings

__all__ = ["chain_of_bins"]


def chain_of_bins(settings: ForecastSettings, bins: int | None) -> Chain | None:
    """The filters between a model's bins and the draw; None for a density, which is not made of elements.

    Arguments:
        settings: what was asked for.
        bins: of the model; 0 or None where it has a density.

    Raises:
        SettingsError: a sampler that drops or weighs elements, for a density; or one that cannot be.
    """
    own = {field.name for field in fields(settings)}
    names = [field.name for field in fields(SamplingSettings) if field.name in own]
    sampling = SamplingSettings(**{name: getattr(settings, name) for name in names})
    plain = replace(SamplingSettings(), temperature=settings.temperature, explain=settings.explain)
    if any(settings.dry_breakers):
        raise SettingsError("numbers have no text that could end a run", where="dry_breakers")
    if bins:
        return chain_of(sampling, vocab_size=bins, suppressed=())
    for name in names:
        if getattr(sampling, name) != getattr(plain, name):
            raise SettingsError(
                "this model draws from a density, which only a temperature narrows or widens",
                where=name,
                hint="train with --encoding binned for samplers of elements",
            )
    return None
