"""Heads: features to a distribution over the next element. Loads torch."""

from rhapsode.heads.categorical import Categorical, CategoricalConfig
from rhapsode.heads.contract import HEADS, Head

__all__ = ["HEADS", "Categorical", "CategoricalConfig", "Head"]
