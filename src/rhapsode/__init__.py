"""Train an autoregressive model on your own sequences, and generate more.

import rhapsode as rh
run = rh.train("corpus.txt", budget="3m")
print(run.generate("ROMEO:", temperature=0.8))
print(rh.load("runs/corpus").evaluate("held-out.txt").loss)
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Continuation",
    "Model",
    "RhapsodeError",
    "SeriesForecast",
    "SeriesModel",
    "__version__",
    "load",
    "train",
]

if TYPE_CHECKING:
    from rhapsode.errors import RhapsodeError
    from rhapsode.modalities.opened import Continuation
    from rhapsode.verbs.series import SeriesForecast, SeriesModel
    from rhapsode.workflows import Model, load
    from rhapsode.workflows.runs.run import train

_HOMES = {
    "Continuation": "rhapsode.modalities.opened",
    "Model": "rhapsode.workflows",
    "load": "rhapsode.workflows",
    "SeriesForecast": "rhapsode.verbs.series",
    "SeriesModel": "rhapsode.verbs.series",
    "train": "rhapsode.workflows.runs.run",
    "RhapsodeError": "rhapsode.errors",
}


def __getattr__(name: str) -> Any:
    # Looked up late, so that importing rhapsode costs nothing and loads no torch.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rhapsode' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
