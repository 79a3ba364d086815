"""Settings that every test shares: a cache of its own, few threads, a small text."""

import os
import sys
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks; and test runs may share cores

from pathlib import Path

import pytest

from rhapsode.data import catalogue_documents

DATA = os.environ.get("RHAPSODE_DATA")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep encoded text out of the user's cache."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("RHAPSODE_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _own_arithmetic() -> Iterator[None]:
    """Undo what training does to the processor: with denormals flushed to zero hypothesis draws no floats."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def prose() -> str:
    """Forty thousand characters of English."""
    return "".join(document.text for document in catalogue_documents("python-docs"))[:40_000]


@pytest.fixture
def prose_file(prose: str, tmp_path: Path) -> Path:
    """The same in a file."""
    path = tmp_path / "prose.txt"
    path.write_text(prose, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora; tests that need it are skipped, visibly, without it."""
    if DATA is None or not Path(DATA).is_dir():
        pytest.skip("RHAPSODE_DATA names no folder of corpora")
    return Path(DATA)
