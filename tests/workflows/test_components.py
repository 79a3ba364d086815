"""Settings that were asked for win over planned ones, and what no longer fits them goes."""

from typing import Any

import pytest

from rhapsode.config import from_mapping
from rhapsode.modalities.contract import resolved
from rhapsode.modalities.ids.components import network_config, own_network
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.training import PlannedSettings

TIED: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 1,
    "dropout": 0.2,
    "input_dropout": 0.1,
    "tied": True,
}
FREE: dict[str, Any] = {"embedding_size": 4, "hidden_size": 8, "num_layers": 1, "dropout": 0.2}
REST = {"num_layers": 1, "dropout": 0.2}


@pytest.mark.parametrize(
    ("planned", "asked", "found"),
    [
        (TIED, {}, TIED),
        (TIED, {"hidden_size": 6}, {**TIED, "embedding_size": 6, "hidden_size": 6}),
        (TIED, {"embedding_size": 6}, {**TIED, "embedding_size": 6, "hidden_size": 6}),
        (TIED, {"embedding_size": 6, "hidden_size": 6}, {**TIED, "embedding_size": 6, "hidden_size": 6}),
        (
            TIED,
            {"embedding_size": 6, "hidden_size": 5},
            {**REST, "input_dropout": 0.1, "embedding_size": 6, "hidden_size": 5},
        ),
        (TIED, {"tied": False, "hidden_size": 6}, {**TIED, "tied": False, "hidden_size": 6}),
        (TIED, {"input": "onehot"}, {**REST, "input": "onehot", "hidden_size": 8}),
        (FREE, {"tied": True}, {**FREE, "tied": True, "embedding_size": 8}),
        (FREE, {"tied": True, "hidden_size": 5}, {**REST, "tied": True, "embedding_size": 5, "hidden_size": 5}),
        (FREE, {"hidden_size": 5}, {**FREE, "hidden_size": 5}),
    ],
)  # fmt: skip
def test_what_is_planned_follows_what_is_asked(
    planned: dict[str, Any], asked: dict[str, Any], found: dict[str, Any]
):
    rates = {"batch_size": 4, "window": 8, "learning_rate": 1e-3, "averaging": 0.0}
    settings = resolved(
        from_mapping(TrainSettings, {"network": asked, "steps": 1}, where="test"),
        PlannedSettings(planned, rates, ()),
        fixed={},
        network=own_network(planned, asked),
    )
    assert settings.network == found
    config = network_config(settings, 5)
    assert config.head.settings.get("tied", False) == bool(found.get("tied"))
