"""Modalities and heads that are registered for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rhapsode.bundle import FACTS
from rhapsode.heads import HEADS
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.registry import register

REGISTRIES: tuple[Any, ...] = (MODALITIES, FACTS, HEADS)


@contextmanager
def registered(name: str, *, modality: str, facts: str) -> Iterator[None]:
    """Register a modality, and forget it and what it registered itself."""
    before = [dict(registry._entries) for registry in REGISTRIES]
    if name not in MODALITIES.names():
        register(name, modality=modality, facts=facts)
    try:
        yield
    finally:
        for registry, entries in zip(REGISTRIES, before, strict=True):
            registry._entries.clear()
            registry._entries.update(entries)
