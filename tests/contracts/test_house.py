"""Shared rooms know no modality: their syntax trees are read for names, imports and questions of kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rhapsode
from rhapsode.modalities import MODALITIES

SOURCE = Path(rhapsode.__file__).parent
KINDS = ("text", "series", "music", "strokes", "sound")
"""Rooms and modalities that may be there."""

OWN = tuple(
    [f"modalities/{kind}/" for kind in KINDS]
    + [f"encoding/{kind}/" for kind in KINDS]
    + ["data/tables/", "data/sources/", "verbs/"]
)
"""Rooms of one modality, and the only one above them that may name one."""
BASES = ("modalities/ids/", "modalities/values/")

WRITTEN_BY_ONE = (
    *(f"rhapsode.modalities.{kind}" for kind in KINDS),
    *(f"rhapsode.encoding.{kind}" for kind in KINDS),
    "rhapsode.data.tables",
)
ASKED = ("Predictor", "Model", "Bundle", "Encoder", "Document", "Modality", "Facts")
"""Ends of the names of classes that nobody may be asked for by `isinstance` or `match`."""
LONGEST_CLASS = 400
LONGEST_COMMAND = 150
"""Lines of a file of the command line."""


def files() -> list[str]:
    return sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))


def shared() -> list[str]:
    return [name for name in files() if not name.startswith(OWN)]


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of modules, also of those imported late or for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def docstrings(tree: ast.AST) -> set[int]:
    """Identities of constants that are documentation."""
    found = set()
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                found.add(id(child.value))
    return found


def class_names(node: ast.expr) -> Iterator[str]:
    """Names of the classes in the second argument of `isinstance`."""
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            yield child.id
        elif isinstance(child, ast.Attribute):
            yield child.attr


def is_asked(name: str) -> bool:
    return name.endswith(ASKED)


def findings(name: str) -> set[str]:
    """What a shared file says of modalities."""
    tree = ast.parse((SOURCE / name).read_text(encoding="utf-8"))
    found = set()
    for module in imported(tree):
        found |= {f"imports {room}" for room in WRITTEN_BY_ONE if within(module, room)}
    texts = docstrings(tree)
    registered = {*MODALITIES.names()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in texts:
            if isinstance(node.value, str) and node.value in registered:
                found.add(f"names {node.value}")
            elif isinstance(node.value, str):
                places = [room for room in WRITTEN_BY_ONE if within(place(node.value), room)]
                found |= {f"imports {room}" for room in places}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
                asked = filter(is_asked, class_names(node.args[1]))
                found |= {f"asks whether something is a {one}" for one in asked}
        elif isinstance(node, ast.MatchClass):
            asked = filter(is_asked, class_names(node.cls))
            found |= {f"asks whether something is a {one}" for one in asked}
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(each, ast.Attribute) and each.attr == "modality" for each in sides):
                found.add("compares a modality")
            calls = [each.func for each in sides if isinstance(each, ast.Call)]
            if any(isinstance(each, ast.Name) and each.id == "modality_of" for each in calls):
                found.add("compares a modality")
    return found


def place(value: str) -> str:
    """The module of "module:attribute"; nothing of a sentence."""
    return "" if " " in value else value.partition(":")[0]


@pytest.mark.parametrize("name", shared())
def test_a_shared_file_knows_no_modality(name: str) -> None:
    assert not findings(name)


@pytest.mark.parametrize("name", [name for name in files() if name.startswith("modalities/")])
def test_modalities_do_not_import_each_other(name: str) -> None:
    own = name.split("/")[1]
    others = {kind for kind in KINDS if kind != own}
    tree = ast.parse((SOURCE / name).read_text(encoding="utf-8"))
    rooms = [f"rhapsode.{room}.{kind}" for room in ("modalities", "encoding") for kind in others]
    if own != "series":
        rooms.append("rhapsode.data.tables")
    assert not [module for module in imported(tree) for room in rooms if within(module, room)]


@pytest.mark.parametrize("name", [name for name in files() if name.startswith("modalities/")])
def test_no_class_of_a_modality_is_long(name: str) -> None:
    tree = ast.parse((SOURCE / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_CLASS, node.name


@pytest.mark.parametrize("name", [name for name in files() if name.startswith("cli/")])
def test_the_command_line_is_short_files_over_the_public_names(name: str) -> None:
    source = (SOURCE / name).read_text(encoding="utf-8")
    assert source.count("\n") <= LONGEST_COMMAND
    tree = ast.parse(source)
    ours = {module for module in imported(tree) if within(module, "rhapsode")}
    rooms = ("cli", "config", "errors", "log", "views")
    below = {m for m in ours - {"rhapsode"} if not any(within(m, f"rhapsode.{r}") for r in rooms)}
    assert not below
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "rh"
    }
    assert used <= {*rhapsode.__all__}
