"""What every head proves: a density that is one in total, log-probabilities in float32 and in the data's units, draws by
inversion that follow the density, and the recovery of known parameters from data.

A head claims the contract with a subclass that makes one and says which targets there are::

    class TestCategorical(HeadContract):
        feature_size = 3

        def make(self): ...
        def outcomes(self): ...

The suite is for heads over finitely many outcomes. `DensityContract` below is for heads over numbers: the total is an
integral or a long sum, draws follow the cumulative distribution, and nothing that a target or a parameter can be gives
a gradient that is not finite.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from rhapsode.heads import DensityHead, Head, tail_probabilities

ROWS = 3
TIME = 4


def noise(*shape: int, seed: int) -> Tensor:
    """Standard normal values that depend on nothing but the seed and the shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fit(head: Head, y_BTH: Tensor, targets: Tensor, steps: int = 300) -> None:
    """Make the head's loss on the targets small by full-batch steps."""
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        head.loss(head(y_BTH), targets).mean().backward()
        optimiser.step()
        schedule.step()


def mean_of(head: DensityHead, parameters: Tensor, points: int = 4001) -> Tensor:
    """Expected values (..., K) of parameters (..., P): the mean of evenly spaced quantiles."""
    levels = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    levels = levels.view(-1, *[1] * parameters.ndim)
    return head.quantile(parameters.expand(points, *parameters.shape), levels).mean(0)


class HeadContract(ABC):
    """The suite."""

    feature_size: ClassVar[int]

    @abstractmethod
    def make(self) -> Head:
        """A head with seeded weights."""

    @abstractmethod
    def outcomes(self) -> Tensor:
        """Every value that one target may have, outcomes first."""

    def total_probability(self, head: Head, parameters: Tensor) -> Tensor:
        """The sum of the density over all outcomes at every position, (B, T)."""
        batch, time = parameters.shape[:2]
        total_BT = torch.zeros(batch, time, dtype=torch.float64)
        for outcome in self.outcomes():
            targets = outcome.expand(batch, time, *outcome.shape)
            total_BT += head.log_prob(parameters, targets).double().exp()
        return total_BT

    def features(self, dtype: torch.dtype = torch.float32) -> Tensor:
        return noise(ROWS, TIME, self.feature_size, seed=1).to(dtype)

    def targets(self) -> Tensor:
        outcomes = self.outcomes()
        chosen_BT = torch.randint(
            len(outcomes), (ROWS, TIME), generator=torch.Generator().manual_seed(2)
        )
        return outcomes[chosen_BT]

    def uniforms(self, head: Head) -> Tensor:
        """Uniforms of one draw of every row."""
        return torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)

    def test_the_density_is_one_in_total(self) -> None:
        head = self.make()
        total_BT = self.total_probability(head, head(self.features()))
        torch.testing.assert_close(total_BT, torch.ones_like(total_BT), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_log_probabilities_are_float32_whatever_the_features(self, dtype: torch.dtype) -> None:
        head = self.make().to(dtype)
        log_prob_BT = head.log_prob(head(self.features(dtype)), self.targets())
        assert log_prob_BT.shape == (ROWS, TIME)
        assert log_prob_BT.dtype == torch.float32
        assert log_prob_BT.isfinite().all()

    def test_a_change_of_units_is_added(self) -> None:
        head, jacobian_BT = self.make(), noise(ROWS, TIME, seed=3)
        parameters, targets = head(self.features()), self.targets()
        assert torch.equal(
            head.log_prob(parameters, targets, jacobian_BT),
            head.log_prob(parameters, targets) + jacobian_BT,
        )

    def test_positions_do_not_depend_on_one_another(self) -> None:
        head = self.make()
        y_BTH, targets = self.features(), self.targets()
        log_prob_BT = head.log_prob(head(y_BTH), targets)
        for row in range(ROWS):
            for t in range(TIME):
                here = (slice(row, row + 1), slice(t, t + 1))
                alone_BT = head.log_prob(head(y_BTH[here]), targets[here])
                torch.testing.assert_close(alone_BT, log_prob_BT[here])

    @pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 3.0])
    def test_a_draw_depends_on_its_own_row_and_uniform_only(self, temperature: float) -> None:
        head = self.make()
        parameters = head(self.features())[:, 0].detach()
        kept = parameters.clone()
        uniforms_B = self.uniforms(head)
        drawn = head.sample(parameters, uniforms_B, temperature)
        assert torch.equal(parameters, kept)
        assert drawn.shape == self.outcomes()[0].expand(ROWS, *self.outcomes()[0].shape).shape
        assert drawn.dtype == self.outcomes().dtype
        for row in range(ROWS):
            alone = head.sample(parameters[row : row + 1], uniforms_B[row : row + 1], temperature)
            assert torch.equal(alone[0], drawn[row])

    @pytest.mark.parametrize("temperature", [-1.0, -1e-9])
    def test_a_negative_temperature_is_refused(self, temperature: float) -> None:
        head = self.make()
        with pytest.raises(ValueError, match="negative"):
            head.sample(head(self.features())[:, 0], torch.full((ROWS,), 0.5), temperature)


