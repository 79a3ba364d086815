"""Heads: features to a distribution over the next element. Loads torch."""

from rhapsode.heads.adaptive import Adaptive, AdaptiveConfig
from rhapsode.heads.categorical import Categorical, CategoricalConfig, Joint, JointConfig
from rhapsode.heads.contract import (
    HEADS,
    AlikeHead,
    DensityConfig,
    DensityHead,
    Head,
)
from rhapsode.heads.count_data import NegativeBinomial, Poisson
from rhapsode.heads.hurdle import HurdleGamma, HurdleHead, HurdleNegativeBinomial
from rhapsode.heads.location_scale import (
    Gaussian,
    GaussianConfig,
    GaussianMixture,
    GaussianMixtureConfig,
    Laplace,
    LocationScaleConfig,
    StudentT,
    StudentTConfig,
)
from rhapsode.heads.piecewise import Bins, BinsConfig, Quantiles, QuantilesConfig
from rhapsode.heads.strokes import Strokes, StrokesConfig
from rhapsode.heads.tails import tail_probabilities

__all__ = [
    "HEADS",
    "Adaptive",
    "AdaptiveConfig",
    "AlikeHead",
    "Bins",
    "BinsConfig",
    "Categorical",
    "CategoricalConfig",
    "DensityConfig",
    "DensityHead",
    "Gaussian",
    "GaussianConfig",
    "GaussianMixture",
    "GaussianMixtureConfig",
    "Head",
    "HurdleGamma",
    "HurdleHead",
    "HurdleNegativeBinomial",
    "Joint",
    "JointConfig",
    "Laplace",
    "LocationScaleConfig",
    "NegativeBinomial",
    "Poisson",
    "Quantiles",
    "QuantilesConfig",
    "StudentT",
    "StudentTConfig",
    "Strokes",
    "StrokesConfig",
    "tail_probabilities",
]
