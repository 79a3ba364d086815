"""Heads: features to a distribution over the next element. Loads torch."""

from rhapsode.heads.bins import Bins, BinsConfig
from rhapsode.heads.categorical import Categorical, CategoricalConfig
from rhapsode.heads.contract import HEADS, Head
from rhapsode.heads.count_data import (
    NegativeBinomial,
    NegativeBinomialConfig,
    Poisson,
    PoissonConfig,
)
from rhapsode.heads.density import AlikeHead, DensityHead
from rhapsode.heads.gaussian_mixture import GaussianMixture, GaussianMixtureConfig
from rhapsode.heads.joint import Joint, JointConfig
from rhapsode.heads.location_scale import (
    Gaussian,
    GaussianConfig,
    Laplace,
    LaplaceConfig,
    StudentT,
    StudentTConfig,
)
from rhapsode.heads.quantiles import Quantiles, QuantilesConfig

__all__ = [
    "HEADS",
    "AlikeHead",
    "Bins",
    "BinsConfig",
    "Categorical",
    "CategoricalConfig",
    "DensityHead",
    "Gaussian",
    "GaussianConfig",
    "GaussianMixture",
    "GaussianMixtureConfig",
    "Head",
    "Joint",
    "JointConfig",
    "Laplace",
    "LaplaceConfig",
    "NegativeBinomial",
    "NegativeBinomialConfig",
    "Poisson",
    "PoissonConfig",
    "Quantiles",
    "QuantilesConfig",
    "StudentT",
    "StudentTConfig",
]
