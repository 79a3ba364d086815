"""Pictures of what network and counts each know, as SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rhapsode.views.terminal.mixture_table import summed

WIDTH, LEFT, RIGHT = 960, 64, 30
# Most cells of a line of text, their greatest width, and the height of a line.
COLUMNS, WIDEST, LINE = 60, 18.0, 56
# Nats between network and counts from which on a cell has its full colour, and those of a tie.
FULL, EQUAL = 2.5, 0.1
PLOT = 250
_NAMES = {
    "weight": "network's weight",
    "0-2": "contexts of 0-2",
    "3-4": "contexts of 3-4",
    "5+": "contexts of 5 or more",
    "word": "words",
    "read": "elements read",
    "begin": "words that begin it",
}
_KINDS = {name: f"g{number}" for number, name in enumerate(_NAMES)}
_STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  font-size: 12px; }
.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 17px; }
.small { font-size: 15px; }
.ground { fill: #ffffff; } .ink { fill: #1d2529; } .muted { fill: #69747b; }
.grid { stroke: #e8ecee; stroke-width: 1; } .axis { stroke: #8f9aa0; stroke-width: 1; }
.network { fill: #0b7fa3; } .counts { fill: #d9741a; } .both { fill: #5a3d8c; }
.line-network { stroke: #0b7fa3; } .line-counts { stroke: #d9741a; } .line-both { stroke: #6a48a8; }
.line { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
.tie { fill: #c9d0d4; } .title { font-size: 17px; font-weight: 650; } .name { font-weight: 600; }
.sum { fill: #1d2529; stroke: #ffffff; stroke-width: 1.5; }
.g0 { fill: #0b7fa3; } .g1 { fill: #f5c26b; } .g2 { fill: #e8923a; } .g3 { fill: #c4501b; }
.g4 { fill: #8a5fbf; } .g5 { fill: #4f9d69; } .g6 { fill: #a8325e; }
.g6 { fill: #a8325e; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #14191c; } .ink { fill: #e9edef; } .muted { fill: #94a0a7; }
  .grid { stroke: #252c30; } .axis { stroke: #6b767c; } .tie { fill: #3a444a; }
  .network { fill: #38a9cc; } .counts { fill: #f0893a; } .both { fill: #b79cf0; }
  .cell.network { fill: #2286a8; } .cell.counts { fill: #bb6420; }
  .line-network { stroke: #4fb3d0; } .line-counts { stroke: #f08a4b; }
  .line-both { stroke: #b79cf0; }
  .sum { fill: #ffffff; stroke: #14191c; }
  .g0 { fill: #38a9cc; } .g1 { fill: #f7d08a; } .g2 { fill: #ee9d4c; } .g3 { fill: #d9622c; }
  .g4 { fill: #a98ae0; } .g5 { fill: #67b883; } .g6 { fill: #d96c94; }
}
"""


@dataclass(frozen=True)
class Mark:
    """One element of a text, and how it was predicted.

    Arguments:
        text: of the element.
        network: its log-probability by the network alone, nats.
        counts: by the counts alone.
        mixture: by both.
        nats: what each group of experts adds to the network, by name.
    """

    text: str
    network: float
    counts: float
    mixture: float
    nats: Mapping[str, float]


def draw_marks(marks: Sequence[Mark], *, title: str) -> str:
    """Draw a text, its elements coloured by who was right.

    A colour stands for the part that gave an element the higher probability. The stronger the
    colour, the larger the difference. The bar below an element is its probability by the mixture.

    Arguments:
        marks: the elements, each one character long.
        title: printed above.
    """
    parts = [_text("ink title", LEFT, 36, title)]
    lines, y = list(_lines(marks)), 98.0
    cell = _cell_width(max(map(len, lines)))
    for row in lines:
        parts += (_cell(mark, LEFT + cell * column, y, cell) for column, mark in enumerate(row))
        y += LINE
    shares = _shares(marks)
    y += 4
    legend = [
        ("network", f"the network was nearer, {shares[0]:.0%}"),
        ("counts", f"the counts were nearer, {shares[1]:.0%}"),
        ("tie", f"equal within {EQUAL:g} nats, {shares[2]:.0%}"),
    ]
    x = float(LEFT)
    for kind, said in legend:
        parts.append(
            f'<rect class="cell {kind}" x="{x}" y="{y - 11}" width="13" height="13" rx="3"/>'
        )
        parts.append(_text("ink", x + 19, y, said))
        x += 19 + 6.6 * len(said) + 24
    parts.append(
        _text("muted", LEFT, y + 24, "A stronger colour is a larger difference. The bar below a "
              "character is its probability by the mixture.")
    )  # fmt: skip
    return _svg(parts, round(y + 46), title)


