"""Settings that are texts, with the escapes of a shell."""

import dataclasses
from typing import Any, TypeVar

import rhapsode as rh

S = TypeVar("S")

# Settings that are texts as they are written.
TEXTS = ("stop", "ban", "bias", "prefix", "dry_breakers", "penalty_spare")


def read_texts(model: "rh.Model[Any]", settings: S) -> S:
    """Settings with the escapes of their texts read; see `Model.typed`."""
    read: dict[str, Any] = {}
    for name in TEXTS:
        value = getattr(settings, name)
        read[name] = (
            model.typed(value) if isinstance(value, str) else tuple(map(model.typed, value))
        )
    return dataclasses.replace(settings, **read)  # type: ignore[type-var]
