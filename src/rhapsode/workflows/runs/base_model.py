"""Settings of a run that begins as a trained model: what the model decides, and what may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rhapsode.config import merge
from rhapsode.errors import SettingsError
from rhapsode.modalities.choose import AnyModality
from rhapsode.training.fine_tuning import BaseModel

__all__ = ["inherited"]


def inherited(asked: Mapping[str, Any], base: BaseModel, modality: AnyModality) -> dict[str, Any]:
    """The settings asked for, with all that the base model decides filled in from it.

    Arguments:
        asked: settings by name.
        base: decides network and encoding, and how it was fitted where nothing else is asked.
        modality: says what a model decides.

    Raises:
        SettingsError: something is asked for that the model decides otherwise.
    """
    decided = modality.decided(base.bundle)
    differing = list(_differences(asked, decided, modality))
    if differing:
        raise SettingsError(
            f"the model decides this: {', '.join(differing)}",
            where="--from",
            hint="leave it out, or train a new model without --from",
        )
    return merge(merge(modality.suggested(base.bundle), asked), decided)


def _differences(
    asked: Mapping[str, Any], decided: Mapping[str, Any], modality: AnyModality
) -> Iterator[str]:
    """What is asked for and differs, as "network.hidden_size is 512, not 64"."""
    for section, fixed in decided.items():
        wanted = asked.get(section)
        if wanted is None:
            continue
        if not isinstance(fixed, Mapping):
            if not modality.alike(section, wanted, fixed):
                yield f"{section} is {fixed}, not {wanted}"
            continue
        for name, value in wanted.items() if isinstance(wanted, Mapping) else ():
            has = fixed.get(name)
            if name not in fixed and section not in modality.decides_all_of:
                continue
            if not modality.alike(f"{section}.{name}", value, has):
                yield f"{section}.{name} is {'not set' if has is None else has}, not {value}"
