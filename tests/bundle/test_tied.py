"""A tied head: one table reads elements and predicts them, in training, in the file and behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rhapsode.bundle import read_bundle
from rhapsode.bundle.network import Network, build_network, load_network
from rhapsode.config import from_mapping
from rhapsode.errors import SettingsError
from rhapsode.modalities.ids.components import network_config
from rhapsode.modalities.text.model import TextModel
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.workflows.runs.run import train


def network(**settings: Any) -> Network:
    asked = from_mapping(TrainSettings, {"model": "lstm.v1", "network": settings}, where="test")
    torch.manual_seed(0)
    return build_network(network_config(asked, 7))


def test_it_is_one_parameter_that_learns_from_both_its_uses():
    tied = network(embedding_size=6, hidden_size=6, tied=True)
    free = network(embedding_size=6, hidden_size=6)
    assert tied.input.weight is tied.head.weight
    assert free.parameter_count() - tied.parameter_count() == 7 * 6
    free.load_state_dict(tied.state_dict())
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    for one in (tied, free):
        logits, _ = one(ids)
        logits.logsumexp(-1).sum().backward()
    whole = free.input.weight.grad + free.head.weight.grad
    torch.testing.assert_close(tied.head.weight.grad, whole)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"embedding_size": 5, "hidden_size": 6}, "embedding_size 6"),
        ({"input": "onehot", "hidden_size": 6}, "needs a table"),
        ({"input": "onehot", "hidden_size": 6, "shortlist": 3}, "needs a table"),
        ({"embedding_size": 6, "hidden_size": 6, "shortlist": -1}, "at least 0"),
        ({"embedding_size": 6, "hidden_size": 6, "tail_size": "8"}, "at least 1"),
    ],
)
def test_what_cannot_be_tied_is_refused(settings: dict[str, Any], told: str):
    with pytest.raises(SettingsError, match=told):
        network(tied=True, **settings)


@pytest.mark.parametrize("tail", [{}, {"shortlist": 16, "tail_size": 4}])
def test_it_stays_tied_in_the_file_and_goes_on_from_it(
    prose: str, tmp_path: Path, tail: dict[str, int]
):
    source = tmp_path / "prose.txt"
    source.write_text(prose[:3000], encoding="utf-8")
    small: dict[str, Any] = {"embedding_size": 8, "hidden_size": 8, "tied": True, **tail}
    run = train(str(source), output=str(tmp_path / "run"), steps=4, network=small)
    bundle = read_bundle(run.path)
    names = ("weight", "tail_weight", "project") if tail else ("weight",)
    for name in names:
        assert np.array_equal(bundle.arrays[f"input.{name}"], bundle.arrays[f"head.{name}"])
    opened = load_network(bundle)
    assert opened.input.weight is opened.head.weight
    one = run.generate("The", length=20, seed=1, engine="compiled")
    assert one == run.generate("The", length=20, seed=1, engine="torch")
    more = train(str(source), output=str(tmp_path / "more"), steps=4, base=run.path)
    after = TextModel(more.path).bundle
    for name in names:
        assert np.array_equal(after.arrays[f"input.{name}"], after.arrays[f"head.{name}"])
        assert not np.array_equal(after.arrays[f"head.{name}"], bundle.arrays[f"head.{name}"])
