"""The categorical head: the contract, the exact softmax, frequencies of draws at every temperature, recovery."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rhapsode.heads import Categorical, CategoricalConfig
from tests.contracts.head_contract import HeadContract, fit, noise

VOCABULARY = 7
LOGITS = torch.tensor([0.3, -1.0, 2.0, 0.0, -3.0, 1.1, 0.3])
# Chi-square with six degrees of freedom exceeds this once in a thousand.
CHI_SQUARE_6 = 22.458


def softmax(logits: Tensor, temperature: float = 1.0) -> np.ndarray:
    scaled = logits.double().numpy() / temperature
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def drawn_counts(logits_V: Tensor, uniforms_N: Tensor, temperature: float) -> np.ndarray:
    head = Categorical(CategoricalConfig(feature_size=1, vocab_size=len(logits_V)))
    logits_NV = logits_V.expand(len(uniforms_N), -1)
    drawn_N = head.sample(logits_NV, uniforms_N, temperature)
    return torch.bincount(drawn_N, minlength=len(logits_V)).numpy()


class TestCategorical(HeadContract):
    feature_size = 3

    def make(self) -> Categorical:
        head = Categorical(CategoricalConfig(self.feature_size, VOCABULARY))
        with torch.no_grad():
            for seed, parameter in enumerate(head.parameters()):
                parameter.copy_(noise(*parameter.shape, seed=10 + seed))
        return head

    def outcomes(self) -> Tensor:
        return torch.arange(VOCABULARY)


def test_logits_are_an_affine_map() -> None:
    head = Categorical(CategoricalConfig(feature_size=2, vocab_size=3))
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]))
        head.bias.copy_(torch.tensor([0.5, 0.0, -0.5]))
    assert head(torch.tensor([[[2.0, 3.0]]])).tolist() == [[[2.5, 6.0, 0.5]]]
    bare = Categorical(CategoricalConfig(feature_size=2, vocab_size=3, bias=False))
    assert list(bare.state_dict()) == ["weight"]
    assert bare(torch.zeros(1, 1, 2)).tolist() == [[[0.0, 0.0, 0.0]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_log_probabilities_are_the_log_softmax_at_the_target(dtype: torch.dtype) -> None:
    head = Categorical(CategoricalConfig(feature_size=1, vocab_size=VOCABULARY))
    logits_BTV = (5 * noise(3, 4, VOCABULARY, seed=1)).to(dtype)
    targets_BT = torch.arange(12).view(3, 4) % VOCABULARY
    wanted_BTV = functional.log_softmax(logits_BTV.float(), dim=-1)
    wanted_BT = wanted_BTV.gather(-1, targets_BT[..., None])[..., 0]
    assert torch.equal(head.log_prob(logits_BTV, targets_BT), wanted_BT)


def test_extreme_logits_stay_exact() -> None:
    head = Categorical(CategoricalConfig(feature_size=1, vocab_size=3))
    logits_BTV = torch.tensor([[[1e4, 0.0, 1e4], [-math.inf, 0.0, 0.0]]])
    half = pytest.approx(-math.log(2))
    assert head.log_prob(logits_BTV, torch.tensor([[0, 1]])).tolist() == [[half, half]]
    far = pytest.approx(-1e4 - math.log(2))
    assert head.log_prob(logits_BTV, torch.tensor([[1, 0]])).tolist() == [[far, -math.inf]]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_an_even_grid_of_uniforms_falls_on_the_exact_shares(temperature: float) -> None:
    count = 20_000
    uniforms_N = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    found_V = drawn_counts(LOGITS, uniforms_N, temperature)
    wanted_V = count * softmax(LOGITS, temperature)
    assert np.abs(found_V - wanted_V).max() <= 1
    assert ((found_V - wanted_V) ** 2 / wanted_V).sum() < 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_random_uniforms_give_the_frequencies_of_the_softmax(temperature: float) -> None:
    count = 20_000
    uniforms_N = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found_V = drawn_counts(LOGITS, uniforms_N, temperature)
    wanted_V = count * softmax(LOGITS, temperature)
    assert ((found_V - wanted_V) ** 2 / wanted_V).sum() < CHI_SQUARE_6


def test_draws_rise_with_the_uniform() -> None:
    uniforms_N = torch.linspace(0, 1 - 1e-9, 500, dtype=torch.float64)
    head = Categorical(CategoricalConfig(feature_size=1, vocab_size=VOCABULARY))
    drawn_N = head.sample(LOGITS.expand(500, -1), uniforms_N)
    assert (drawn_N.diff() >= 0).all()
    assert drawn_N[0] == 0
    assert drawn_N[-1] == VOCABULARY - 1


@pytest.mark.parametrize("temperature", [1e-4, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_what_is_impossible_is_never_drawn(uniform: float, temperature: float) -> None:
    logits_V = torch.full((VOCABULARY,), -math.inf)
    logits_V[[2, 4]] = torch.tensor([0.1, 0.0])
    counts_V = drawn_counts(logits_V, torch.tensor([uniform], dtype=torch.float64), temperature)
    assert counts_V[[2, 4]].sum() == 1


@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_greedy_takes_the_likeliest_and_the_lowest_of_equals(temperature: float) -> None:
    head = Categorical(CategoricalConfig(feature_size=1, vocab_size=4))
    logits_BV = torch.tensor([[0.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0], [-1.0, -2.0, -1.5, -0.5]])
    for uniform in (0.0, 0.999):
        assert head.sample(logits_BV, torch.full((3,), uniform), temperature).tolist() == [1, 0, 3]


def test_a_low_temperature_is_nearly_greedy_and_a_high_one_nearly_even() -> None:
    uniforms_N = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert drawn_counts(LOGITS, uniforms_N, 1e-3)[2] == 1000
    assert np.abs(drawn_counts(LOGITS, uniforms_N, 1e5) - 1000 / VOCABULARY).max() <= 1


def test_known_probabilities_are_recovered_from_data() -> None:
    contexts, count = 2, 4000
    known_CV = np.stack([softmax(LOGITS), softmax(-0.7 * LOGITS.roll(3))])
    random = np.random.default_rng(8)
    targets_CN = np.stack(
        [random.choice(VOCABULARY, size=count, p=shares_V) for shares_V in known_CV]
    )
    torch.manual_seed(0)
    head = Categorical(CategoricalConfig(feature_size=contexts, vocab_size=VOCABULARY))
    features = torch.eye(contexts)[:, None].expand(contexts, count, contexts)
    fit(head, features, torch.from_numpy(targets_CN))
    with torch.no_grad():
        found_CV = head(torch.eye(contexts)[:, None])[:, 0].softmax(-1).double().numpy()
    errors_CV = np.sqrt(known_CV * (1 - known_CV) / count)
    assert (np.abs(found_CV - known_CV) < 3 * errors_CV).all()
    # As near to the data as the best fit there is.
    shares_CV = np.stack([np.bincount(row, minlength=VOCABULARY) / count for row in targets_CN])
    assert np.abs(found_CV - shares_CV).max() < 1e-3
