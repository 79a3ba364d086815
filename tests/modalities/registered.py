"""Modalities that are registered for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rhapsode.bundle import FACTS
from rhapsode.modalities import MODALITIES, MODELS, register


@contextmanager
def registered(name: str, **places: str) -> Iterator[None]:
    """Register a modality, and forget it behind the block."""
    registries: tuple[Any, ...] = (MODALITIES, FACTS, MODELS)
    before = [dict(registry._entries) for registry in registries]
    register(name, **places)
    try:
        yield
    finally:
        for registry, entries in zip(registries, before, strict=True):
            registry._entries.clear()
            registry._entries.update(entries)
