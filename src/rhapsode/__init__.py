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
    "Answered",
    "BlindComparison",
    "Comparison",
    "Continuation",
    "Document",
    "Evaluated",
    "Event",
    "Finished",
    "Following",
    "Forecast",
    "ForecastSettings",
    "History",
    "Info",
    "Metrics",
    "Model",
    "Piece",
    "Plan",
    "RenderSettings",
    "Request",
    "RhapsodeError",
    "Sampled",
    "Saved",
    "SeriesModel",
    "SeriesSettings",
    "ServeSettings",
    "Session",
    "Step",
    "Survey",
    "Training",
    "WriteSettings",
    "__version__",
    "answer",
    "claim_report",
    "compare",
    "components",
    "corpora",
    "describe",
    "encode",
    "evaluate",
    "fetch",
    "forecast",
    "info",
    "is_repeated",
    "load",
    "measuring_settings",
    "next",
    "plan",
    "prepare",
    "render",
    "repeat",
    "request",
    "serve",
    "session",
    "setting_places",
    "show",
    "train",
    "write",
    "write_lines",
]

if TYPE_CHECKING:
    from rhapsode.data import fetch_corpus as fetch
    from rhapsode.data import list_corpora as corpora
    from rhapsode.errors import RhapsodeError
    from rhapsode.modalities.info import Info
    from rhapsode.modalities.model import Model
    from rhapsode.modalities.opened import Answered, Continuation, Document, Following, Piece
    from rhapsode.modalities.scoring import Metrics
    from rhapsode.modalities.session import PlaySession as Session
    from rhapsode.serving.start import ServeSettings, serve
    from rhapsode.training.events import Evaluated, Event, Finished, Sampled, Saved, Step
    from rhapsode.verbs.forecast import ForecastSettings, SeriesSettings, forecast
    from rhapsode.verbs.render import RenderSettings, render
    from rhapsode.verbs.series import SeriesForecast as Forecast
    from rhapsode.verbs.series import SeriesModel
    from rhapsode.verbs.write import WriteSettings, write
    from rhapsode.views.history import History
    from rhapsode.workflows.component_settings import (
        components,
        measuring_settings,
        setting_places,
    )
    from rhapsode.workflows.inference.answer_lines import answer, write_lines
    from rhapsode.workflows.inference.ask import encode, info, load, session
    from rhapsode.workflows.inference.ask import next_elements as next
    from rhapsode.workflows.inference.blind import BlindComparison
    from rhapsode.workflows.inference.comparison import Comparison, compare, evaluate
    from rhapsode.workflows.inference.requests import Request, request
    from rhapsode.workflows.inference.sources import Survey, describe, show
    from rhapsode.workflows.runs.planning import Plan, plan
    from rhapsode.workflows.runs.repeat import is_repeated, repeat
    from rhapsode.workflows.runs.run import claim_report, train
    from rhapsode.workflows.runs.run import prepare_training as prepare
    from rhapsode.workflows.runs.training import Training

_HOMES = {
    "data": "fetch=fetch_corpus corpora=list_corpora",
    "errors": "RhapsodeError",
    "modalities.info": "Info",
    "modalities.model": "Model",
    "modalities.opened": "Answered Continuation Document Following Piece",
    "modalities.scoring": "Metrics",
    "modalities.session": "Session=PlaySession",
    "serving.start": "ServeSettings serve",
    "training.events": "Evaluated Event Finished Sampled Saved Step",
    "verbs.forecast": "ForecastSettings SeriesSettings forecast",
    "verbs.render": "RenderSettings render",
    "verbs.series": "Forecast=SeriesForecast SeriesModel",
    "verbs.write": "WriteSettings write",
    "views.history": "History",
    "workflows.component_settings": "components measuring_settings setting_places",
    "workflows.inference.answer_lines": "answer write_lines",
    "workflows.inference.ask": "encode info load next=next_elements session",
    "workflows.inference.blind": "BlindComparison",
    "workflows.inference.comparison": "Comparison compare evaluate",
    "workflows.inference.requests": "Request request",
    "workflows.inference.sources": "Survey describe show",
    "workflows.runs.planning": "Plan plan",
    "workflows.runs.repeat": "is_repeated repeat",
    "workflows.runs.run": "claim_report prepare=prepare_training train",
    "workflows.runs.training": "Training",
}
"""The modules of the public names; `a=b` is the name `a` for the module's `b`."""

# Looked up late, so that importing rhapsode costs nothing and loads no torch.
__getattr__ = late_names(
    __name__,
    {
        entry.partition("=")[0]: f".{module}:{entry.rpartition('=')[2]}"
        for module, names in _HOMES.items()
        for entry in names.split()
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
