"""How the next element is chosen among the candidates."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.config.options import option

__all__ = ["SamplingSettings"]


@dataclass(frozen=True)
class SamplingSettings:
    """The steps between a model's logits and the draw."""

    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("T")] = 1.0
    """Divides the logits: below 1 safer, above 1 wilder, 0 always takes the likeliest element."""
    top_k: Annotated[Annotated[int, Meta(ge=0)], option("K")] = 0
    """Choose among the K likeliest elements only; 0 is off."""
    top_p: Annotated[Annotated[float, Meta(ge=0.0, le=1.0)], option("P")] = 1.0
    """Choose among the smallest set of elements with this much probability; 1 is off."""
