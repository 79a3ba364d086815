"""Train an autoregressive model on your own sequences, and generate more.

import rhapsode as rh
run = rh.train("corpus.txt", budget="3m")
print(run.generate("ROMEO:", temperature=0.8))
print(rh.load("runs/corpus").evaluate("held-out.txt").loss)
"""

from typing import TYPE_CHECKING, Any

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
    from rhapsode.errors import RhapsodeError as RhapsodeError
    from rhapsode.modalities.opened import Continuation as Continuation
    from rhapsode.modalities.opened import Document as Document
    from rhapsode.modalities.opened import Following as Following
    from rhapsode.modalities.opened import Piece as Piece
    from rhapsode.modalities.scoring import Metrics as Metrics
    from rhapsode.verbs.forecast import forecast as forecast
    from rhapsode.verbs.series import SeriesForecast as Forecast
    from rhapsode.verbs.series import SeriesModel as SeriesModel
    from rhapsode.views.history import History as History
    from rhapsode.workflows import Model as Model
    from rhapsode.workflows import load as load
    from rhapsode.workflows.inference.ask import encode as encode
    from rhapsode.workflows.inference.ask import next_elements as next
    from rhapsode.workflows.inference.ask import session as session
    from rhapsode.workflows.inference.comparison import Comparison as Comparison
    from rhapsode.workflows.inference.comparison import compare as compare
    from rhapsode.workflows.inference.comparison import evaluate as evaluate
    from rhapsode.workflows.inference.describe import Info as Info
    from rhapsode.workflows.inference.describe import info as info
    from rhapsode.workflows.inference.session import PlaySession as Session
    from rhapsode.workflows.inference.sources import Survey as Survey
    from rhapsode.workflows.inference.sources import describe as describe
    from rhapsode.workflows.runs.plan_run import Plan as Plan
    from rhapsode.workflows.runs.plan_run import plan as plan
    from rhapsode.workflows.runs.run import train as train

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


def __getattr__(name: str) -> Any:
    # Looked up late, so that importing rhapsode costs nothing and loads no torch.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rhapsode' has no attribute {name!r}")
    import importlib

    module, _, inner = home.partition(":")
    return getattr(importlib.import_module(module), inner or name)


def __dir__() -> list[str]:
    return sorted(__all__)
