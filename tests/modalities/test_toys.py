"""Toy modalities run the suite of the modality contract, and are small."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.contracts.modality_contract import ModalityContract
from tests.modalities import brackets, zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines, write, zigzag_lines

LONGEST = 150


@pytest.mark.parametrize("module", [brackets, zigzag])
def test_a_modality_is_short(module: Any) -> None:
    assert len(Path(module.__file__).read_text().splitlines()) <= LONGEST


class TestBrackets(ModalityContract):
    name = brackets.NAME
    asked: ClassVar[dict[str, Any]] = {
        "network": {"hidden_size": 8, "embedding_size": 8},
        "training": {"batch_size": 4, "window": 16},
        "samples": {"length": 8},
    }

    @classmethod
    def registration(cls) -> AbstractContextManager[None]:
        return registered(cls.name, **brackets.REGISTRATION)

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "lines.brackets", bracket_lines())

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "lines.txt", bracket_lines())


class TestZigzag(ModalityContract):
    name = zigzag.NAME

    @classmethod
    def registration(cls) -> AbstractContextManager[None]:
        return registered(cls.name, **zigzag.REGISTRATION)

    @classmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "lines.zigzag", zigzag_lines())

    @classmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        return write(folder / "lines.txt", zigzag_lines())
