"""Draws docs/pictures/rooms.svg from the imports of the code; --check only compares."""

import argparse
import ast
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "rhapsode"
PICTURE = ROOT / "docs" / "pictures" / "rooms.svg"

ABOUT = {
    "cli": "flags and terminals",
    "serving": "HTTP server and page",
    "verbs": "forecast, render",
    "workflows": "train, evaluate, compare",
    "modalities": "text, series, music, strokes",
    "engine": "compiled generation",
    "training": "loop, plan, checkpoints",
    "generation": "loop, filters, searches",
    "evaluation": "losses, baselines",
    "views": "tables, cards, pictures",
    "bundle": "model file, predictors",
    "data": "sources, batches",
    "encoding": "documents to elements",
    "models": "networks with a state",
    "heads": "distributions",
    "counts": "n-grams, mixing, text index",
    "config": "settings",
}
WIDTH, HEIGHT, ROW, TOP = 176, 54, 92, 74
STEP = 196
INK, PALE, PAPER, BOX = "#1f2933", "#8a97a3", "#ffffff", "#f3f6f8"


@dataclass(frozen=True)
class Room:
    """A room at its place in the picture."""

    name: str
    files: int
    x: float
    y: float


def layers() -> list[list[str]]:
    """Rooms by layer, from the top, as the import contract orders them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rows = [
        [name.strip().removeprefix("rhapsode.") for name in row.split("|")]
        for row in contracts["contracts"][0]["layers"]
    ]
    return [kept for row in rows if (kept := [name for name in row if name in ABOUT])]


def room_of(path: Path) -> str:
    """The room of a file."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms that a file imports from, type checking aside."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rhapsode."):
            found.add(str(node.module).split(".")[1])
        waiting += ast.iter_child_nodes(node)
    return found


def arrows() -> Counter[tuple[str, str]]:
    """Files of one room that import from another."""
    counted: Counter[tuple[str, str]] = Counter()
    for path in SOURCE.rglob("*.py"):
        room = room_of(path)
        if room in ABOUT:
            for other in imports(path) - {room}:
                if other in ABOUT:
                    counted[room, other] += 1
    return counted


def rooms() -> dict[str, Room]:
    """All rooms, each layer in the middle of its row."""
    files = Counter(room_of(path) for path in SOURCE.rglob("*.py"))
    rows = layers()
    widest = max(map(len, rows))
    placed: dict[str, Room] = {}
    for number, row in enumerate(rows):
        left = 30 + (widest - len(row)) * STEP / 2
        for place, name in enumerate(row):
            placed[name] = Room(name, files[name], left + place * STEP, TOP + number * ROW)
    return placed


def drawn() -> str:
    """The picture."""
    placed, counted = rooms(), arrows()
    width = 60 + max(room.x + WIDTH for room in placed.values()) - 30
    height = max(room.y for room in placed.values()) + HEIGHT + 30
    most = max(counted.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="system-ui, sans-serif">',
        f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>',
        f'<text x="30" y="34" font-size="19" font-weight="600" fill="{INK}">Folders and their '
        "imports</text>",
        f'<text x="30" y="54" font-size="12.5" fill="{PALE}">Imports go only downwards. A '
        "wider line means more importing files.</text>",
    ]
    for (above, below), count in sorted(counted.items(), key=lambda entry: entry[::-1]):
        start, end = placed[above], placed[below]
        x0, y0 = start.x + WIDTH / 2, start.y + HEIGHT
        x1, y1 = end.x + WIDTH / 2, end.y
        bend = (y1 - y0) / 2
        parts.append(
            f'<path d="M{x0:g} {y0:g} C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}" '
            f'fill="none" stroke="#4c7fa8" stroke-opacity="0.28" '
            f'stroke-width="{0.6 + 5 * count / most:.2f}"/>'
        )
    for room in placed.values():
        middle = room.x + WIDTH / 2
        noun = "file" if room.files == 1 else "files"
        parts += [
            f'<rect x="{room.x:g}" y="{room.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="7" '
            f'fill="{BOX}" stroke="#b9c4cd"/>',
            f'<text x="{middle:g}" y="{room.y + 22:g}" font-size="15" font-weight="600" '
            f'text-anchor="middle" fill="{INK}">{room.name}<tspan dx="6" font-size="11.5" '
            f'font-weight="400" fill="{PALE}">{room.files} {noun}</tspan></text>',
            f'<text x="{middle:g}" y="{room.y + 40:g}" font-size="11.5" text-anchor="middle" '
            f'fill="{PALE}">{escape(ABOUT[room.name])}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = drawn()
    if not parser.parse_args().check:
        PICTURE.write_text(wanted, encoding="utf-8")
        return 0
    if PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/pictures/rooms.svg is old: run python scripts/architecture_picture.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
