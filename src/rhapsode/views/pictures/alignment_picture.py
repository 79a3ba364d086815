"""Alignments of pairs as one SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from rhapsode.errors import SettingsError
from rhapsode.files import is_there, write_atomically

CELL, GAP, LEFT, TOP, MARGIN, LETTER = 18, 44, 64, 40, 20, 7.2
_STYLE = """
.rh-align { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: 12px; }
.rh-align .ground { fill: #ffffff; } .rh-align .name { fill: #1d2529; }
.rh-align .cell { fill: #0b6e8a; } .rh-align .frame { fill: none; stroke: #b4bcc0; }
@media (prefers-color-scheme: dark) {
  .rh-align .ground { fill: #14191c; } .rh-align .name { fill: #e9edef; }
  .rh-align .cell { fill: #4fb3d0; } .rh-align .frame { stroke: #4a555b; }
}
"""


def check_alignment(path: Path) -> None:
    """Check that a picture of alignments can be written.

    Raises:
        SettingsError: not an .svg file, or a folder that does not exist.
    """
    if path.suffix.lower() != ".svg":
        raise SettingsError("alignments are drawn into an .svg file", where=str(path))
    if not is_there(path.parent):
        raise SettingsError(f"there is no folder {path.parent}", where=str(path))


def write_alignments(alignments: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw alignments below one another.

    Arguments:
        alignments: each with `source`, `output` and `weights`, a row for each element of the
            output.
        path: an .svg file.

    Raises:
        RunError: it cannot be written.
    """
    write_atomically(path, alignment_svg(alignments).encode())


def alignment_svg(alignments: Sequence[Mapping[str, Any]]) -> str:
    """Alignments below one another, as SVG."""
    left = max([LEFT, *(16 + LETTER * len(name) for each in alignments for name in each["output"])])
    columns = max((len(each["source"]) for each in alignments), default=1)
    width = left + CELL * columns + 2 * MARGIN
    parts: list[str] = []
    top = float(MARGIN)
    for each in alignments:
        upright = all(len(name) == 1 for name in each["source"])
        head = TOP if upright else 16 + LETTER * max(map(len, each["source"]))
        parts.extend(_matrix(each, left, top + head, upright=upright))
        top += head + CELL * len(each["output"]) + GAP
    size = f'width="{width:.0f}" height="{top:.0f}" viewBox="0 0 {width:.0f} {top:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rh-align" {size} role="img" '
        'aria-label="attention of outputs to inputs">\n'
        f'<style>{_STYLE}</style>\n<rect class="ground" width="100%" height="100%"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _matrix(
    alignment: Mapping[str, Any], left: float, top: float, *, upright: bool
) -> Iterator[str]:
    source, output = alignment["source"], alignment["output"]
    for place, name in enumerate(source):
        x = left + CELL * (place + 0.5)
        turn = "" if upright else f' transform="rotate(-90 {x:.1f} {top - 8:.1f})"'
        anchor = "middle" if upright else "start"
        yield (
            f'<text class="name" x="{x:.1f}" y="{top - 8:.1f}" text-anchor="{anchor}"{turn}>'
            f"{escape(name)}</text>"
        )
    for row, (name, weights) in enumerate(zip(output, alignment["weights"], strict=True)):
        y = top + CELL * row
        yield (
            f'<text class="name" x="{left - 8:.1f}" y="{y + 0.7 * CELL:.1f}" '
            f'text-anchor="end">{escape(name)}</text>'
        )
        for place, weight in enumerate(weights):
            if weight < 0.02:
                continue
            yield (
                f'<rect class="cell" x="{left + CELL * place:.1f}" y="{y:.1f}" width="{CELL}" '
                f'height="{CELL}" opacity="{min(1.0, weight):.2f}">'
                f"<title>{escape(name)} - {escape(source[place])}: {weight:.2f}</title></rect>"
            )
    yield (
        f'<rect class="frame" x="{left:.1f}" y="{top:.1f}" width="{CELL * len(source)}" '
        f'height="{CELL * len(output)}"/>'
    )
