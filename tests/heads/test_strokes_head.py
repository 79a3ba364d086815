"""Moves of a pen: the contract of heads, torch's own mixture as an oracle, recovery, missing parts, bias."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from rhapsode.heads import Head, Strokes, StrokesConfig
from tests.contracts.head_contract import ROWS, TIME, HeadContract, fit, mean_of, noise

FEATURES = 3


def strokes(components: int = 3, **settings: object) -> Strokes:
    """A head whose components are wide enough for a coarse grid."""
    head = Strokes(StrokesConfig(FEATURES, components=components, **settings))  # type: ignore[arg-type]
    with torch.no_grad():
        head.bias.copy_(0.6 * noise(head.width, seed=20))
        head.weight.copy_(0.3 * noise(head.width, FEATURES, seed=21))
        widths = slice(-3 * components, -components)
        head.bias[widths] *= 0.3
        head.weight[widths] *= 0.3
    return head


class TestStrokes(HeadContract):
    feature_size = FEATURES

    def make(self) -> Strokes:
        return strokes()

    def outcomes(self) -> Tensor:
        return torch.tensor([[-3.0, 0.2, 0], [7.0, -0.5, 1], [0.0, 0.0, 2]], dtype=torch.float64)

    def uniforms(self, head: Head) -> Tensor:
        lane = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
        return torch.stack([lane.roll(shift) for shift in range(3)], dim=-1)

    def total_probability(self, head: Head, parameters: Tensor) -> Tensor:
        line = torch.arange(-10, 10, 0.125, dtype=torch.float64)
        places = torch.cartesian_prod(line, line)
        total_BT = torch.zeros(parameters.shape[:2], dtype=torch.float64)
        for pen in range(3):
            targets = torch.cat((places, torch.full((len(places), 1), pen).double()), dim=1)
            for row in range(ROWS):
                for t in range(TIME):
                    own = parameters[row, t].expand(1, len(targets), -1)
                    density = head.log_prob(own, targets[None]).double().exp()
                    total_BT[row, t] += density.sum() * 0.125**2
        return total_BT


@pytest.mark.parametrize("by_pen", [True, False])
def test_it_is_the_mixture_that_torch_has(by_pen: bool) -> None:
    head = strokes(by_pen=by_pen)
    parameters = head(noise(ROWS, TIME, FEATURES, seed=1)).detach()
    targets = torch.cat(
        (2 * noise(ROWS, TIME, 2, seed=2), torch.arange(12).view(ROWS, TIME, 1) % 3), dim=-1
    )
    pen, weights, means, widths, correlations = torch.split(
        parameters.double(), [3, 9 if by_pen else 3, 6, 6, 3], dim=-1
    )
    x, y = widths.exp().chunk(2, dim=-1)
    off = correlations * x * y
    covariance = torch.stack((torch.stack((x**2, off), -1), torch.stack((off, y**2), -1)), -2)
    moves = MultivariateNormal(torch.stack(means.chunk(2, -1), -1), covariance)
    state = targets[..., 2].long()
    own = weights.unflatten(-1, (-1, 3)).expand(ROWS, TIME, 3, 3)
    own = own.gather(-2, state[..., None, None].expand(ROWS, TIME, 1, 3))[..., 0, :]
    mixture = MixtureSameFamily(Categorical(logits=own), moves)
    wanted = mixture.log_prob(targets[..., :2].double()) + Categorical(logits=pen).log_prob(state)
    torch.testing.assert_close(
        head.log_prob(parameters, targets), wanted.float(), rtol=1e-5, atol=1e-5
    )


def test_a_missing_part_is_summed_out() -> None:
    head = strokes()
    parameters = head(noise(ROWS, TIME, FEATURES, seed=1)).detach()
    targets = torch.cat((noise(ROWS, TIME, 2, seed=2), torch.zeros(ROWS, TIME, 1)), dim=-1)
    every = []
    for pen in range(3):
        targets[..., 2] = pen
        every.append(head.log_prob(parameters, targets))
    targets[..., 2] = math.nan
    torch.testing.assert_close(
        head.log_prob(parameters, targets), torch.stack(every).logsumexp(0), rtol=1e-5, atol=1e-5
    )
    targets[..., 0] = math.nan
    assert (head.log_prob(parameters, targets) == 0).all()
    targets[..., 2] = 1
    torch.testing.assert_close(
        head.log_prob(parameters, targets), parameters[..., :3].log_softmax(-1)[..., 1]
    )


def test_draws_have_the_moments_and_frequencies_that_are_claimed() -> None:
    head, count = strokes(), 20_000
    row_P = head(noise(1, 1, FEATURES, seed=1))[0, 0].detach()
    uniforms = torch.rand(count, 3, generator=torch.Generator().manual_seed(3)).double()
    drawn = head.sample(row_P.expand(count, -1), uniforms)
    error = 5 * drawn.std(0) / math.sqrt(count)
    assert ((drawn.mean(0) - mean_of(head, row_P)).abs() < error).all()
    # The components of each state of the pen are its own.
    for pen in range(3):
        some = drawn[:, 2] == pen
        log_pen = row_P[:3].log_softmax(-1)
        assert float(some.double().mean()) == pytest.approx(float(log_pen[pen].exp()), abs=0.02)
        weights = row_P[3:12].view(3, 3)[pen].softmax(-1)
        mean = (weights * row_P[12:15]).sum()
        assert float(drawn[some, 0].mean()) == pytest.approx(float(mean), abs=0.15)
    # Entropy of the draws is the mean cost of them.
    other = head.sample(row_P.expand(count, -1), uniforms.flip(0))
    costs = [
        -head.log_prob(row_P.expand(1, count, -1), each[None]).mean() for each in (drawn, other)
    ]
    torch.testing.assert_close(costs[0], costs[1], rtol=0.02, atol=0.02)
    greedy = head.sample(row_P.expand(50, -1), uniforms[:50], 0.0)
    assert (greedy == greedy[0]).all()


def test_temperature_multiplies_variances_and_bias_divides_deviations() -> None:
    head = strokes(components=1)
    row_P = head(noise(1, 1, FEATURES, seed=1))[0, 0].detach()
    uniforms = torch.rand(5_000, 3, generator=torch.Generator().manual_seed(3)).double()
    plain, hot = (head.sample(row_P.expand(5_000, -1), uniforms, t)[:, :2] for t in (1.0, 4.0))
    torch.testing.assert_close(hot.std(0), 2 * plain.std(0))
    biased = head.sample(head.biased(row_P, math.log(3)).expand(5_000, -1), uniforms)[:, :2]
    torch.testing.assert_close(biased.std(0), plain.std(0) / 3, rtol=1e-4, atol=0)
    torch.testing.assert_close(biased.mean(0), plain.mean(0), atol=0.1, rtol=0)
    assert head.biased(row_P, 0.0).equal(row_P)


def test_known_parameters_are_recovered() -> None:
    torch.manual_seed(0)
    head, count = Strokes(StrokesConfig(1, components=2)), 4_000
    lifted = torch.rand(1, count) < 0.3
    normal = torch.randn(1, count, 2)
    x = torch.where(lifted, 3.0, -1.0) + 0.5 * normal[..., 0]
    y = 0.2 * (0.8 * normal[..., 0] + 0.6 * normal[..., 1])
    targets, features = torch.stack((x, y, lifted.float()), dim=-1), torch.zeros(1, count, 1)
    fit(head, features, targets, steps=250)
    # A component for each state of the pen: the cost is the entropy of what was drawn.
    entropy = 0.611 + math.log(2 * math.pi * math.e) + math.log(0.5 * 0.2 * 0.6)
    with torch.no_grad():
        loss = float(head.loss(head(features), targets).mean())
    assert loss == pytest.approx(entropy, abs=0.03)
    row_P = head(features[:, :1])[0, 0].detach()
    torch.testing.assert_close(row_P[-2:], torch.full((2,), 0.8), atol=0.04, rtol=0)
    assert sorted(row_P[9:11].tolist()) == pytest.approx([-1.0, 3.0], abs=0.05)


def test_extremes_give_finite_gradients() -> None:
    head = strokes()
    for extreme in (-1e4, 1e4):
        for target in (0.0, 1.0, 1e30, math.inf, -math.inf, math.nan):
            parameters = torch.full((ROWS, TIME, head.width), extreme)
            parameters[..., ::2] *= -1
            parameters.requires_grad_()
            value_BT = head.log_prob(parameters, torch.full((ROWS, TIME, 3), target))
            assert value_BT.isfinite().all()
            value_BT.mean().backward()
            assert parameters.grad is not None
            assert parameters.grad.isfinite().all()


def test_no_component_is_narrower_than_the_grid() -> None:
    head = strokes(least_scale=0.25)
    with torch.no_grad():
        head.bias[-9:-3] = -50.0
    widths = head(noise(ROWS, TIME, FEATURES, seed=1))[..., -9:-3]
    assert (widths >= math.log(0.25) - 1e-6).all()
    row_P = head(noise(1, 1, FEATURES, seed=1))[0, 0].detach()
    for level in (0.1, 0.5, 0.9):
        found = head.quantile(row_P, level)
        assert found.shape == (3,)
        scaled = head.scaled(row_P, torch.tensor([math.log(2), math.log(3), 0.0]))
        torch.testing.assert_close(
            head.quantile(scaled, level), found * torch.tensor([2.0, 3.0, 1.0]).double(),
            rtol=1e-5, atol=1e-5,
        )  # fmt: skip
