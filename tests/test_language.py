"""Rules of language that a syntax tree can show: docstrings, lines, file names, shape letters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import rhapsode

SOURCE = Path(rhapsode.__file__).parent
LEGEND = SOURCE.parent.parent / "docs" / "shapes.md"
MOST_WORDS = 12
MOST_COLUMNS = 100
Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | Named

REPEATED = ("__init__.py", "contract.py", "config.py", "network.py")
"""Names of files that may stand in any room."""
KINDS = ("settings.py",)
"""Names that a kind of source and a modality may share."""


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of every file."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8")


def public(node: Documented) -> Iterator[Documented]:
    """A module or class and everything public in it; nothing that stands in a function."""
    yield node
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, Named) and not child.name.startswith("_"):
                yield from public(child)


def faults(line: str) -> Iterator[str]:
    """Whatever is wrong with the first line of a docstring."""
    if len(line.split()) > MOST_WORDS:
        yield f"more than {MOST_WORDS} words"
    if line.split(maxsplit=1)[0] == "What":
        yield "begins with What"
    if not line.endswith("."):
        yield "ends without a period"


def test_docstrings_begin_with_a_short_sentence() -> None:
    found = []
    for name, text in sources():
        for node in public(ast.parse(text)):
            docstring = ast.get_docstring(node)
            if docstring:
                first, number = docstring.splitlines()[0], getattr(node, "lineno", 1)
                found += [f"{name}:{number}: {fault}: {first}" for fault in faults(first)]
    assert not found, "\n".join(found)


def test_lines_end_at_a_hundred_columns() -> None:
    found = [
        f"{name}:{number}"
        for name, text in sources()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > MOST_COLUMNS
    ]
    assert not found, "\n".join(found)


def test_no_file_name_stands_twice() -> None:
    """Commands have the names of what they call, and modalities fulfil one contract."""
    rooms: dict[str, set[str]] = {}
    for name, _ in sources():
        *room, file = name.split("/")
        if file not in REPEATED and room != ["cli"]:
            place = "modalities" if room[:1] == ["modalities"] or file in KINDS else name
            rooms.setdefault(file, set()).add(place)
    assert not {file: places for file, places in rooms.items() if len(places) > 1}


def test_a_division_of_the_data_is_called_a_split() -> None:
    """In code, messages, help and documentation: not a part, not a share."""
    root = LEGEND.parent.parent
    pages = [
        *SOURCE.rglob("*.py"),
        *SOURCE.rglob("*.toml"),
        *root.glob("*.md"),
        *root.glob("docs/**/*.md"),
    ]
    other = re.compile(r"\b(training|validation|test|held-out)\s+(part|share|portion)s?\b")
    found = [
        f"{path.relative_to(root)}: {' '.join(match[0].split())}"
        for path in pages
        for match in other.finditer(path.read_text(encoding="utf-8").replace("# ", ""))
    ]
    assert not found, "\n".join(found)


def identifiers(text: str) -> Iterator[str]:
    """Names of variables, parameters and attributes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_shape_letters_stand_in_the_legend() -> None:
    page = LEGEND.read_text(encoding="utf-8")
    legend = set(re.findall(r"^\| ([A-Z]) \|", page, re.MULTILINE))
    unknown = set()
    for name, text in sources():
        for identifier in identifiers(text):
            suffix = re.fullmatch(r"_*[a-z]\w*?_([A-Z][A-Z0-9]*)", identifier)
            if suffix and not set(re.findall("[A-Z]", suffix[1])) <= legend:
                unknown.add(f"{name}: {identifier}")
    assert not unknown
