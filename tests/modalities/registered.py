"""Modalities that are registered for the length of a block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rhapsode.bundle import FACTS
from rhapsode.heads import HEADS
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.registry import register


@contextmanager
def registered(
    name: str, *, modality: str, facts: str, heads: Mapping[str, type[Any]] | None = None
) -> Iterator[None]:
    """Register a modality with heads of its own, and forget all of them behind the block."""
    registries: tuple[Any, ...] = (MODALITIES, FACTS, HEADS)
    before = [dict(registry._entries) for registry in registries]
    register(name, modality=modality, facts=facts)
    for head, cls in (heads or {}).items():
        HEADS.register(head)(cls)
    try:
        yield
    finally:
        for registry, entries in zip(registries, before, strict=True):
            registry._entries.clear()
            registry._entries.update(entries)
