"""Benchmarks are run by hand: here they must compile, and what they import of the package must be there."""

import ast
import importlib
import py_compile
from importlib.util import find_spec
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
