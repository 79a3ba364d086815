"""The suite of the modality contract, run by those of the package and by toys."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rhapsode.data import catalogue_documents
from tests.contracts.modality_contract import ModalityContract
from tests.modalities import brackets, zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines, zigzag_lines


def write(path: Path, text: str) -> tuple[str]:
    path.write_text(text, encoding="utf-8")
    return (str(path),)


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
