"""Series run the suite of the modality contract."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tests.contracts.modality_contract import ModalityContract
from tests.modalities.sources import write


class TestSeries(ModalityContract):
    name = "series.v1"
    asked: ClassVar[dict[str, Any]] = {"network": {"hidden_size": 8}}

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        random = np.random.default_rng(1)
        rows = (
            f"2020-{m:02}-{d:02},{random.normal():.3f}" for m in (1, 2, 3) for d in range(1, 29)
        )
        return write(folder / "walk.csv", "\n".join(["day,value", *rows]) + "\n")

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "prose.txt", "Nothing but words.\n" * 20)
