"""The gated recurrent unit: settings, plan defaults, engine form. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from rhapsode.models.recurrent_config import GatedConfig, RecurrentFamily


@dataclass(frozen=True)
class GRUConfig(GatedConfig):
    """Settings of `gru.v1`."""


class GRUFamily(RecurrentFamily):
    """The gated recurrent unit."""

    name = "gru.v1"
    Config = GRUConfig
    network = "rhapsode.models.gru.network:GRU"
    cell = "gru"
    products = 3
    training_rate = 0.45
    remembers_documents = True
