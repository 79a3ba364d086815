"""The average of the weights is its formula, and lending it leaves the fitted weights as they were."""

import copy

import pytest
import torch

from rhapsode.bundle.network import Network, build_network
from rhapsode.config import from_mapping
from rhapsode.modalities.ids.components import network_config
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.training.optimiser import WeightAverage


def network() -> Network:
    settings = from_mapping(
        TrainSettings,
        {"model": "lstm.v1", "network": {"embedding_size": 3, "hidden_size": 4}},
        where="test",
    )
    torch.manual_seed(0)
    return build_network(network_config(settings, 5))


def moved(fitted: Network) -> list[torch.Tensor]:
    with torch.no_grad():
        for parameter in fitted.parameters():
            parameter.add_(torch.randn_like(parameter))
    return [p.detach().clone() for p in fitted.parameters()]


def test_the_average_is_its_formula():
    fitted = network()
    expected = [p.detach().clone().double() for p in fitted.parameters()]
    average = WeightAverage(fitted, 0.9)
    for step in range(1, 120):
        weights = moved(fitted)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [
            decay * mean + (1 - decay) * own.double()
            for mean, own in zip(expected, weights, strict=True)
        ]
    with average.in_place():
        for parameter, mean in zip(fitted.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.double(), mean, rtol=1e-5, atol=1e-5)
    for parameter, own in zip(fitted.parameters(), weights, strict=True):
        assert torch.equal(parameter, own)


def test_the_weights_come_back_behind_an_error():
    fitted = network()
    average = WeightAverage(fitted, 0.5)
    weights = moved(fitted)

    def fail() -> None:
        with average.in_place():
            assert not torch.equal(next(fitted.parameters()), weights[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(next(fitted.parameters()), weights[0])


def test_a_kept_average_goes_on():
    fitted = network()
    average = WeightAverage(fitted, 0.9)
    moved(fitted)
    average.update(1)
    twin = copy.deepcopy(fitted)
    again = WeightAverage(twin, 0.9)
    again.load({name: tensor.clone() for name, tensor in average.tensors().items()})
    for one in (average, again):
        one.update(2)
    for name, tensor in average.tensors().items():
        assert torch.equal(tensor, again.tensors()[name])


def test_no_average_is_the_network_itself():
    fitted = network()
    average = WeightAverage(fitted, 0.0)
    weights = moved(fitted)
    average.update(1)
    assert average.tensors() == {}
    with average.in_place():
        assert torch.equal(next(fitted.parameters()), weights[0])
