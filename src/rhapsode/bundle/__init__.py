"""One object and the one file it lives in.

This face is the half that reads and the predictor contract: configuration, encoder, provenance, arrays, distributions,
without torch. The network half is `rhapsode.bundle.network` and `rhapsode.bundle.torch_predictor`; models of series are in
`rhapsode.bundle.series_bundle`.
"""

from rhapsode.bundle.distribution import (
    Distribution,
    Elements,
    LogitsDistribution,
    Sample,
    Table,
    draw,
    log_softmax,
)
from rhapsode.bundle.grammatical import Grammatical, GrammaticalNetwork
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
from rhapsode.bundle.reading import (
    COUNTS,
    FORMAT_VERSION,
    Bundle,
    Component,
    Mixture,
    NetworkConfig,
    bundle_path,
    is_series_model,
    read_bundle,
    write_bundle,
)

__all__ = [
    "COUNTS",
    "FORMAT_VERSION",
    "Bundle",
    "CompiledSteps",
    "Component",
    "Counting",
    "Distribution",
    "Elements",
    "Examined",
    "Grammatical",
    "GrammaticalNetwork",
    "Job",
    "LogitsDistribution",
    "Mixture",
    "NetworkConfig",
    "NetworkPredictor",
    "Predictor",
    "Sample",
    "Stretch",
    "StretchRequest",
    "Table",
    "bundle_path",
    "draw",
    "is_series_model",
    "log_softmax",
    "read_bundle",
    "refuse_condition",
    "write_bundle",
]
