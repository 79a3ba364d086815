"""Input modules: the features they give for ids and values, their precision, the dropout of the table."""

import pytest
import torch

from rhapsode.models import INPUTS
from rhapsode.models.inputs import (
    AdaptiveTable,
    AdaptiveTableConfig,
    Linear,
    LinearConfig,
    OneHot,
    OneHotConfig,
    Table,
    TableConfig,
    Values,
    ValuesConfig,
)
from tests.contracts.model_contract import noise

IDS_BT = torch.tensor([[3, 0, 1, 3], [2, 2, 4, 0]])


def test_every_input_module_says_how_wide_its_features_are() -> None:
    sizes = {"vocab_size": 5, "embedding_size": 3, "shortlist": 2, "tail_size": 1}
    made = {
        "adaptive_table.v1": (AdaptiveTable(AdaptiveTableConfig(**sizes)), IDS_BT),
        "table.v1": (Table(TableConfig(vocab_size=5, embedding_size=3)), IDS_BT),
        "onehot.v1": (OneHot(OneHotConfig(vocab_size=5)), IDS_BT),
        "linear.v1": (
            Linear(LinearConfig(value_size=2, embedding_size=7)),
            noise(2, 4, 2, seed=1, dtype=torch.float32),
        ),
        "values.v1": (Values(ValuesConfig(value_size=2)), noise(2, 4, 2, seed=1)),
    }
    assert sorted(made) == INPUTS.names()
    for name, (module, inputs) in made.items():
        assert isinstance(module, INPUTS.get(name))
        assert module(inputs).shape == (2, 4, module.output_size)


def test_a_table_gives_the_row_of_each_id() -> None:
    table = Table(TableConfig(vocab_size=5, embedding_size=3))
    x_BTD = table(IDS_BT)
    for row, ids_T in enumerate(IDS_BT.tolist()):
        for t, element in enumerate(ids_T):
            assert torch.equal(x_BTD[row, t], table.weight[element])


def test_a_table_starts_with_the_deviation_it_is_told() -> None:
    torch.manual_seed(0)
    table = Table(TableConfig(vocab_size=100, embedding_size=50, init_std=0.02))
    assert table.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_dropout_of_a_table_is_one_mask_over_a_window_in_training_only() -> None:
    torch.manual_seed(0)
    table = Table(TableConfig(vocab_size=5, embedding_size=200, dropout=0.25))
    plain_BTD = torch.nn.functional.embedding(IDS_BT, table.weight)
    assert torch.equal(table.eval()(IDS_BT), plain_BTD)
    factor_BTD = table.train()(IDS_BT) / plain_BTD
    torch.testing.assert_close(factor_BTD, factor_BTD[:, :1].expand_as(factor_BTD))
    kept_BD = factor_BTD[:, 0] > 0
    torch.testing.assert_close(factor_BTD[:, 0], kept_BD.float() / 0.75)
    assert kept_BD.float().mean().item() == pytest.approx(0.75, abs=0.1)
    assert not torch.equal(kept_BD[0], kept_BD[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_hot_gives_unit_vectors_in_the_precision_of_the_network(dtype: torch.dtype) -> None:
    module = OneHot(OneHotConfig(vocab_size=5)).to(dtype)
    x_BTV = module(IDS_BT)
    assert x_BTV.dtype == dtype
    assert torch.equal(x_BTV.argmax(-1), IDS_BT)
    assert torch.equal(x_BTV.sum(-1), torch.ones(2, 4, dtype=dtype))
    assert torch.equal(x_BTV.amax(-1), torch.ones(2, 4, dtype=dtype))
    assert not module.state_dict()


def test_linear_is_an_affine_map_of_every_observation() -> None:
    module = Linear(LinearConfig(value_size=2, embedding_size=3))
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]))
        module.bias.copy_(torch.tensor([0.0, 10.0, -1.0]))
    x_BTD = module(torch.tensor([[[1.0, 1.0], [2.0, -2.0]]]))
    assert x_BTD.tolist() == [[[3.0, 9.0, 2.5], [-2.0, 12.0, 4.0]]]
