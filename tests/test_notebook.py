"""The notebook in the documentation: made by its script, of names that exist."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rhapsode as rh

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
RESULTS = ("Document", "Following", "Forecast", "History", "Metrics", "Model", "SeriesModel")
"""Classes whose members the cells use."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "scripts" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def test_the_cells_are_those_of_the_script(script: ModuleType, cells: list[dict[str, Any]]) -> None:
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [*script.CELLS]


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """Name and attribute of every `name.attribute`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_the_cells_use_public_names(cells: list[dict[str, Any]]) -> None:
    members = {name for result in RESULTS for name in dir(getattr(rh, result))}
    # Fields without a default are in no `dir` of a class.
    members |= {"loss", "perplexity", "bits_per_character", "elements", "seed", "finish_reason"}
    for cell in cells:
        if cell["cell_type"] == "code":
            for name, attribute in attributes("".join(cell["source"])):
                known = rh.__all__ if name == "rh" else members
                assert attribute in known, f"{name}.{attribute}"


def test_every_result_has_a_representation_and_none_an_error(cells: list[dict[str, Any]]) -> None:
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert {"text/html", "image/svg+xml", "text/plain"} <= kinds
    assert {output["output_type"] for output in outputs} <= {"execute_result", "stream"}
    assert "stderr" not in {output.get("name") for output in outputs}
