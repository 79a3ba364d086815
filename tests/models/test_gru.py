"""The GRU: the contracts of a model and of a recurrent family."""

from typing import ClassVar

from torch import nn

from rhapsode.models.gru.network import GRU
from rhapsode.models.recurrent_config import GatedConfig
from tests.models.recurrent_contract import GatedContract


class TestGRU(GatedContract):
    family = GRU
    theirs = nn.GRU
    keeps = 1
    writes = None
    configurations: ClassVar = {
        "one layer": GatedConfig(input_size=4, hidden_size=5),
        "three layers": GatedConfig(input_size=3, hidden_size=4, num_layers=3),
    }
