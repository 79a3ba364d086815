"""Scores engraved in staff notation, as SVG pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.modalities.music.drawing import engraver
from rhapsode.modalities.music.drawing.rolls import facts
from rhapsode.modalities.music.drawing.written_score import notated
from rhapsode.views.pictures.piano_roll import legible

SECONDS = 120
WIDTH, MARGIN = 960, 24
_SCALE = 40
# Pixels of a page at most: verovio takes no more.
HIGHEST = 24_000
_OPTIONS = {
    "pageWidth": round((WIDTH - 2 * MARGIN + 20) * 100 / _SCALE),
    "scale": _SCALE,
    "adjustPageHeight": True,
    "breaks": "auto",
    "header": "none",
    "footer": "none",
    "pageMarginTop": 0,
    "pageMarginBottom": 20,
    "pageMarginLeft": 50,
    "pageMarginRight": 0,
    "smuflTextFont": "none",
    "xmlIdSeed": 1,  # the same score gives the same file
}
_STYLE = """
.rh-score { font-family: system-ui, -apple-system, "Segoe UI",
  "DejaVu Sans", sans-serif; font-size: 11px; }
.rh-score .ground { fill: #ffffff; } .rh-score .ink { fill: #1d2529; }
.rh-score .muted { fill: #69747b; } .rh-score .title { font-size: 17px; font-weight: 650; }
.rh-score .definition-scale { color: #1d2529; fill: #1d2529; }
@media (prefers-color-scheme: dark) {
  .rh-score .ground { fill: #14191c; } .rh-score .ink { fill: #e9edef; }
  .rh-score .muted { fill: #94a0a7; }
  .rh-score .definition-scale { color: #e9edef; fill: #e9edef; }
}
"""


def engrave(score: Score, *, title: str | None = None, height: float = HIGHEST) -> list[str]:
    """Engrave a score, as the texts of SVG files.

    Most pieces take one page.

    Arguments:
        score: the piece.
        title: printed above; None for the score's own.
        height: of a page at most, in pixels.

    Raises:
        MissingExtraError: verovio is not installed.
        DataError: the score cannot be engraved.
    """
    check_engraver()
    title = score.title if title is None else title
    pages = _pages(notated(score), {**_OPTIONS, "pageHeight": round(height * 100 / _SCALE)})
    last = len(pages)
    return [
        _framed(page, title if number == 1 else "", facts(score) if number == 1 else "")
        if last == 1 or number == 1
        else _framed(page, "", f"page {number} of {last}")
        for number, page in enumerate(pages, 1)
    ]


def check_engraver() -> None:
    """Check that scores can be engraved.

    Raises:
        MissingExtraError: verovio is not installed.
    """
    if find_spec("verovio") is None:
        raise MissingExtraError("music", "engraving a score")


def _pages(musicxml: str, options: Mapping[str, Any]) -> list[str]:
    """Pages as verovio draws them, in a process that may die or hang."""
    with tempfile.TemporaryDirectory(prefix="rhapsode-") as name:
        folder = Path(name)
        (folder / "score.musicxml").write_text(musicxml, encoding="utf-8", newline="\n")
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        command = [sys.executable, "-P", str(engraver.__file__), str(folder)]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"engraving took more than {SECONDS} seconds",
                hint="choose fewer bars, or draw a piano roll",
            ) from None
        paths = [folder / f"page-{number}.svg" for number in range(1, 10_000)]
        pages = []
        for path in paths:
            if not path.exists():
                break
            pages.append(path.read_text(encoding="utf-8"))
    if done.returncode or not pages:
        reason = "is not understood" if done.returncode == 1 else f"ends with {done.returncode}"
        raise DataError(
            f"verovio cannot engrave this score (it {reason})", hint="draw a piano roll instead"
        )
    return pages


def _framed(page: str, title: str, about: str) -> str:
    """A page on a ground, below its title."""
    sizes = re.search(r'<svg width="\d+px" height="(\d+)px"', page)
    height = int(sizes[1]) if sizes else 1200
    parts, top = [], MARGIN
    for kind, line, step in (("ink title", title, 12), ("muted", about, 20)):
        text = escape(legible(line))
        if text:
            top += step
            parts.append(f'<text class="{kind}" x="{MARGIN}" y="{top}">{text}</text>')
    top += 16 if parts else 0
    whole = top + height + MARGIN
    inner = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>", "", page, flags=re.DOTALL).strip()
    inner = inner.replace("<svg ", f'<svg x="{MARGIN - 20}" y="{top}" ', 1)
    inner = inner.replace(' color="black"', "")
    name = escape(legible(title) or "score", {'"': "&quot;"})
    return (
        f'<svg class="rh-score" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {WIDTH} {whole}" '
        f'width="{WIDTH}" height="{whole}" role="img" aria-label="{name}">'
        f'<style>{_STYLE}</style><rect class="ground" width="{WIDTH}" height="{whole}" rx="8"/>'
        f"{''.join(parts)}{inner}</svg>\n"
    )
