"""Every modality and the server can be taken out, and everything else goes on."""

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
# Folders and files of tests that need what is taken out without importing it.
SERIES_TESTS = (
    "data/tables",
    "workflows/series",
    "encoding/test_series.py",
    "modalities/test_series.py",
)
OTHERS = {
    "music": ("modalities/music", "encoding/music", "verbs/render.py", "cli/render.py"),
    "strokes": ("modalities/strokes", "encoding/strokes", "verbs/write.py", "cli/write.py"),
    "serving": ("serving", "cli/serve.py"),
}

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


def copy_with_tests(folder: Path, rooms: tuple[str, ...], tests: tuple[str, ...] = ()) -> None:
    """Copy the tree without some rooms, and with the tests that do not need them."""
    copy_without(folder, rooms)
    shutil.copytree(TESTS, folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    for path in suite_files(rooms) | {Path(__file__)}:
        (folder / path.relative_to(TESTS.parent)).unlink()
    for name in tests:
        path = folder / "tests" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def without_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without_series")
    copy_with_tests(folder, SERIES, SERIES_TESTS)
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


def learns_text(folder: Path) -> bool:
    quick = ("--steps", "5", "--set", "network.hidden_size=8", "--set", "samples.length=0")
    (folder / "text.txt").write_text("All work and no play. " * 400)
    run(folder, "-m", "rhapsode", "train", "text.txt", "-o", "run", *quick)
    done = run(folder, "-m", "rhapsode", "evaluate", "run", "--split", "test", "--json")
    return bool(json.loads(done.stdout)["loss"] > 0)


@pytest.mark.slow
def test_text_is_learnt_without_series(without_series: Path) -> None:
    assert learns_text(without_series)
    assert "forecast" not in run(without_series, "-m", "rhapsode", "--help").stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_imports_without(name: str, tmp_path: Path) -> None:
    copy_without(tmp_path, OTHERS[name])
    assert broken(tmp_path) == {}


@pytest.mark.slow
def test_text_is_learnt_without_music_strokes_and_server(tmp_path: Path) -> None:
    copy_with_tests(tmp_path, tuple(room for rooms in OTHERS.values() for room in rooms))
    done = run(tmp_path, "-m", "pytest", "-q", "-n", "0", "--collect-only", "tests")
    assert "error" not in done.stdout.splitlines()[-1]
    assert learns_text(tmp_path)
    commands = run(tmp_path, "-m", "rhapsode", "--help").stdout
    assert "render" not in commands
    assert "serve" not in commands


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
