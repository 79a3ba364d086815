"""Settings that every test shares: a cache of its own, few threads, a small text."""

import functools
import gc
import logging
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks; and test runs may share cores

from pathlib import Path

import pytest

from rhapsode.data import Document, catalogue_documents
from rhapsode.data.corpora import catalogue

DATA = os.environ.get("RHAPSODE_DATA")
# Where the library asks for the speed of the machine; the test of the measuring itself asks the room.
MEASURED = ("rhapsode.training", "rhapsode.workflows.runs.planning")
FROZEN = {"modules": 0}
draw_kitchen = catalogue.kitchen_documents


@functools.cache
def kitchen() -> tuple[Document, ...]:
    return tuple(draw_kitchen())


# The same ten thousand recipes each time: they are drawn once in a process.
catalogue.kitchen_documents = lambda: iter(kitchen())  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while tests are collected."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the engine first: its kernels are then compiled in one worker while the other has other work."""
    items.sort(key=lambda item: item.path.parent.name != "engine")
    # Workers refuse to run tests whose names differ between them.
    addresses = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if addresses:
        raise pytest.UsageError(f"the name of a test holds an address: {addresses[0]}")


@pytest.fixture(autouse=True)
def _frozen_modules() -> None:
    """Leave tests and modules out of garbage collections: a run asks for two, each of half a second with them."""
    if len(sys.modules) > FROZEN["modules"] + 20:
        FROZEN["modules"] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _measured_once() -> None:
    """Measure the speed of the machine once in a process: it takes a second, and every run asks for it."""
    for place in MEASURED:
        room = sys.modules.get(place)
        if room is not None and not hasattr(room.matmul_rates, "cache_info"):
            room.matmul_rates = functools.cache(room.matmul_rates)  # type: ignore[attr-defined]


def check_handle(handle: int) -> None:
    """Refuse a handle that is not open, as the system does."""
    os.fstat(handle)


# No test cuts the power, and waiting for the disk takes minutes of the suite.
os.fsync = check_handle


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


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Messages of the package's logger, as they come."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("rhapsode")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


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
