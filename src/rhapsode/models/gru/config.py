"""The gated recurrent unit: settings and plan defaults. No torch."""

from rhapsode.models.recurrent_config import GatedConfig, RecurrentFamily


class GRUFamily(RecurrentFamily):
    """The gated recurrent unit."""

    Config = GatedConfig
    network = "rhapsode.models.gru.network:GRU"
    cell = "gru"
    products = 3
    training_speed = 0.45
    remembers_documents = True
