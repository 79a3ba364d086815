"""Kept code is found without numba's tables of all that it could compile, and compiled where it is not found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import numpy as np
from rhapsode.counts.ngram_counting import count_endings
def count():
    endings = np.zeros(4, np.int32)
    count_endings(np.array([0, 1, 1, 3, 0], np.int32), 0, 5, endings)
    return endings.tolist()
"""
NO_TABLES = """
from numba.core.base import BaseContext
def refresh(self):
    raise RuntimeError("tables")
BaseContext.refresh = refresh
"""
BROKEN = """
def load(*asked):
    del count_endings._cache._load_overload
    raise OSError("broken")
count_endings._cache._load_overload = load
"""


def told(code: str, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    assert told(COUNT + "print(count(), len(count_endings.stats.cache_hits))", folder) == (
        "[2, 2, 0, 1] 0"
    )
    return folder


def test_kept_code_needs_no_tables(cache: Path) -> None:
    code = COUNT + NO_TABLES + "print(count(), len(count_endings.stats.cache_hits))"
    assert told(code, cache) == "[2, 2, 0, 1] 1"


def test_what_cannot_be_loaded_so_is_compiled_as_ever(cache: Path) -> None:
    code = COUNT + BROKEN + "print(count(), len(count_endings.stats.cache_misses))"
    assert told(code, cache / "other") == "[2, 2, 0, 1] 1"


NOWHERE = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = [caching.UserProvidedCacheLocator]
"""


def test_without_a_folder_for_it_code_is_kept_in_a_temporary_one(tmp_path: Path) -> None:
    code = f"{NOWHERE}{COUNT}print(count(), len(count_endings.stats.cache_misses))"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": "/proc/none"}
    for name in ("NUMBA_CACHE_DIR", "RHAPSODE_CACHE", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    for misses in (1, 0):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert done.stdout.strip().endswith(f" {misses}")
        assert done.stderr.count("\n") == done.stderr.count("no cache folder") == 1
    code = "from rhapsode.data.store import cache_folder; print(cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert Path(done.stdout.strip()).parent == tmp_path
    assert Path(done.stdout.strip()).stat().st_mode & 0o777 == 0o700