class DensityContract(HeadContract):
    """The suite of heads over K numbers; `K` is 1 unless a subclass makes it more."""

    K: ClassVar[int] = 1

    @abstractmethod
    def make(self) -> DensityHead:
        """A head with seeded weights."""

    @abstractmethod
    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Points of one target and what each weighs in an integral over it, (N, ...) both; parameters are (..., P)."""

    def outcomes(self) -> Tensor:
        rows = torch.tensor([-3.0, -0.5, 0.0, 0.2, 7.0], dtype=torch.float64)
        return torch.stack([rows.roll(shift) for shift in range(self.K)], dim=-1)

    def uniforms(self, head: Head) -> Tensor:
        assert isinstance(head, DensityHead)
        lane = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
        return torch.stack([lane.roll(shift) for shift in range(head.target_size)], dim=-1)

    def masses(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, B, T) and the probability that each stands for."""
        points, weights = self.support(head, parameters)
        many, time = points.shape[0] * parameters.shape[0], parameters.shape[1]
        everywhere = parameters.expand(len(points), *parameters.shape).reshape(many, time, -1)
        log_prob = head.log_prob(everywhere, points.reshape(many, time)).view_as(points)
        return points, log_prob.double().exp() * weights

    def one_target(self) -> DensityHead:
        """A head of this kind for one target; needed where `make` gives one for more."""
        return self.make()

    def singles(self, head: DensityHead, parameters: Tensor) -> list[tuple[DensityHead, Tensor]]:
        """What the head says of each target alone: a head for one target and its parameters."""
        if head.target_size == 1:
            return [(head, parameters)]
        return [(self.one_target(), part) for part in parameters.chunk(head.target_size, dim=-1)]

    def total_probability(self, head: Head, parameters: Tensor) -> Tensor:
        assert isinstance(head, DensityHead)
        total_BT = torch.ones(parameters.shape[:2], dtype=torch.float64)
        for one, part in self.singles(head, parameters):
            total_BT *= self.masses(one, part)[1].sum(0)
        return total_BT

    def test_targets_are_independent_given_the_features(self) -> None:
        head = self.make()
        parameters, targets = self.at(head), self.targets()
        apart = [
            one.log_prob(part, x[..., None])
            for (one, part), x in zip(
                self.singles(head, parameters), targets.unbind(-1), strict=True
            )
        ]
        torch.testing.assert_close(head.log_prob(parameters, targets), sum(apart))

    def at(self, head: DensityHead) -> Tensor:
        return head(self.features()).detach()

    def test_draws_follow_the_density(self) -> None:
        head = self.make()
        count = 4000
        uniforms_N = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        for one, parameters in self.singles(head, self.at(head)):
            points, masses = self.masses(one, parameters)
            for row in range(ROWS):
                drawn_N = one.sample(parameters[row, :1].expand(count, -1), uniforms_N)[:, 0]
                x, mass = points[:, row, 0].contiguous(), masses[:, row, 0]
                below = torch.searchsorted(drawn_N.sort().values, x, right=True) / count
                # On the line a point stands for half of its mass on either side.
                upto = mass.cumsum(0) - (0 if head.counts else mass / 2)
                assert (below - upto).abs().max() < 1.5 / count + 1e-3

    def test_draws_rise_with_the_uniform(self) -> None:
        head = self.make()
        uniforms_N = torch.linspace(0, 1 - 1e-12, 501, dtype=torch.float64)
        for parameters in self.at(head)[:, 0]:
            drawn = head.quantile(parameters.expand(501, -1), uniforms_N[:, None])
            assert (drawn.diff(dim=0) >= 0).all()
            assert drawn.isfinite().all()

    def test_random_draws_have_the_mean_of_the_quantiles(self) -> None:
        head = self.make()
        parameters, count = self.at(head)[:, 0], 20_000
        uniforms = torch.rand(
            (count, head.target_size),
            dtype=torch.float64,
            generator=torch.Generator().manual_seed(5),
        )
        for row_P, mean_K in zip(parameters, mean_of(head, parameters), strict=True):
            drawn_NK = head.sample(row_P.expand(count, -1), uniforms)
            error_K = 5 * drawn_NK.std(0) / math.sqrt(count)
            assert ((drawn_NK.mean(0) - mean_K).abs() < error_K).all()

    def test_temperature_narrows_and_widens_around_one_value(self) -> None:
        head = self.make()
        parameters = self.at(head)[0, :1].expand(999, -1)
        uniforms = ((torch.arange(999, dtype=torch.float64) + 0.5) / 999)[:, None]
        uniforms = uniforms.expand(-1, head.target_size)
        none, low, full, high = (
            head.sample(parameters, uniforms, temperature) for temperature in (0.0, 0.3, 1.0, 2.0)
        )
        assert (none == none[0]).all()
        spread = [drawn.std(0) for drawn in (none, low, full, high)]
        assert (spread[0] == 0).all()
        assert (spread[1] <= spread[2]).all()
        assert (spread[2] <= spread[3]).all()

    @pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
    def test_the_quantile_is_where_the_distribution_reaches_the_level(self, level: float) -> None:
        head = self.make()
        for one, parameters in self.singles(head, self.at(head)):
            points, masses = self.masses(one, parameters)
            x = one.quantile(parameters, level)[..., 0]
            below = torch.where(points < x, masses, 0.0).sum(0)
            upto = torch.where(points <= x, masses, 0.0).sum(0)
            assert (below < level + masses.amax(0)).all()
            assert (upto > level - masses.amax(0)).all()

    def test_tail_probabilities_are_where_the_distribution_says(self) -> None:
        head = self.make()
        for one, parameters in self.singles(head, self.at(head)):
            points, masses = self.masses(one, parameters)
            x = one.quantile(parameters, 0.8)
            at_most, at_least = (tail[..., 0] for tail in tail_probabilities(one, parameters, x))
            # On the line a point stands for half of its mass on either side.
            own = masses.amax(0) + 1e-3
            assert (
                (at_most - torch.where(points <= x[..., 0], masses, 0.0).sum(0)).abs() < own
            ).all()
            assert (
                (at_least - torch.where(points >= x[..., 0], masses, 0.0).sum(0)).abs() < own
            ).all()
            if not one.counts:
                torch.testing.assert_close(
                    at_most, torch.full_like(at_most, 0.8), rtol=0, atol=1e-6
                )
                torch.testing.assert_close(at_most + at_least, torch.ones_like(at_most))
            missing = tail_probabilities(one, parameters, torch.full_like(x, math.nan))
            assert all(tail.isnan().all() for tail in missing)

    def test_missing_targets_add_nothing(self) -> None:
        head = self.make()
        parameters, targets = head(self.features()), self.targets().clone()
        whole_BT = head.log_prob(parameters, targets)
        targets[1, 2] = math.nan
        found_BT = head.log_prob(parameters, targets)
        assert found_BT[1, 2] == 0
        found_BT[1, 2] = whole_BT[1, 2]
        assert torch.equal(found_BT, whole_BT)
        (-head.loss(head(self.features()), targets).sum()).backward()
        assert all(parameter.grad.isfinite().all() for parameter in head.parameters())

    def test_scaled_parameters_speak_of_scaled_values(self) -> None:
        head = self.make()
        parameters, targets = self.at(head), self.targets()
        log_scale = noise(ROWS, TIME, head.target_size, seed=4)
        found_BT = head.log_prob(
            head.scaled(parameters, log_scale), targets * log_scale.double().exp()
        )
        torch.testing.assert_close(
            found_BT, head.log_prob(parameters, targets, -log_scale.sum(-1)), rtol=1e-4, atol=1e-4
        )

    @pytest.mark.parametrize("extreme", [-1e4, -50.0, 0.0, 50.0, 1e4])
    @pytest.mark.parametrize("target", [0.0, 1.0, -1e-30, 1e30, -1e30, 1e4, math.inf, math.nan])
    def test_nothing_gives_a_gradient_that_is_not_finite(
        self, extreme: float, target: float
    ) -> None:
        head = self.make()
        with torch.no_grad():
            head.weight.zero_()
            for row in range(head.width):
                head.bias[row] = extreme * (1 - 2 * (row % 2))
        targets = torch.full((ROWS, TIME, head.target_size), target)
        for values in (head(self.features()), torch.full((ROWS, TIME, head.width), extreme)):
            parameters = values.detach().requires_grad_()
            for loss in (head.loss, head.log_prob):
                parameters.grad = None
                value_BT = loss(parameters, targets)
                assert value_BT.isfinite().all()
                value_BT.mean().backward()
                assert parameters.grad is not None
                assert parameters.grad.isfinite().all()
            ends = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
            drawn = head.sample(
                parameters[:, 0], ends[:, None].expand(-1, head.target_size), temperature=1.5
            )
            assert not drawn.isnan().any()
        head.loss(head(self.features()), targets).mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in head.parameters())

    def test_targets_of_another_shape_are_refused(self) -> None:
        head = self.make()
        with pytest.raises(ValueError, match="targets a position"):
            head.log_prob(self.at(head), torch.zeros(ROWS, TIME, head.target_size + 1))
