"""Either modality can be taken out, and everything else goes on."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rhapsode
from tests.contracts.test_house import imported, within

SOURCE = Path(rhapsode.__file__).parent
TESTS = Path(__file__).parent.parent
SERIES = (
    "modalities/series",
    "encoding/series",
    "data/tables",
    "verbs/forecast.py",
    "verbs/series.py",
    "cli/forecast.py",
)
TEXT = ("modalities/text", "encoding/text")
SERIES_TESTS = ("data/tables", "workflows/series", "encoding/test_series.py")

WALK = """
import importlib, json, pkgutil
import rhapsode

broken = {}
for module in pkgutil.walk_packages(rhapsode.__path__, "rhapsode.", onerror=lambda name: None):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as problem:
        broken[module.name] = str(problem)
print(json.dumps(broken))
"""


def copy_without(folder: Path, rooms: tuple[str, ...]) -> None:
    shutil.copytree(
        SOURCE, folder / "src" / "rhapsode", ignore=shutil.ignore_patterns("__pycache__")
    )
    for room in rooms:
        path = folder / "src" / "rhapsode" / room
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def run(folder: Path, *arguments: str, seconds: float = 500) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "RHAPSODE_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def broken(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(run(folder, "-c", WALK).stdout)
    return found


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)


def suite_files(rooms: tuple[str, ...]) -> set[Path]:
    """Test files that import what is taken out, themselves or through others."""
    gone = {f"rhapsode.{room.removesuffix('.py').replace('/', '.')}" for room in rooms}
    files = [path for path in TESTS.rglob("*.py") if path.name != "__init__.py"]
    uses = {path: set(imported(ast.parse(path.read_text()))) for path in files}
    left: set[Path] = set()
    while True:
        more = {
            path
            for path, modules in uses.items()
            if path not in left and any(within(one, room) for one in modules for room in gone)
        }
        if not more:
            return left
        left |= more
        gone |= {module_of(path) for path in more}


@pytest.fixture(scope="module")
def without_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without_series")
    copy_without(folder, SERIES)
    shutil.copytree(TESTS, folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    own = suite_files(SERIES) | {TESTS / "modalities" / "test_series.py", Path(__file__)}
    for path in own:
        (folder / path.relative_to(TESTS.parent)).unlink()
    for name in SERIES_TESTS:
        shutil.rmtree(folder / "tests" / name, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def without_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without_text")
    copy_without(folder, TEXT)
    return folder


@pytest.mark.slow
def test_everything_else_imports_without_series(without_series: Path) -> None:
    assert broken(without_series) == {}


@pytest.mark.slow
def test_the_suite_is_collected_without_series(without_series: Path) -> None:
    done = run(without_series, "-m", "pytest", "-q", "-n", "0", "--collect-only", "tests")
    assert "error" not in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_part_of_the_suite_is_green_without_series(without_series: Path) -> None:
    run(
        without_series, "-m", "pytest", "-q", "-n", "0", "-x",
        "tests/modalities", "tests/contracts", "tests/config", "tests/test_errors.py",
    )  # fmt: skip


@pytest.mark.slow
def test_text_is_learnt_without_series(without_series: Path) -> None:
    quick = ("--steps", "5", "--set", "network.hidden_size=8", "--set", "samples.length=0")
    (without_series / "text.txt").write_text("All work and no play. " * 400)
    run(without_series, "-m", "rhapsode", "train", "text.txt", "-o", "run", *quick)
    done = run(without_series, "-m", "rhapsode", "evaluate", "run", "--split", "test", "--json")
    assert json.loads(done.stdout)["loss"] > 0
    assert "forecast" not in run(without_series, "-m", "rhapsode", "--help").stdout


@pytest.mark.slow
def test_everything_else_imports_without_text(without_text: Path) -> None:
    assert broken(without_text) == {}


@pytest.mark.slow
def test_series_are_learnt_evaluated_and_forecast_without_text(without_text: Path) -> None:
    quick = ("--steps", "20", "--set", "network.hidden_size=8")
    run(without_text, "-m", "rhapsode", "train", "airline", "-o", "run", *quick)
    done = run(without_text, "-m", "rhapsode", "evaluate", "run", "--split", "test", "--json")
    assert json.loads(done.stdout)["loss"] > 0
    done = run(without_text, "-m", "rhapsode", "forecast", "run", "--horizon", "3")
    assert len(done.stdout.splitlines()) == 4
