"""The LSTM: the contracts of a model and of a recurrent family, the names of its gates."""

from typing import ClassVar

import torch
from torch import nn

from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from tests.models.recurrent_contract import GatedContract


class TestLSTM(GatedContract):
    family = LSTM
    theirs = nn.LSTM
    keeps = 1
    writes = 0
    configurations: ClassVar = {
        "one layer": GatedConfig(input_size=4, hidden_size=5),
        "two layers": GatedConfig(input_size=3, hidden_size=4, num_layers=2),
        "three layers": GatedConfig(input_size=5, hidden_size=3, num_layers=3),
    }

    def test_the_gates_make_the_cell_and_the_hidden_values(self, config: GatedConfig) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, "ragged")
        found = model.probe(x_BTD, state)
        assert len(found) == 6 * config.num_layers
        for layer in range(config.num_layers):
            gate = {
                name.partition(".")[2]: value
                for name, value in found.items()
                if name.startswith(f"layer{layer}.")
            }
            before_BTH = torch.cat((state.c_BLH[:, layer, None], gate["cell"][:, :-1]), dim=1)
            cell_BTH = gate["forget_gate"] * before_BTH + gate["input_gate"] * gate["cell_gate"]
            torch.testing.assert_close(gate["cell"], cell_BTH)
            torch.testing.assert_close(gate["hidden"], gate["output_gate"] * cell_BTH.tanh())