def draw_contributions(marks: Sequence[Mark], *, title: str) -> str:
    """Draw the contributions of groups of experts to a line.

    Arguments:
        marks: the elements, each one character long; at most 60.
        title: printed above.
    """
    columns, cell = [summed(mark.nats) for mark in marks], _cell_width(len(marks))
    up = max(sum(max(0, nats) for nats in column.values()) for column in columns)
    down = max(sum(max(0, -nats) for nats in column.values()) for column in columns)
    top, scale = 104.0, PLOT / (up + down + 0.3)
    zero = top + scale * (up + 0.15)
    floor = zero + scale * (down + 0.15)
    right = LEFT + cell * len(marks)
    parts = [
        _text("ink title", LEFT, 36, title),
        _text("muted", LEFT, 58, "nats added to the log-probability of the network; "
              "the dot is their sum: the gain of the mixture"),
    ]  # fmt: skip
    for value in range(-math.floor(down + 0.15), math.floor(up + 0.15) + 1):
        y = zero - scale * value
        kind = "grid" if value else "axis"
        line = f'x1="{LEFT}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line class="{kind}" {line}/>')
        parts.append(
            _text(
                "muted", LEFT - 10, y + 4, f"{value:+d}".replace("-", "−") if value else "0", "end"
            )
        )
    for number, (mark, column) in enumerate(zip(marks, columns, strict=True)):
        x = LEFT + cell * number
        parts += _bars(column, x + 2, zero, scale, cell - 4)
        gain = zero - scale * (mark.mixture - mark.network)
        said = f"{visible_name(mark.text)}: {mark.mixture - mark.network:+.2f} nats"
        parts.append(
            f'<circle class="sum" cx="{x + cell / 2:.1f}" cy="{gain:.1f}" r="3.6">'
            f"<title>{escape(said)}</title></circle>"
        )
        parts.append(_cell(mark, x, floor + 40, cell, bar=False))
    x, y = float(LEFT), floor + 84
    for name in columns[0]:
        said = _NAMES[name]
        square = f'x="{x:.1f}" y="{y - 11:.1f}" width="13" height="13" rx="3"'
        parts.append(f'<rect class="{_KINDS[name]}" {square}/>')
        parts.append(_text("ink", x + 19, y, said))
        x += 19 + 6.6 * len(said) + 20
    return _svg(parts, round(y + 22), title)


@dataclass(frozen=True)
class Line:
    """Losses of one method.

    Arguments:
        kind: "network", "counts" or "both", which decides the colour.
        name: printed at its end.
        losses: nats per element, one for each place.
    """

    kind: str
    name: str
    losses: Sequence[float]


