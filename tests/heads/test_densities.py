"""The heads over numbers: the contract, literal densities of SciPy's, recovery of known parameters, exact quantiles."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor, distributions

from rhapsode.config import from_mapping
from rhapsode.errors import SettingsError
from rhapsode.heads import (
    HEADS,
    Bins,
    BinsConfig,
    DensityConfig,
    DensityHead,
    Gaussian,
    GaussianConfig,
    GaussianMixture,
    GaussianMixtureConfig,
    HurdleGamma,
    HurdleNegativeBinomial,
    Laplace,
    LocationScaleConfig,
    NegativeBinomial,
    Poisson,
    Quantiles,
    QuantilesConfig,
    StudentT,
    StudentTConfig,
)
from rhapsode.heads.count_data import negative_binomial_quantile, poisson_quantile
from rhapsode.heads.location_scale import student_t_quantile
from tests.contracts.head_contract import ROWS, TIME, DensityContract, fit, mean_of, noise

FEATURES = 3
NAMES = [
    "bins.v1",
    "gaussian.v1",
    "gaussian_mixture.v1",
    "hurdle_gamma.v1",
    "hurdle_negative_binomial.v1",
    "laplace.v1",
    "negative_binomial.v1",
    "poisson.v1",
    "quantiles.v1",
    "student_t.v1",
]


def seeded(head: DensityHead, size: float = 0.6) -> DensityHead:
    """The head with seeded weights."""
    with torch.no_grad():
        for seed, parameter in enumerate(head.parameters()):
            parameter.add_(size * noise(*parameter.shape, seed=20 + seed))
    return head


def wide_grid(centre: Tensor, width: Tensor, reach: float, count: int) -> tuple[Tensor, Tensor]:
    """Points of an integral over the real line, close together around the centre, and their weights."""
    v = torch.linspace(-reach, reach, count, dtype=torch.float64)
    step = 2 * reach / (count - 1)
    shape = (-1, *[1] * centre.ndim)
    return centre + width * v.sinh().view(shape), width * v.cosh().view(shape) * step


class OverTheLine(DensityContract):
    """Heads whose parameters begin with a place and the logarithm of a width."""

    feature_size = FEATURES
    reach = 12.0

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        parameters = parameters.double()
        return wide_grid(parameters[..., 0], parameters[..., 1].exp(), self.reach, 12001)


class TestLaplace(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(Laplace(LocationScaleConfig(FEATURES)))


class TestGaussian(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(Gaussian(GaussianConfig(FEATURES)))


class TestStudentT(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(StudentT(StudentTConfig(FEATURES)))


class TestThreeTargets(OverTheLine):
    K = 3

    def make(self) -> DensityHead:
        return seeded(StudentT(StudentTConfig(FEATURES, target_size=3)))

    def one_target(self) -> DensityHead:
        return StudentT(StudentTConfig(FEATURES))


class TestGaussianMixture(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(GaussianMixture(GaussianMixtureConfig(FEATURES, components=3)))

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        middle = parameters.double()[..., 3:6].mean(-1)
        return wide_grid(middle, torch.ones_like(middle), 6.0, 6001)


class TestQuantiles(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(Quantiles(QuantilesConfig(FEATURES, levels=(0.1, 0.25, 0.5, 0.8))), 0.3)

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Points inside the steps and along the tails, none across a jump."""
        levels = torch.tensor([0.1, 0.25, 0.5, 0.8], dtype=torch.float64)
        knots = torch.stack([head.quantile(parameters, level)[..., 0] for level in levels])
        tails = parameters.double()[..., -2:].exp()
        count = 20_000
        inner = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        inner = inner.view(-1, *[1] * tails[..., 0].ndim)
        # 40 mean lengths of a tail hold all but e^-40 of it.
        far = 40 * inner
        points, weights = [knots[0] - far.flip(0) * tails[..., 0]], []
        weights.append((40 / count * tails[..., 0]).expand_as(points[0]))
        for low, high in pairwise(knots):
            points.append(low + inner * (high - low))
            weights.append(((high - low) / count).expand_as(points[-1]))
        points.append(knots[-1] + far * tails[..., 1])
        weights.append((40 / count * tails[..., 1]).expand_as(points[-1]))
        return torch.cat(points), torch.cat(weights)

    def test_the_density_is_one_in_total(self) -> None:
        head = self.make()
        total_BT = self.total_probability(head, head(self.features()))
        torch.testing.assert_close(total_BT, torch.ones_like(total_BT), rtol=0, atol=1e-4)


