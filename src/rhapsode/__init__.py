"""Train an autoregressive model on your own sequences, and generate more.

import rhapsode as rh
run = rh.train("corpus.txt", budget="3m")
print(run.generate("ROMEO:", temperature=0.8))
print(rh.load("runs/corpus").evaluate("held-out.txt").loss)
"""

from typing import TYPE_CHECKING

from rhapsode.late import late_names

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Continuation",
    "Document",
    "Following",
    "Forecast",
    "History",
    "Info",
    "Metrics",
    "Model",
    "Piece",
    "Plan",
    "RhapsodeError",
    "SeriesModel",
    "Session",
    "Survey",
    "__version__",
    "compare",
    "describe",
    "encode",
    "evaluate",
    "fetch",
    "forecast",
    "info",
    "load",
    "next",
    "plan",
    "session",
    "train",
]

if TYPE_CHECKING:
    from rhapsode.data import fetch_corpus as fetch
    from rhapsode.errors import RhapsodeError
    from rhapsode.modalities.opened import Continuation, Document, Following, Piece
    from rhapsode.modalities.scoring import Metrics
    from rhapsode.verbs.forecast import forecast
    from rhapsode.verbs.series import SeriesForecast as Forecast
    from rhapsode.verbs.series import SeriesModel
    from rhapsode.views.history import History
    from rhapsode.workflows import Model, load
    from rhapsode.workflows.inference.ask import encode, session
    from rhapsode.workflows.inference.ask import next_elements as next
    from rhapsode.workflows.inference.comparison import Comparison, compare, evaluate
    from rhapsode.workflows.inference.describe import Info, info
    from rhapsode.workflows.inference.session import PlaySession as Session
    from rhapsode.workflows.inference.sources import Survey, describe
    from rhapsode.workflows.runs.plan_run import Plan, plan
    from rhapsode.workflows.runs.run import train

_HOMES = {
    "Comparison": "rhapsode.workflows.inference.comparison",
    "Continuation": "rhapsode.modalities.opened",
    "Document": "rhapsode.modalities.opened",
    "Following": "rhapsode.modalities.opened",
    "Forecast": "rhapsode.verbs.series:SeriesForecast",
    "History": "rhapsode.views.history",
    "Info": "rhapsode.workflows.inference.describe",
    "Metrics": "rhapsode.modalities.scoring",
    "Model": "rhapsode.workflows",
    "Piece": "rhapsode.modalities.opened",
    "Plan": "rhapsode.workflows.runs.plan_run",
    "RhapsodeError": "rhapsode.errors",
    "SeriesModel": "rhapsode.verbs.series",
    "Session": "rhapsode.workflows.inference.session:PlaySession",
    "Survey": "rhapsode.workflows.inference.sources",
    "compare": "rhapsode.workflows.inference.comparison",
    "describe": "rhapsode.workflows.inference.sources",
    "encode": "rhapsode.workflows.inference.ask",
    "evaluate": "rhapsode.workflows.inference.comparison",
    "fetch": "rhapsode.data:fetch_corpus",
    "forecast": "rhapsode.verbs.forecast",
    "info": "rhapsode.workflows.inference.describe",
    "load": "rhapsode.workflows",
    "next": "rhapsode.workflows.inference.ask:next_elements",
    "plan": "rhapsode.workflows.runs.plan_run",
    "session": "rhapsode.workflows.inference.ask",
    "train": "rhapsode.workflows.runs.run",
}

# Looked up late, so that importing rhapsode costs nothing and loads no torch.
__getattr__ = late_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