def draw_losses(
    places: Sequence[float], labels: Sequence[str], lines: Sequence[Line], *, title: str, axis: str
) -> str:
    """Draw losses over a logarithmic axis.

    Arguments:
        places: positive numbers, rising.
        labels: of the places.
        lines: of the methods.
        title: printed above.
        axis: name of the horizontal axis.
    """
    height, top, right = 430, 84.0, 760.0
    floor = height - 58.0
    losses = [loss for line in lines for loss in line.losses]
    low, high = min(losses), max(losses)
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    first, last = math.log(places[0]), math.log(places[-1])

    def x_of(place: float) -> float:
        return LEFT + 16 + (right - LEFT - 32) * (math.log(place) - first) / (last - first)

    def y_of(loss: float) -> float:
        return floor - (floor - top) * (loss - low) / (high - low)

    parts = [
        _text("ink title", LEFT, 36, title),
        _text("muted", LEFT, 58, "nats per character of the test split; lower is better"),
    ]
    step = 0.1 if high - low < 1 else 0.2
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = y_of(number * step)
        line = f'x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line class="grid" {line}/>')
        parts.append(_text("muted", LEFT - 10, y + 4, f"{number * step:.1f}", "end"))
    bottom = f'x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"'
    parts.append(f'<line class="axis" {bottom}/>')
    for place, label in zip(places, labels, strict=True):
        parts.append(_text("muted", x_of(place), floor + 20, label, "middle"))
    parts.append(_text("muted", (LEFT + right) / 2, height - 14, axis, "middle"))
    for one in lines:
        points = [(x_of(p), y_of(loss)) for p, loss in zip(places, one.losses, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path class="line line-{one.kind}" d="M{path}"/>')
        parts += (
            f'<circle class="{one.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{loss:.3f}'
            "</title></circle>"
            for (x, y), loss in zip(points, one.losses, strict=True)
        )
    parts += _ends(lines, [y_of(line.losses[-1]) for line in lines], right)
    return _svg(parts, height, title)


def _ends(lines: Sequence[Line], heights: Sequence[float], right: float) -> Iterator[str]:
    """Names and last losses at the right, at least a line apart."""
    y = -math.inf
    for height, line in sorted(zip(heights, lines, strict=True), key=lambda pair: pair[0]):
        y = max(height + 4, y + 18)
        yield (
            f'<text class="{line.kind} name" x="{right + 8}" y="{y:.1f}">{escape(line.name)} '
            f'<tspan class="muted" font-weight="400">{line.losses[-1]:.3f}</tspan></text>'
        )


def visible_name(text: str) -> str:
    """A character as it is drawn: line ends as an arrow."""
    return "↵" if text == "\n" else text


def _lines(marks: Sequence[Mark]) -> Iterator[list[Mark]]:
    """Lines of at most 60 elements, cut after spaces and line ends."""
    row: list[Mark] = []
    for mark in marks:
        row.append(mark)
        if mark.text == "\n":
            yield row
            row = []
        elif len(row) == COLUMNS:
            space = max((n for n, one in enumerate(row) if one.text == " "), default=-1)
            cut = space + 1 or COLUMNS
            yield row[:cut]
            row = row[cut:]
    if row:
        yield row


def _cell_width(columns: int) -> float:
    """Width of the cells of a line that fills the picture."""
    return min(WIDEST, (WIDTH - LEFT - RIGHT) / columns)


def _cell(mark: Mark, x: float, y: float, cell: float, *, bar: bool = True) -> str:
    """An element on its colour, its baseline at `y`."""
    gap = mark.network - mark.counts
    strength = min(1.0, abs(gap) / FULL)
    kind = "tie" if abs(gap) <= EQUAL else "network" if gap > 0 else "counts"
    opacity = 0.45 if kind == "tie" else 0.14 + 0.72 * strength
    told = (
        f"network {math.exp(mark.network):.1%}, counts {math.exp(mark.counts):.1%}, "
        f"both {math.exp(mark.mixture):.1%}"
    )
    size = f'width="{cell - 1:.1f}" height="28" rx="3"'
    name = visible_name(mark.text)
    style = "muted small mono" if mark.text == "\n" else "ink mono"
    drawn = (
        f"<g><title>{escape(told)}</title>"
        f'<rect class="cell {kind}" opacity="{opacity:.2f}" x="{x + 0.5:.1f}" '
        f'y="{y - 20:.1f}" {size}/>'
        f'<text class="{style}" text-anchor="middle" x="{x + cell / 2:.1f}" y="{y:.1f}">'
        f"{escape(name)}</text>"
    )
    if bar:
        long = (cell - 3) * math.exp(mark.mixture)
        place = f'x="{x + 1.5:.1f}" y="{y + 11:.1f}" height="4" rx="1"'
        drawn += f'<rect class="tie" {place} width="{cell - 3:.1f}" opacity=".5"/>'
        drawn += f'<rect class="ink" {place} width="{long:.1f}" opacity=".75"/>'
    return drawn + "</g>"


def _bars(
    column: Mapping[str, float], x: float, zero: float, scale: float, width: float
) -> Iterator[str]:
    """Contributions of one element, those that help above the line, the others below."""
    above = below = zero
    for name, nats in column.items():
        size = scale * abs(nats)
        if size < 0.2:
            continue
        if nats > 0:
            above -= size
        y = above if nats > 0 else below
        if nats < 0:
            below += size
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{size:.1f}"'
        yield (
            f'<rect class="{_KINDS[name]}" {place}><title>{_NAMES[name]} {nats:+.2f}</title></rect>'
        )


def _shares(marks: Sequence[Mark]) -> tuple[float, float, float]:
    gaps = [mark.network - mark.counts for mark in marks]
    network = sum(gap > EQUAL for gap in gaps) / len(gaps)
    counts = sum(gap < -EQUAL for gap in gaps) / len(gaps)
    return network, counts, 1 - network - counts


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    placed = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {placed}>{escape(text)}</text>'


def _svg(parts: Sequence[str], height: int, title: str) -> str:
    label = escape(title, {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{label}">'
        f"<style>{_STYLE}</style>"
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>{"".join(parts)}</svg>\n'
    )