EDGES, TAILS = (-1.0, -0.2, 0.1, 1.5), (0.7, 2.0)


class TestBins(OverTheLine):
    def make(self) -> DensityHead:
        return seeded(Bins(BinsConfig(FEATURES, edges=EDGES, tails=TAILS)))

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Points inside the bins and along the tails, none across an edge."""
        count = 20_000
        inner = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        points = [EDGES[0] - 40 * inner.flip(0) * TAILS[0]]
        weights = [torch.full_like(inner, 40 / count * TAILS[0])]
        for low, high in pairwise(EDGES):
            points.append(low + inner * (high - low))
            weights.append(torch.full_like(inner, (high - low) / count))
        points.append(EDGES[-1] + 40 * inner * TAILS[1])
        weights.append(torch.full_like(inner, 40 / count * TAILS[1]))
        shape = (-1, *[1] * (parameters.ndim - 1))
        wide = (-1, *parameters.shape[:-1])
        return tuple(torch.cat(each).view(shape).expand(wide) for each in (points, weights))

    def test_the_density_is_one_in_total(self) -> None:
        head = self.make()
        total_BT = self.total_probability(head, head(self.features()))
        torch.testing.assert_close(total_BT, torch.ones_like(total_BT), rtol=0, atol=1e-4)

    def test_scaled_parameters_speak_of_scaled_values(self) -> None:
        head = self.make()
        with pytest.raises(NotImplementedError):
            head.scaled(self.at(head), noise(ROWS, TIME, 1, seed=4))

    def test_temperature_narrows_and_widens_around_one_value(self) -> None:
        """That of elements: the likeliest bin is drawn the more often the lower it is."""
        head = self.make()
        row_P = self.at(head)[0, :1]
        uniforms = ((torch.arange(999, dtype=torch.float64) + 0.5) / 999)[:, None]
        edges = torch.tensor(EDGES, dtype=torch.float64)
        likeliest, shares = int(row_P.argmax()), []
        for temperature in (0.0, 0.3, 1.0, 2.0):
            drawn = head.sample(row_P.expand(999, -1), uniforms, temperature)
            bins = torch.searchsorted(edges, drawn, right=True)
            shares.append((bins == likeliest).double().mean().item())
            wanted = (row_P.double() / max(temperature, 1e-9)).softmax(-1)[0, likeliest].item()
            assert shares[-1] == pytest.approx(wanted, abs=2e-3)
        assert shares == sorted(shares, reverse=True)
        assert len(head.sample(row_P.expand(9, -1), uniforms[:9], 0.0).unique()) == 1

    def test_what_is_out_is_never_drawn_and_a_draw_lies_in_its_bin(self) -> None:
        head = self.make()
        assert isinstance(head, Bins)
        count = 2001
        logits = head.logits(self.at(head)[0, :1]).expand(count, -1, -1).clone()
        logits[:, :, [0, 2, 4]] = -math.inf
        uniforms = torch.linspace(0, 1 - 1e-12, count, dtype=torch.float64)[:, None]
        values, bins = head.draw_bins(logits, uniforms)
        assert set(bins.flatten().tolist()) == {1, 3}
        edges = torch.tensor(EDGES, dtype=torch.float64)
        assert torch.equal(torch.searchsorted(edges, values, right=True), bins)
        share = (bins == 1).double().mean().item()
        assert share == pytest.approx(logits[0, 0, [1, 3]].softmax(-1)[0].item(), abs=1e-3)

    def test_it_begins_as_a_normal_distribution_about_a_straight_line(self) -> None:
        edges = tuple(torch.linspace(-4, 4, 161, dtype=torch.float64).tolist())
        head = Bins(BinsConfig(2, edges=edges, tails=(0.05, 0.05), target_size=2))
        with torch.no_grad():
            head.weight.zero_()
        weight = torch.tensor([[0.5, -0.3], [0.0, 1.0]])
        bias, width = torch.tensor([0.2, -0.1]), torch.tensor([0.6, 0.9])
        assert head.start_linear(weight, bias, width.log())
        y = noise(5, 1, 2, seed=9) * 0.5
        wanted = y[:, 0] @ weight.T + bias
        parameters = head(y)[:, 0]
        torch.testing.assert_close(mean_of(head, parameters).float(), wanted, atol=3e-3, rtol=0)
        high = head.quantile(parameters, 0.841344746).float()
        torch.testing.assert_close(high, wanted + width, atol=1e-2, rtol=0)

    @pytest.mark.parametrize(
        ("edges", "tails"),
        [((), TAILS), ((1.0, 1.0), TAILS), ((0.0, math.inf), TAILS), ((0.0,), (1.0, 0.0))],
    )
    def test_bins_that_are_none_are_refused(
        self, edges: tuple[float, ...], tails: tuple[float, float]
    ) -> None:
        with pytest.raises(SettingsError):
            Bins(BinsConfig(1, edges=edges, tails=tails))


class OverCounts(DensityContract):
    feature_size = FEATURES

    def outcomes(self) -> Tensor:
        return torch.tensor([0.0, 1.0, 2.0, 5.0, 40.0], dtype=torch.float64)[:, None]

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        points = torch.arange(600, dtype=torch.float64)
        points = points.view(-1, *[1] * (parameters.ndim - 1)).expand(-1, *parameters.shape[:-1])
        return points, torch.ones_like(points)

    def test_scaled_parameters_speak_of_scaled_values(self) -> None:
        head = self.make()
        parameters = self.at(head)
        log_scale = noise(*parameters.shape[:-1], seed=6)
        means = []
        for own in (parameters, head.scaled(parameters, log_scale)):
            points, masses = self.masses(head, own)
            means.append((points * masses).sum(0))
        wanted = means[0] * log_scale.double().exp()
        torch.testing.assert_close(means[1], wanted, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("impossible", [-1.0, 0.5, -2.5])
    def test_what_is_not_a_count_is_impossible(self, impossible: float) -> None:
        head = self.make()
        parameters = head(self.features())
        log_prob_BT = head.log_prob(parameters, torch.full(parameters.shape[:2], impossible))
        assert (log_prob_BT == torch.tensor(-1e30)).all()


class TestPoisson(OverCounts):
    def make(self) -> DensityHead:
        return seeded(Poisson(DensityConfig(FEATURES)))


class TestNegativeBinomial(OverCounts):
    def make(self) -> DensityHead:
        return seeded(NegativeBinomial(DensityConfig(FEATURES)))


class TestHurdleNegativeBinomial(OverCounts):
    def make(self) -> DensityHead:
        return seeded(HurdleNegativeBinomial(DensityConfig(FEATURES)))

    def test_scaled_parameters_speak_of_scaled_values(self) -> None:
        """The mean before truncation is scaled, and the probability of zero stays."""
        head = self.make()
        parameters = self.at(head)
        scaled = head.scaled(parameters, torch.full(parameters.shape[:-1], 2.0))
        torch.testing.assert_close(
            scaled - parameters, torch.tensor([2.0, -1.0, 0.0]).expand_as(parameters)
        )


class TestHurdleGamma(OverCounts):
    def make(self) -> DensityHead:
        return seeded(HurdleGamma(DensityConfig(FEATURES)))

    def outcomes(self) -> Tensor:
        return torch.tensor([0.0, 0.3, 1.0, 2.5, 9.0], dtype=torch.float64)[:, None]

    def support(self, head: DensityHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Zero, and points that are close together near it."""
        log_x = torch.linspace(-400, 6, 40_001, dtype=torch.float64)
        x, weights = log_x.exp(), log_x.exp() * (log_x[1] - log_x[0])
        none = torch.zeros(1, dtype=torch.float64)
        points, weights = torch.cat((none, x)), torch.cat((none + 1, weights))
        shape = (-1, *[1] * (parameters.ndim - 1))
        wide = (-1, *parameters.shape[:-1])
        return points.view(shape).expand(wide), weights.view(shape).expand(wide)

    @pytest.mark.parametrize("impossible", [-1.0, -2.5])
    def test_what_is_not_a_count_is_impossible(self, impossible: float) -> None:
        super().test_what_is_not_a_count_is_impossible(impossible)


