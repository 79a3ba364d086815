"""The GRU: the contracts of a model and of a recurrent family."""

from typing import ClassVar

from torch import nn

from rhapsode.models import GRU, GRUConfig
from tests.models.recurrent_contract import GatedContract


class TestGRU(GatedContract):
    family = GRU
    theirs = nn.GRU
    keeps = 1
    writes = None
    configurations: ClassVar = {
        "one layer": GRUConfig(input_size=4, hidden_size=5),
        "three layers": GRUConfig(input_size=3, hidden_size=4, num_layers=3),
    }
