"""Settings of measuring models of identifiers."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["IdEvaluationSettings"]


@dataclass(frozen=True)
class IdEvaluationSettings:
    """Settings of an evaluation of a model of identifiers."""

    dynamic: bool = False
    """Report, apart, what the text costs if the model goes on learning from it: up to a minute more."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Also score a part of the text with weights kept as these, as generate can have them, and tell what that costs."""
