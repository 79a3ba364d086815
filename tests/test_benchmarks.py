"""Benchmarks are run by hand: here they must compile, and what they import of the package must be there."""

import ast
import importlib
import json
import py_compile
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
FILES = sorted(FOLDER.rglob("*.py"))
OWN = {path.stem for path in FOLDER.glob("*.py")}


def imports(path: Path) -> list[tuple[str, str | None]]:
    """Modules and names that a file imports, wherever in it."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
    return found


def defined(path: Path) -> set[str]:
    """Names that a file gives itself at its top."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    targets = [
        target
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return {
        *(node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)),
        *(target.id for target in targets if isinstance(target, ast.Name)),
    }


def test_there_are_some() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_it_compiles_and_finds_what_it_imports(path: Path, tmp_path: Path) -> None:
    py_compile.compile(str(path), cfile=str(tmp_path / "compiled"), doraise=True)
    for module, name in imports(path):
        if module.split(".")[0] == "rhapsode":
            there = importlib.import_module(module)
            submodule = hasattr(there, "__path__") and find_spec(f"{module}.{name}")
            assert name is None or hasattr(there, name) or submodule, f"{module}.{name}"
        elif module in OWN and path.parent == FOLDER and name is not None:
            assert name in defined(FOLDER / f"{module}.py"), f"{module}.{name}"


def test_what_is_measured_of_a_gpu_runs_on_a_cpu_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    names = "^machine|^train/lstm.v1/.*float|^generate/lstm.v1/1/torch"
    command = [sys.executable, str(FOLDER / "gpu.py"), "--device", "cpu", "--quick"]
    command += ["--out", str(out), "--only"]
    first = subprocess.run([*command, "^machine"], check=True, capture_output=True, text=True)
    assert "1 measurements, 0 done before" in first.stdout
    second = subprocess.run([*command, names], check=True, capture_output=True, text=True)
    assert "1 done before" in second.stdout
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row["name"] for row in rows}) == len(rows) == 5
    assert rows[0]["position_seconds"] > 0
    for row in rows[1:]:
        assert "failed" in row or row["elements_per_second"] > 0
    failed = [row["name"] for row in rows if "failed" in row]
    assert all("float16" in name for name in failed)  # few CPUs have the kernels of both


@pytest.mark.parametrize(
    ("course", "told"), [("time.sleep(60)", "took more than"), ("os._exit(3)", "ended with 3")]
)
def test_a_measurement_that_hangs_or_crashes_is_a_line(course: str, told: str) -> None:
    spec = spec_from_file_location("gpu_benchmark", FOLDER / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    gpu = module_from_spec(spec)
    sys.modules[spec.name] = gpu  # its dataclasses look for it there
    spec.loader.exec_module(gpu)
    begun = 'print(\'{"begins": "x"}\', flush=True)'
    worker = [sys.executable, "-c", f"import os, time; {begun}; {course}"]
    (row,) = gpu.watched(worker, 2.0)
    assert row["name"] == "x"
    assert told in row["failed"]
