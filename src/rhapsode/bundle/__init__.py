"""One object and the one file it lives in.

This face is the half that reads and the predictor contract: configuration, encoder, provenance, arrays, distributions,
without torch. The network half is `rhapsode.bundle.network`, `rhapsode.bundle.torch_predictor` and
`rhapsode.bundle.value_predictor`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rhapsode.bundle.combined.grammatical import Grammatical, GrammaticalNetwork
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.distribution import (
    Distribution,
    Elements,
    LogitsDistribution,
    Sample,
    Table,
    draw,
    log_softmax,
)
from rhapsode.bundle.id_facts import IdBundle, IdFacts, NGramPart
from rhapsode.bundle.model_file import (
    FACTS,
    FORMAT_VERSION,
    Bundle,
    Component,
    Facts,
    Member,
    NetworkConfig,
    NetworkSizes,
    bundle_path,
    modality_of,
    read_bundle,
    write_bundle,
)
from rhapsode.bundle.predictor import (
    CompiledSteps,
    Counting,
    Examined,
    Job,
    NetworkPredictor,
    Predictor,
    Stretch,
    StretchRequest,
    refuse_condition,
)
from rhapsode.bundle.provenance import Calibration, Mixture, Provenance

if TYPE_CHECKING:
    from rhapsode.bundle.value_facts import (
        History,
        ValueBundle,
        ValueCondition,
        ValueFacts,
        ValuePaths,
    )

__all__ = [
    "FACTS",
    "FORMAT_VERSION",
    "Bundle",
    "Calibration",
    "CompiledSteps",
    "Component",
    "Counting",
    "Distribution",
    "Elements",
    "Examined",
    "Facts",
    "Grammatical",
    "GrammaticalNetwork",
    "History",
    "IdBundle",
    "IdFacts",
    "Job",
    "LogitsDistribution",
    "Member",
    "MixedPredictor",
    "Mixture",
    "NGramPart",
    "NetworkConfig",
    "NetworkSizes",
    "NetworkPredictor",
    "Predictor",
    "Provenance",
    "Sample",
    "Stretch",
    "StretchRequest",
    "Table",
    "ValueBundle",
    "ValueCondition",
    "ValueFacts",
    "ValuePaths",
    "bundle_path",
    "draw",
    "modality_of",
    "log_softmax",
    "read_bundle",
    "refuse_condition",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    # Facts of values are loaded when they are asked for: a text needs none.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("rhapsode.bundle.value_facts"), name)
