"""Pictures and tables of network and counts: well-formed, with every element and every number."""

import io
import re
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from rhapsode.views.pictures.mixture_picture import (
    COLUMNS,
    Line,
    Mark,
    draw_contributions,
    draw_losses,
    draw_marks,
)
from rhapsode.views.terminal.mixture_table import Parts, largest_line, parts_table, summed

NATS = {"network": -0.25, "frequency": 0.5, "context_2": 0.25, "context_6": 1.0, "word": 0.001}
SVG = "{http://www.w3.org/2000/svg}"


def mark(text: str, network: float, counts: float) -> Mark:
    return Mark(text, network, counts, network + 0.5, NATS)


def texts_of(drawn: str) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(drawn).iter(f"{SVG}text")]


def test_every_element_is_drawn_and_counted() -> None:
    marks = [mark("A", -1.0, -3.0), mark("<", -3.0, -1.0), mark("\n", -2.0, -2.05), mark("b", -3.0, -2.0)]  # fmt: skip
    drawn = draw_marks(marks, title='Who is "right" & wrong')
    found = texts_of(drawn)
    assert [text for text in found if len(text) == 1] == ["A", "<", "↵", "b"]
    assert found[0] == 'Who is "right" & wrong'
    legend = " ".join(found)
    assert "network was nearer, 25%" in legend
    assert "counts were nearer, 50%" in legend
    assert "equal within 0.1 nats, 25%" in legend
    kinds = re.findall(r'<rect class="cell (network|counts|tie)" opacity', drawn)
    assert kinds == ["network", "counts", "tie", "counts"]
    assert "prefers-color-scheme: dark" in drawn


def test_long_lines_are_cut_after_spaces() -> None:
    marks = [mark(letter, -1.0, -2.0) for letter in "seventh words " * 12]
    heights = re.findall(r'<text class="ink mono"[^>]* y="([\d.]+)"', draw_marks(marks, title=""))
    lines = [heights.count(each) for each in dict.fromkeys(heights)]
    assert sum(lines) == len(marks)
    assert max(lines) <= COLUMNS
    assert lines[0] == 4 * 14  # a ninth word does not fit


def test_bars_have_the_height_of_their_contributions() -> None:
    drawn = draw_contributions([mark("a", -2.0, -1.0), mark("b", -2.0, -1.0)], title="")
    heights = [
        float(each) for each in re.findall(r'height="([\d.]+)"><title>[^<]*[+-]\d\.\d\d<', drawn)
    ]
    assert len(heights) == 6  # three columns of the table are not 0 for each element
    own = [heights[0], heights[1], heights[2]]
    sizes = [abs(nats) for name, nats in summed(NATS).items() if name != "word"]
    assert [each / own[0] for each in own] == pytest.approx([s / sizes[0] for s in sizes], rel=0.01)
    assert "a: +0.50 nats" in drawn


def test_losses_are_named_at_their_ends_without_overlap() -> None:
    lines = [Line("network", "network", [2.0, 1.51]), Line("counts", "counts", [1.5, 1.5])]
    drawn = draw_losses([5, 10], ["5 s", "10 s"], lines, title="t", axis="time")
    ends = re.findall(r'name" x="[\d.]+" y="([\d.]+)">(\w+) <tspan[^>]*>([\d.]+)<', drawn)
    assert [(name, loss) for _, name, loss in ends] == [("network", "1.510"), ("counts", "1.500")]
    assert float(ends[1][0]) - float(ends[0][0]) >= 18


def shown(width: int) -> str:
    rows = [(1, "a", Parts(0.25, 0.5, 0.4, NATS)), (12, "b", Parts(0.0001, 0.0, 0.2, NATS))]
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(parts_table(rows, 4, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_of_parts() -> None:
    head, first, second = (line.split() for line in shown(100).splitlines()[:3])
    assert head == ["network", "counts", "both", "weight", "0-2", "5+", "word"]
    assert first[:8] == ["1", "a", "25.0", "%", "50.0", "%", "40.0", "%"]
    assert first[8:] == ["-0.25", "+0.75", "+1.00", "0"]
    assert second[:6] == ["12", "b", "<0.1", "%", "–", "20.0"]
    assert "weight" not in shown(50).splitlines()[0]


def test_parts_in_words() -> None:
    said = largest_line(NATS)
    assert said.startswith("nats added by last 6 +1.00, frequency +0.50")
    assert "network's weight -0.25" in said
    assert "word" not in said
    assert largest_line({"word": 0.001}) == ""
