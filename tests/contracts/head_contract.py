"""What every head proves: a density that is one in total, log-probabilities in float32 and in the data's units, draws by
inversion that follow the density, and the recovery of known parameters from data.

A head claims the contract with a subclass that makes one and says which targets there are::

    class TestCategorical(HeadContract):
        feature_size = 3

        def make(self): ...
        def outcomes(self): ...

The suite is for heads over finitely many outcomes; the total of a density over the real line is an integral, and a
head of that kind overrides `total_probability`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from rhapsode.heads import Head

ROWS = 3
TIME = 4


def noise(*shape: int, seed: int) -> Tensor:
    """Standard normal values that depend on nothing but the seed and the shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fit(head: Head, y_BTH: Tensor, targets: Tensor, steps: int = 300) -> None:
    """Maximise the likelihood of the targets by full-batch steps."""
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        (-head.log_prob(head(y_BTH), targets).mean()).backward()
        optimiser.step()
        schedule.step()


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
        uniforms_B = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
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