X = torch.tensor([[-3.2, -0.1, 0.0, 0.7, 12.5]])


def parameters_of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).expand(1, 5, -1)


def test_densities_are_those_of_torch() -> None:
    place, width = 0.4, 1.7
    row = parameters_of(place, math.log(width))
    laplace, gaussian = Laplace(LocationScaleConfig(1)), Gaussian(GaussianConfig(1))
    torch.testing.assert_close(
        laplace.log_prob(row, X), distributions.Laplace(place, width).log_prob(X)
    )
    torch.testing.assert_close(
        gaussian.log_prob(row, X), distributions.Normal(place, width).log_prob(X)
    )
    for df in (2.5, 4.0, 300.0):
        row = parameters_of(place, math.log(width), math.log(df - 2))
        torch.testing.assert_close(
            StudentT(StudentTConfig(1)).log_prob(row, X),
            distributions.StudentT(df, place, width).log_prob(X),
            rtol=1e-5,
            atol=1e-5,
        )
    row = parameters_of(0.3, -1.0, -0.5, 2.0, math.log(0.6), math.log(3.0))
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(logits=torch.tensor([0.3, -1.0])),
        distributions.Normal(torch.tensor([-0.5, 2.0]), torch.tensor([0.6, 3.0])),
    )
    torch.testing.assert_close(
        GaussianMixture(GaussianMixtureConfig(1, components=2)).log_prob(row, X),
        mixture.log_prob(X),
    )
    counts = torch.tensor([[0.0, 1.0, 7.0, 30.0, 1000.0]])
    torch.testing.assert_close(
        Poisson(DensityConfig(1)).log_prob(parameters_of(math.log(6.5)), counts),
        distributions.Poisson(6.5).log_prob(counts),
    )
    mean, dispersion = 6.5, 0.8
    torch.testing.assert_close(
        NegativeBinomial(DensityConfig(1)).log_prob(
            parameters_of(math.log(mean), math.log(dispersion)), counts
        ),
        distributions.NegativeBinomial(
            1 / dispersion, probs=torch.tensor(dispersion * mean / (1 + dispersion * mean))
        ).log_prob(counts),
    )


