"""Texts run the suite of the modality contract."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rhapsode.data import catalogue_documents
from tests.contracts.modality_contract import ModalityContract
from tests.modalities.sources import write


class TestText(ModalityContract):
    name = "text.v1"
    asked: ClassVar[dict[str, Any]] = {
        "network": {"hidden_size": 8, "embedding_size": 8},
        "training": {"batch_size": 4, "window": 16},
        "samples": {"length": 8},
    }

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        prose = "".join(document.text for document in catalogue_documents("python-docs"))
        return write(folder / "prose.txt", prose[:6000])

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        return ({"a": np.arange(20.0)},)
