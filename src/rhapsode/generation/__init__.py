"""Generation of elements one after another: filters, draws, stop texts and search.

Models are used through the `Predictor` interface, so this package needs no torch.
"""

from rhapsode.bundle import Job
from rhapsode.generation.chain import ORDERS, PENALTIES, STEPS, Chain, chain_of
from rhapsode.generation.draw import ELEMENT_LANE, uniforms
from rhapsode.generation.filters.contract import FILTERS, Context, Filter
from rhapsode.generation.filters.control_filters import control_filters
from rhapsode.generation.jobs import Continued, continue_jobs, generate_elements
from rhapsode.generation.loop import Rows
from rhapsode.generation.search import search
from rhapsode.generation.search.beam import Found
from rhapsode.generation.stop_text import StopText
from rhapsode.generation.trace import Trace

__all__ = [
    "ELEMENT_LANE",
    "FILTERS",
    "ORDERS",
    "PENALTIES",
    "STEPS",
    "Chain",
    "Context",
    "Continued",
    "Filter",
    "Found",
    "Job",
    "Rows",
    "StopText",
    "Trace",
    "chain_of",
    "continue_jobs",
    "control_filters",
    "generate_elements",
    "search",
    "uniforms",
]