def test_a_distribution_told_by_quantiles_has_the_density_worked_out_by_hand() -> None:
    head = Quantiles(QuantilesConfig(1, levels=(0.2, 0.5, 0.9)))
    # Median 1, quantiles 0 and 3, tails of mean lengths 0.5 and 4.
    row_P = torch.tensor([1.0, 0.0, math.log(2.0), math.log(0.5), math.log(4.0)])
    x = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 2.9, 3.001, 7.0]])
    wanted = [
        math.log(0.2 / 0.5) - 2.0,
        math.log(0.3),
        math.log(0.3),
        math.log(0.2),
        math.log(0.2),
        math.log(0.1 / 4) - 0.001 / 4,
        math.log(0.1 / 4) - 1.0,
    ]
    assert head.log_prob(row_P.expand(1, 7, -1), x)[0].tolist() == pytest.approx(wanted, abs=1e-6)
    quantiles = [head.quantile(row_P, level).item() for level in (0.1, 0.2, 0.5, 0.7, 0.9, 0.95)]
    wanted = [-0.5 * math.log(2), 0.0, 1.0, 2.0, 3.0, 3 + 4 * math.log(2)]
    assert quantiles == pytest.approx(wanted, abs=1e-6)
    mean = 0.2 * -0.5 + 0.3 * 0.5 + 0.4 * 2 + 0.1 * 7
    assert mean_of(head, row_P).item() == pytest.approx(mean, abs=2e-3)


@pytest.mark.parametrize(
    "levels", [(0.5,), (0.1, 0.5), (0.1, 0.4, 0.9), (0.9, 0.5, 0.1), (0.0, 0.5, 1.0)]
)
def test_levels_of_quantiles_that_do_not_rise_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="levels"):
        Quantiles(QuantilesConfig(1, levels=levels))


def test_every_head_is_made_from_plain_settings() -> None:
    assert set(NAMES) <= set(HEADS.names())
    for name in NAMES:
        entry = HEADS.get(name)
        own = {"edges": [-1.0, 0.0, 2.0], "tails": [1.0, 0.5]} if name == "bins.v1" else {}
        head = entry(
            from_mapping(entry.Config, {"feature_size": 2, "target_size": 2, **own}, where="x")
        )
        assert isinstance(head, DensityHead)
        parameters = head(torch.zeros(4, 1, 2))
        assert parameters.shape == (4, 1, head.width)
        assert head.sample(parameters[:, 0], torch.rand(4, head.target_size)).shape == (4, 2)


