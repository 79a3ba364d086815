"""One object and the one file it lives in.

This face is the half that reads: configuration, encoder, provenance, arrays, without torch. The network half is
`rhapsode.bundle.network` and `rhapsode.bundle.torch_predictor`; models of series are in `rhapsode.bundle.series_bundle`.
"""

from rhapsode.bundle.predictor import Examined, Narrowing, NetworkPredictor, Predictor
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
    "Component",
    "Examined",
    "Mixture",
    "NetworkConfig",
    "Narrowing",
    "NetworkPredictor",
    "Predictor",
    "bundle_path",
    "is_series_model",
    "read_bundle",
    "write_bundle",
]
