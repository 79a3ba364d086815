"""Music runs the suite of the modality contract."""

from pathlib import Path
from typing import Any, ClassVar

from tests.contracts.modality_contract import ModalityContract
from tests.modalities.music.chorales import roll_file
from tests.modalities.sources import write


class TestMusic(ModalityContract):
    name = "music.v1"
    asked: ClassVar[dict[str, Any]] = {
        "network": {"hidden_size": 8, "embedding_size": 8},
        "training": {"batch_size": 4, "window": 16},
        "samples": {"length": 8},
    }

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        return (roll_file(folder),)

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "prose.txt", "Some words.\n" * 40)