# --- recovery ---


def drawn_from(head: DensityHead, rows: list[list[float]], count: int, seed: int) -> Tensor:
    """Draws (C, N) from known parameters, one row of them a context: one draw from every N-th part of the mass."""
    jitter_N = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    uniforms_N = (torch.arange(count) + jitter_N) / count
    return torch.stack(
        [head.sample(torch.tensor(row).expand(count, -1), uniforms_N)[:, 0] for row in rows]
    )


KNOWN = [
    (Laplace(LocationScaleConfig(2)), [[1.5, math.log(0.4)], [-1.0, math.log(2.0)]], 0.06),
    (Gaussian(GaussianConfig(2)), [[1.5, math.log(0.4)], [-1.0, math.log(2.0)]], 0.06),
    (
        StudentT(StudentTConfig(2)),
        [[1.5, math.log(0.4), math.log(1.0)], [-1.0, math.log(2.0), math.log(6.0)]],
        0.3,
    ),
    (Poisson(DensityConfig(2)), [[math.log(0.7)], [math.log(6.0)]], 0.03),
    (
        NegativeBinomial(DensityConfig(2)),
        [[math.log(0.7), math.log(1.5)], [math.log(6.0), math.log(0.5)]],
        0.12,
    ),
    (
        HurdleNegativeBinomial(DensityConfig(2)),
        [[math.log(3.0), math.log(0.3), 1.5], [math.log(6.0), math.log(0.5), -1.0]],
        0.25,
    ),
    (
        HurdleGamma(DensityConfig(2)),
        [[math.log(0.7), math.log(2.0), 1.5], [math.log(6.0), math.log(0.8), -1.0]],
        0.12,
    ),
]


@pytest.mark.parametrize(("head", "rows", "tolerance"), KNOWN, ids=lambda x: type(x).__name__)
def test_known_parameters_are_recovered_from_data(
    head: DensityHead, rows: list[list[float]], tolerance: float
) -> None:
    targets = drawn_from(head, rows, 2500, seed=3)
    torch.manual_seed(0)
    fresh = type(head)(type(head).Config(2))
    features = torch.eye(2)[:, None].expand(2, 2500, 2)
    fit(fresh, features, targets, steps=700)
    with torch.no_grad():
        found = fresh(torch.eye(2)[:, None])[:, 0]
    np.testing.assert_allclose(found, rows, atol=tolerance)


def test_known_probabilities_of_bins_are_recovered_from_data() -> None:
    config = BinsConfig(2, edges=EDGES, tails=TAILS)
    rows = [[0.0, 1.0, -0.5, 0.3, 0.8], [1.2, -1.0, 0.0, 0.5, -0.3]]
    targets = drawn_from(Bins(config), rows, 4000, seed=3)
    torch.manual_seed(0)
    fresh = Bins(config)
    fit(fresh, torch.eye(2)[:, None].expand(2, 4000, 2), targets)
    found = fresh(torch.eye(2)[:, None])[:, 0].detach().softmax(-1)
    np.testing.assert_allclose(found, torch.tensor(rows).softmax(-1), atol=2e-3)


def nats_above_the_truth(head: DensityHead, fresh: DensityHead, row: list[float]) -> float:
    """How much worse the fitted head is than the truth, on new draws."""
    targets = drawn_from(head, [row], 20_000, seed=11)
    parameters_P = fresh(torch.ones(1, 1, 1)).detach().expand(1, 20_000, -1)
    truth_P = torch.tensor(row).expand(1, 20_000, -1)
    difference = head.log_prob(truth_P, targets) - fresh.log_prob(parameters_P, targets)
    return difference.mean().item()


def test_a_known_mixture_is_recovered_from_data() -> None:
    config = GaussianMixtureConfig(1, components=2)
    head = GaussianMixture(config)
    row = [0.0, 1.0, -2.0, 1.0, math.log(0.5), math.log(0.8)]
    torch.manual_seed(0)
    fresh = GaussianMixture(config)
    fit(fresh, torch.ones(1, 3000, 1), drawn_from(head, [row], 3000, seed=3))
    found = fresh(torch.ones(1, 1, 1)).detach()[0, 0]
    found[:2] -= found[0].clone()
    np.testing.assert_allclose(found, row, atol=0.1)
    assert nats_above_the_truth(head, fresh, row) < 2e-3


