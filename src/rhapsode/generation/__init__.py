"""Step by step from a seed: filters, the draw, stops, streams. No torch: models come as predictors."""

from rhapsode.generation.chain import ORDERS, STEPS, Chain, chain_of
from rhapsode.generation.draw import ELEMENT_LANE, draw, uniforms
from rhapsode.generation.filters import FILTERS, Context, Filter
from rhapsode.generation.generate import Chosen, Job, generate_elements
from rhapsode.generation.text import StopText
from rhapsode.generation.trace import Trace, trace_row

__all__ = [
    "ELEMENT_LANE",
    "FILTERS",
    "ORDERS",
    "STEPS",
    "Chain",
    "Chosen",
    "Context",
    "Filter",
    "Job",
    "StopText",
    "Trace",
    "chain_of",
    "draw",
    "generate_elements",
    "trace_row",
    "uniforms",
]
