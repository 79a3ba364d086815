"""The bundle of a model, and its file.

This package exports what needs no torch: configuration, encoder, provenance, arrays, distributions
and the predictor contract. The network half is `rhapsode.bundle.network`,
`rhapsode.bundle.torch_predictor` and `rhapsode.bundle.value_predictor`.
"""

from rhapsode.bundle.combined.grammatical import Grammatical
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.distribution import (
    Distribution,
    Elements,
    LogitsDistribution,
    Sample,
    draw,
    log_softmax,
)
from rhapsode.bundle.element_facts import (
    History,
    IdBundle,
    IdFacts,
    NGramPart,
    ValueBundle,
    ValueCondition,
    ValueFacts,
)
from rhapsode.bundle.model_file import (
    FACTS,
    FORMAT_VERSION,
    Bundle,
    Component,
    Member,
    NetworkConfig,
    NetworkSizes,
    SourceReader,
    bundle_path,
    modality_of,
    naming_file,
    read_bundle,
    write_bundle,
)
from rhapsode.bundle.predictor import (
    CompiledSteps,
    Examined,
    Job,
    Predictor,
    Stretch,
    StretchRequest,
    refuse_condition,
)
from rhapsode.bundle.provenance import (
    NETWORK,
    Calibration,
    Mixture,
    PathCalibration,
    Provenance,
)

__all__ = [
    "FACTS",
    "FORMAT_VERSION",
    "NETWORK",
    "Bundle",
    "Calibration",
    "CompiledSteps",
    "Component",
    "Distribution",
    "Elements",
    "Examined",
    "Grammatical",
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
    "PathCalibration",
    "Predictor",
    "Provenance",
    "Sample",
    "Stretch",
    "SourceReader",
    "StretchRequest",
    "ValueBundle",
    "ValueCondition",
    "ValueFacts",
    "bundle_path",
    "draw",
    "modality_of",
    "naming_file",
    "log_softmax",
    "read_bundle",
    "refuse_condition",
    "write_bundle",
]