def test_known_quantiles_are_recovered_by_their_pinball_loss() -> None:
    config = QuantilesConfig(1)
    head = Quantiles(config)
    row = [1.0, *[math.log(0.2 + 0.1 * index) for index in range(10)], 0.0, math.log(0.5)]
    torch.manual_seed(0)
    fresh = Quantiles(config)
    fit(fresh, torch.ones(1, 3000, 1), drawn_from(head, [row], 3000, seed=3), steps=400)
    parameters = fresh(torch.ones(1, 1, 1)).detach()[0, 0]
    for level in config.levels:
        wanted = head.quantile(torch.tensor(row), level).item()
        assert fresh.quantile(parameters, level).item() == pytest.approx(wanted, abs=0.15)
    assert nats_above_the_truth(head, fresh, row) < 0.02


def test_the_tails_and_the_middle_of_gaussian_data_are_met_by_every_real_head() -> None:
    truth = Gaussian(GaussianConfig(1))
    row = [0.3, math.log(0.7)]
    targets = drawn_from(truth, [row], 4000, seed=3)
    for name, allowed in (
        ("student_t.v1", 0.006),
        ("gaussian_mixture.v1", 0.008),
        ("quantiles.v1", 0.03),
    ):
        torch.manual_seed(0)
        entry = HEADS.get(name)
        fresh = entry(from_mapping(entry.Config, {"feature_size": 1}, where="x"))
        assert isinstance(fresh, DensityHead)
        fit(fresh, torch.ones(1, 4000, 1), targets)
        assert nats_above_the_truth(truth, fresh, row) < allowed, name


# --- quantiles, exactly ---

LITERAL_T = [
    (2.0, 4.302652729749462),
    (2.1, 4.112152758173878),
    (3.0, 3.1824463052837078),
    (7.5, 2.333039626864974),
    (30.0, 2.0422724563012378),
    (10000.0, 1.960201239890626),
]


def test_quantiles_of_students_t_are_exact() -> None:
    # Closed form at two degrees of freedom, and far into the tail.
    levels = torch.tensor([1e-15, 1e-9, 0.01, 0.3, 0.5, 0.8, 1 - 1e-6], dtype=torch.float64)
    wanted = (2 * levels - 1) / (2 * levels * (1 - levels)).sqrt()
    found = student_t_quantile(levels, torch.full_like(levels, 2.0))
    torch.testing.assert_close(found, wanted, rtol=3e-7, atol=0)
    # And at four.
    alpha = 4 * levels * (1 - levels)
    inner = torch.cos(torch.acos(alpha.sqrt()) / 3) / alpha.sqrt()
    wanted = (levels - 0.5).sign() * 2 * (inner - 1).clamp(min=0).sqrt()
    found = student_t_quantile(levels, torch.full_like(levels, 4.0))
    torch.testing.assert_close(found, wanted, rtol=3e-7, atol=1e-12)
    # SciPy 1.17: stats.t.ppf(0.975, df).
    for df, literal in LITERAL_T:
        level = torch.tensor([0.975], dtype=torch.float64)
        found = student_t_quantile(level, torch.tensor([df], dtype=torch.float64))
        assert found.item() == pytest.approx(literal, rel=3e-7)


def test_quantiles_of_students_t_from_the_table_equal_the_slow_ones() -> None:
    random = np.random.default_rng(0)
    df_N = 2 + np.exp(random.uniform(-8, 13, 400))
    score_N = random.uniform(1e-3, 8.2, 400)
    tail_N = special.ndtr(-score_N)
    slow_N = -special.stdtrit(df_N, tail_N)
    found_N = -student_t_quantile(torch.from_numpy(tail_N), torch.from_numpy(df_N)).numpy()
    wrong_N = np.abs(found_N / slow_N - 1)
    assert wrong_N.max() < 2e-7
    assert wrong_N[score_N < 6].max() < 3e-8


MEANS = [1e-6, 0.3, 4.0, 39.9, 40.1, 200.0, 5e3, 1e6]


