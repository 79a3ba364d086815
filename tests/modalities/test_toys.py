"""Toy modalities run the suite of the modality contract, and are small."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.contracts.modality_contract import ModalityContract
from tests.modalities import bracket_encoder, brackets, zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines, write, zigzag_lines


@pytest.mark.parametrize(
    ("modules", "most"), [((brackets, bracket_encoder), 150), ((zigzag,), 175)]
)
def test_a_modality_is_short(modules: tuple[Any, ...], most: int) -> None:
    lines = [len(Path(module.__file__).read_text().splitlines()) for module in modules]
    assert sum(lines) <= most


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
