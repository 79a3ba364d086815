"""Numbers and kinds together: the contract of heads, frequencies of draws, recovery, missing parts."""

import math

import pytest
import torch
from torch import Tensor

from rhapsode.errors import SettingsError
from rhapsode.heads import Gaussian, GaussianConfig, Head, Joint, JointConfig
from tests.contracts.head_contract import ROWS, TIME, HeadContract, fit, mean_of, noise

FEATURES = 3
MIXTURE = {"numbers": "gaussian_mixture.v1", "settings": {"components": 2}}


def joint(**settings: object) -> Joint:
    head = Joint(JointConfig(FEATURES, target_size=4, kinds=(3, 2), **settings))  # type: ignore[arg-type]
    with torch.no_grad():
        for seed, parameter in enumerate(head.parameters()):
            parameter.add_(0.6 * noise(*parameter.shape, seed=20 + seed))
    return head


class TestJoint(HeadContract):
    feature_size = FEATURES

    def make(self) -> Joint:
        return joint()

    def outcomes(self) -> Tensor:
        return torch.tensor(
            [[-3.0, 0.2, 0, 1], [7.0, -0.5, 1, 0], [0.0, 0.0, 2, 1]], dtype=torch.float64
        )

    def uniforms(self, head: Head) -> Tensor:
        lane = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
        return torch.stack([lane.roll(shift) for shift in range(4)], dim=-1)

    def total_probability(self, head: Head, parameters: Tensor) -> Tensor:
        line = torch.linspace(-30, 30, 6001, dtype=torch.float64)
        total_BT = torch.zeros(parameters.shape[:2], dtype=torch.float64)
        for kind in range(3):
            for other in range(2):
                product_BT = torch.ones_like(total_BT)
                # The numbers one by one: the integral over one, the other missing.
                for place in range(2):
                    targets = torch.full((*parameters.shape[:2], len(line), 4), math.nan).double()
                    targets[..., place] = line
                    flat = targets.reshape(parameters.shape[0], -1, 4)
                    wide = parameters.repeat_interleave(len(line), dim=1)
                    density = head.log_prob(wide, flat).double().exp().reshape(targets.shape[:3])
                    product_BT *= density.sum(-1) * 0.01
                kinds = torch.full((*parameters.shape[:2], 4), math.nan).double()
                kinds[..., 2], kinds[..., 3] = kind, other
                total_BT += product_BT * head.log_prob(parameters, kinds).double().exp()
        return total_BT


@pytest.mark.parametrize("settings", [{}, MIXTURE])
def test_draws_have_the_frequencies_and_means_that_are_claimed(settings: dict[str, object]) -> None:
    head = joint(**settings)
    row_P = head(noise(1, 1, FEATURES, seed=1))[0, 0].detach()
    uniforms = torch.rand(20_000, 4, generator=torch.Generator().manual_seed(3)).double()
    drawn = head.sample(row_P.expand(20_000, -1), uniforms)
    error = 5 * drawn.std(0) / math.sqrt(20_000)
    assert ((drawn.mean(0) - mean_of(head, row_P)).abs() < error).all()
    for place, size in ((2, 3), (3, 2)):
        for kind in range(size):
            targets = torch.full((1, 1, 4), math.nan).double()
            targets[..., place] = kind
            claimed = float(head.log_prob(row_P.expand(1, 1, -1), targets).exp())
            assert float((drawn[:, place] == kind).double().mean()) == pytest.approx(
                claimed, abs=0.02
            )
    for level in (0.1, 0.5, 0.9):
        found = head.quantile(row_P, level)
        assert ((drawn <= found).double().mean(0) > level - 0.02).all()
        assert ((drawn < found).double().mean(0) < level + 0.02).all()
    greedy = head.sample(row_P.expand(50, -1), uniforms[:50], 0.0)
    assert (greedy == greedy[0]).all()


def test_parameters_are_recovered() -> None:
    torch.manual_seed(0)
    head, count = Joint(JointConfig(1, target_size=2, kinds=(2,))), 4000
    y_BTH = torch.randint(2, (1, count, 1)).float()
    random = torch.Generator().manual_seed(1)
    number = 2 * y_BTH[..., 0] + 0.5 * torch.randn(1, count, generator=random)
    kind = (torch.rand(1, count, generator=random) < 0.2 + 0.6 * y_BTH[..., 0]).float()
    fit(head, y_BTH, torch.stack((number, kind), -1))
    with torch.no_grad():
        means = mean_of(head, head(torch.tensor([[[0.0], [1.0]]])))[0]
    torch.testing.assert_close(
        means, torch.tensor([[0.0, 0.2], [2.0, 0.8]]).double(), atol=0.05, rtol=0
    )


def test_what_is_missing_adds_nothing_and_gradients_are_finite() -> None:
    head = joint()
    alone = Gaussian(GaussianConfig(FEATURES, target_size=2))
    alone.load_state_dict(head.numbers.state_dict())
    y_BTH = noise(ROWS, TIME, FEATURES, seed=1)
    targets = torch.full((ROWS, TIME, 4), math.nan).double()
    assert (head.log_prob(head(y_BTH), targets) == 0).all()
    targets[..., :2] = 0.3
    assert torch.equal(
        head.log_prob(head(y_BTH), targets), alone.log_prob(alone(y_BTH), targets[..., :2])
    )
    for extreme in (-1e4, 1e4):
        for target in (0.0, 1.0, 1e30, math.inf, -math.inf, math.nan):
            parameters = torch.full((ROWS, TIME, head.width), extreme)
            parameters[..., ::2] *= -1
            parameters.requires_grad_()
            value_BT = head.log_prob(parameters, torch.full((ROWS, TIME, 4), target))
            assert value_BT.isfinite().all()
            value_BT.mean().backward()
            assert parameters.grad is not None
            assert parameters.grad.isfinite().all()
    with pytest.raises(ValueError, match="targets a position"):
        head.log_prob(head(y_BTH), torch.zeros(ROWS, TIME, 3))


def test_numbers_are_scaled_and_kinds_are_not() -> None:
    head = joint()
    parameters = head(noise(ROWS, TIME, FEATURES, seed=1)).detach()
    targets = torch.tensor([0.5, -0.2, 2, 1]).expand(ROWS, TIME, 4).double()
    log_scale = torch.tensor([0.4, -0.3, 9.0, 9.0]).expand(ROWS, TIME, 4)
    there = targets * torch.tensor([0.4, -0.3, 0, 0]).double().exp()
    found = head.log_prob(head.scaled(parameters, log_scale), there)
    torch.testing.assert_close(found, head.log_prob(parameters, targets) - 0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_size": 1, "kinds": (2,)},
        {"numbers": "categorical.v1"},
        {"numbers": "poisson.v1"},
        {"settings": {"nothing": 1}},
    ],
)
def test_what_is_no_density_beside_kinds_is_refused(settings: dict[str, object]) -> None:
    asked: dict[str, object] = {"target_size": 3, "kinds": (2,), **settings}
    with pytest.raises(SettingsError):
        Joint(JointConfig(FEATURES, **asked))  # type: ignore[arg-type]