@pytest.mark.parametrize("mean", MEANS)
def test_quantiles_of_poisson_counts_are_exact(mean: float) -> None:
    check_counts(
        lambda u: poisson_quantile(u, torch.full_like(u, mean)),
        lambda k: k * math.log(mean) - mean - torch.lgamma(k + 1),
        mean,
        mean,
    )


@pytest.mark.parametrize("dispersion", [1e-5, 0.01, 0.5, 3.0, 60.0])
@pytest.mark.parametrize("mean", [0.3, 4.0, 39.9, 41.0, 5e3, 1e5])
def test_quantiles_of_negative_binomial_counts_are_exact(mean: float, dispersion: float) -> None:
    size = 1 / dispersion
    check_counts(
        lambda u: negative_binomial_quantile(
            u, torch.full_like(u, mean), torch.full_like(u, dispersion)
        ),
        lambda k: (
            torch.lgamma(k + size)
            - math.lgamma(size)
            - torch.lgamma(k + 1)
            - size * math.log1p(dispersion * mean)
            + k * (math.log(dispersion * mean) - math.log1p(dispersion * mean))
        ),
        mean,
        mean + dispersion * mean**2,
    )


def check_counts(quantile, log_mass, mean: float, variance: float) -> None:
    """Against sums of the probabilities themselves; levels too near a step are left out."""
    top = int(mean + 12 * math.sqrt(variance) + 60)
    levels = torch.rand(300, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    levels = torch.cat((levels, torch.tensor([1e-9, 1e-4, 0.999, 0.9999], dtype=torch.float64)))
    top = min(top, 3_000_000)
    cumulative = log_mass(torch.arange(top, dtype=torch.float64)).exp().cumsum(0)
    found = quantile(levels)
    wanted = torch.searchsorted(cumulative, levels, right=True).double()
    inside = (wanted < top - 1) & (
        (
            cumulative[:, None]
            if top < 10_000
            else cumulative[wanted.long().clamp(max=top - 1)][None]
        )
        .sub(levels)
        .abs()
        .amin(0)
        > 1e-8
    )
    below = cumulative[(wanted.long() - 1).clamp(0, top - 1)]
    inside &= (below - levels).abs() > 1e-8
    assert inside.float().mean() > 0.9
    assert torch.equal(found[inside], wanted[inside])


def test_huge_counts_are_drawn_without_end_or_nan() -> None:
    levels = torch.tensor([1e-16, 0.2, 0.5, 0.9, 1 - 1e-16], dtype=torch.float64)
    for mean in (1e7, 1e12, 1e20, 5e34):
        for dispersion in (1e-6, 0.3, 8000.0):
            found = negative_binomial_quantile(
                levels, torch.full_like(levels, mean), torch.full_like(levels, dispersion)
            )
            assert found.isfinite().all()
            assert (found.diff() >= -1e-14 * mean).all()
        found = poisson_quantile(levels, torch.full_like(levels, mean))
        assert found.isfinite().all()
        assert abs(found[2].item() / mean - 1) < 1e-6
        assert (found.diff() >= -1e-14 * mean).all()


def test_the_median_of_counts_is_drawn_at_temperature_0() -> None:
    head = Poisson(DensityConfig(1))
    parameters = torch.tensor([[math.log(6.5)]])
    for uniform in (0.001, 0.999):
        assert head.sample(parameters, torch.tensor([uniform]), 0.0).item() == 6


def test_a_mixture_at_temperature_0_is_the_mean_of_its_heaviest_bell() -> None:
    head = GaussianMixture(GaussianMixtureConfig(1, components=3))
    parameters = torch.tensor([[0.0, 1.0, 1.0, -5.0, 2.0, 7.0, 0.0, 0.0, 0.0]])
    assert head.sample(parameters, torch.tensor([0.99]), 0.0).item() == 2.0


def test_places_of_several_targets_are_drawn_from_lanes_of_their_own() -> None:
    head = Gaussian(GaussianConfig(1, target_size=2))
    parameters = torch.tensor([[10.0, 0.0, -10.0, math.log(2.0)]])
    drawn = head.sample(parameters, torch.tensor([[0.5, 0.975]], dtype=torch.float64))
    assert drawn[0].tolist() == pytest.approx([10.0, -10 + 2 * 1.959963984540054])
