"""One object and the one file it lives in.

This face is the half that reads and the predictor contract: configuration, encoder, provenance, arrays, distributions,
without torch. The network half is `rhapsode.bundle.network`, `rhapsode.bundle.torch_predictor` and
`rhapsode.bundle.series_predictor`.
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
from rhapsode.bundle.model_file import (
    FACTS,
    FORMAT_VERSION,
    Bundle,
    Component,
    Facts,
    Member,
    NetworkConfig,
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
from rhapsode.bundle.text_facts import COUNTS, TextBundle, TextFacts, read_text_bundle

__all__ = [
    "COUNTS",
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
    "Job",
    "LogitsDistribution",
    "Member",
    "Mixture",
    "NetworkConfig",
    "NetworkPredictor",
    "Predictor",
    "Provenance",
    "Sample",
    "Stretch",
    "StretchRequest",
    "Table",
    "TextBundle",
    "TextFacts",
    "bundle_path",
    "draw",
    "modality_of",
    "log_softmax",
    "read_bundle",
    "read_text_bundle",
    "refuse_condition",
    "write_bundle",
]
