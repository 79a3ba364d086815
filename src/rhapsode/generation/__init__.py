"""Step by step from a seed: filters, the draw, stops, streams. No torch: models come as predictors."""

from rhapsode.generation.chain import Chain, chain_of
from rhapsode.generation.draw import ELEMENT_LANE, draw, uniforms
from rhapsode.generation.filters import FILTERS, Context, Filter
from rhapsode.generation.generate import Chosen, Job, generate_elements
from rhapsode.generation.text import StopText

__all__ = [
    "ELEMENT_LANE",
    "FILTERS",
    "Chain",
    "Chosen",
    "Context",
    "Filter",
    "Job",
    "StopText",
    "chain_of",
    "draw",
    "generate_elements",
    "uniforms",
]
