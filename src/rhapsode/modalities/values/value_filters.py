"""The filters between a model of values and the draw."""

from __future__ import annotations

from dataclasses import fields, replace

from rhapsode.config import SamplingSettings
from rhapsode.errors import SettingsError
from rhapsode.generation.chain import Chain, chain_of

__all__ = ["chain_of_values"]


def chain_of_values(sampling: SamplingSettings, bins: int | None) -> Chain | None:
    """The filters before a draw of bins; None for a density, which has no elements.

    Arguments:
        sampling: as asked for.
        bins: of the model; 0 or None where it has a density.

    Raises:
        SettingsError: a sampler that drops or weighs elements, for a density; or one that cannot be.
    """
    plain = replace(SamplingSettings(), temperature=sampling.temperature, explain=sampling.explain)
    if any(sampling.dry_breakers):
        raise SettingsError("numbers have no text that could end a run", where="dry_breakers")
    if bins:
        return chain_of(sampling, vocab_size=bins, suppressed=())
    for name in (field.name for field in fields(SamplingSettings)):
        if getattr(sampling, name) != getattr(plain, name):
            raise SettingsError(
                "this model draws from a density, which only a temperature narrows or widens",
                where=name,
                hint="train with --encoding binned for samplers of elements",
            )
    return None
