"""One object and the one file it lives in.

This face is the half that reads: configuration, encoder, provenance, arrays, without torch. The network half is
`rhapsode.bundle.network` and `rhapsode.bundle.torch_predictor`.
"""

from rhapsode.bundle.predictor import Examined, NetworkPredictor, Predictor
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
from rhapsode.bundle.series_bundle import (
    Covariates,
    SeriesBundle,
    learn_covariates,
    read_series_bundle,
    write_series_bundle,
)

__all__ = [
    "COUNTS",
    "FORMAT_VERSION",
    "Bundle",
    "Component",
    "Covariates",
    "Examined",
    "Mixture",
    "NetworkConfig",
    "NetworkPredictor",
    "Predictor",
    "SeriesBundle",
    "bundle_path",
    "is_series_model",
    "learn_covariates",
    "read_bundle",
    "read_series_bundle",
    "write_bundle",
    "write_series_bundle",
]
