"""Surveys of sources for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import RISING, bar, visible
from rhapsode.views.figures import number, plural
from rhapsode.views.tables import bare_table, number_column, number_columns

ACCENT = "cyan"
HEIGHT = 4
FEW = 5
LONGEST = 14
UNUSUAL = 5
STATISTICS = {
    "count": "count",
    "min": "least",
    "quartile_1": "25 %",
    "median": "median",
    "quartile_3": "75 %",
    "percentile_95": "95 %",
    "max": "most",
}
CONTEXTS = {
    "fresh": "each document from the zero state",
    "carried": "one text, with the state carried on",
}


def text_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of texts, from top to bottom.

    Arguments:
        found: plain values of the survey.
        width: cells of a line.
    """
    encodings = found["reading"]["encodings"].items()
    files = [f"{plural(count, 'file')} in {name}" for name, count in encodings]
    sizes = [plural(found[f"{unit}s"], unit) for unit in ("document", "character", "byte")]
    said = [*found["reading"]["lines"], *found["warnings"]]
    yield from _head(found, [*sizes, ", ".join(files) or "all UTF-8"], said)
    distinct = f"{found['text']['distinct']:,} distinct"
    yield from _section("Characters", distinct, width, _characters(found["text"], width))
    units = ("documents_in_characters", "lines_in_characters")
    yield from _section("Lengths", "", width, _lengths(found["lengths"], width, *units))
    vocabulary = found["vocabulary"]
    if vocabulary is not None:
        size = f"{vocabulary['encoding'].partition('.')[0]}, {vocabulary['size']:,} elements"
        yield from _section("Vocabulary", size, width, _vocabulary(vocabulary, width))
    shares = _shares(found["shares"], ("documents", "characters", "elements", "unknown"))
    yield from _section("Splits", "", width, [shares, *_duplicates(found)])
    yield from _training(found["training"], width)


def plain_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey with nothing but sizes."""
    yield from _head(
        found, [plural(found["documents"], "document"), f"length {found['characters']:,}"]
    )
    yield from _training(found["training"], width)


def facts_survey(
    found: Mapping[str, Any],
    width: int,
    sizes: Sequence[str],
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Iterator[RenderableType]:
    """A survey with sizes and further facts.

    Arguments:
        found: plain values of the survey.
        width: cells of a line.
        sizes: of the sources, in words.
        facts: by name, in words.
        notes: remarks on reading, a line each.
    """
    yield from _head(found, sizes, notes)
    yield from _section("Contents", "", width, [_facts(facts.items())])
    yield from _training(found["training"], width)


def series_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of series, from top to bottom.

    Arguments:
        found: plain values of the survey.
        width: cells of a line.
    """
    missing = f"{found['missing']:,} missing" if found["missing"] else "none missing"
    sizes = [plural(found["rows"], "row"), plural(found["values"], "value"), missing]
    yield from _head(found, [f"{found['series']:,} series", *sizes], found["reading"]["lines"])
    several = len(found["frequencies"]) > 1
    frequencies = (
        f"{name}{f' ({count:,} series)' if several else ''}"
        for name, count in found["frequencies"].items()
    )
    period = found["period"]
    facts = {
        "frequency": ", ".join(frequencies),
        "from, to": f"{found['first']}, {found['last']}",
        "season": f"{period:,} values" if period > 1 else "none",
    }
    covariates = ("known", "static", "categories")
    facts |= {name: ", ".join(found[name]) for name in covariates if found[name]}
    yield from _section("Times", "", width, [_facts(facts.items())])
    columns = bare_table(
        Column("", style="dim", overflow="fold"),
        *number_columns("values", "missing", "least", "median", "most", no_wrap=True),
        rows=(
            (
                one["name"],
                f"{one['values']:,}",
                f"{one['missing']:,}",
                *(number(one[name]) for name in ("min", "median", "max")),
            )
            for one in found["columns"]
        ),
        padding=(0, 0, 0, 2),
        pad_edge=False,
    )
    yield from _section("Values", "", width, [columns])
    unit = "series_in_rows"
    lengths = _lengths({unit: found["lengths"]["rows"]}, width, unit, unit)
    yield from _section("Lengths", "", width, lengths)
    if found["shares"] is not None:
        shares = _shares(found["shares"], ("rows", "values"))
        yield from _section("Splits", "", width, [shares])
    yield from _training(found["training"], width)


def _head(
    found: Mapping[str, Any], counted: Sequence[str], lines: Sequence[str] = ()
) -> Iterator[Text]:
    yield Text(", ".join(found["sources"]), style="bold", overflow="ellipsis", no_wrap=True)
    yield Text("  ·  ".join(counted))
    for line in lines:
        yield Text(line, style="yellow")


def _section(
    title: str, more: str, width: int, blocks: Iterable[RenderableType]
) -> Iterator[RenderableType]:
    text = Text.assemble((title, f"bold {ACCENT}"), (f"  {more}" if more else "", "not bold"))
    text.truncate(width - 4, overflow="ellipsis")
    yield Padding(Rule(text, align="left", style="dim", characters="─"), (1, 0, 0, 0))
    yield from blocks


def _facts(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and their values, in two columns."""
    return bare_table(Column(style="dim", no_wrap=True), "", rows=rows, pad_edge=False)


def _percent(share: float) -> str:
    """A fraction in per cent, never rounded to 0 or 100."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.{0 if share in (0, 1) else 1}f} %"


def _bars(counts: Mapping[str, int], width: int, most: int = 6) -> Table:
    """Names, bars and percentages of the most frequent, and of all others."""
    total = sum(counts.values())
    rows = [(name, count / total) for name, count in counts.items()]
    if len(rows) > most:
        rest = sum(share for _, share in rows[most - 1 :])
        rows[most - 1 :] = [(f"{len(rows) - most + 1} more", rest)]
    longest = max((cell_len(name) for name, _ in rows), default=0)
    cells = max(4, width - longest - 10)
    return bare_table(
        Column(style="dim"),
        Column(width=cells, style=ACCENT),
        number_column(min_width=7),
        rows=((name, bar(share, cells), _percent(share)) for name, share in rows),
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _characters(text: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    half = (width - 4) // 2
    scripts = _bars(text["scripts"], half) if text["scripts"] else Text("no letters", style="dim")
    yield bare_table(
        *(Column(width=half) for _ in range(2)),
        rows=[
            (Text("of all characters", style="dim"), Text("of all letters", style="dim")),
            (_bars(text["kinds"], half), scripts),
        ],
        padding=(0, 4, 0, 0),
        pad_edge=False,
    )
    ends = [f"{name.upper()} {count:,}" for name, count in text["line_ends"].items() if count]
    if ends:
        yield Text.assemble(("line ends  ", "dim"), ", ".join(ends))
    odd = [f"{one['code']} {one['name']} × {one['count']:,}" for one in text["odd"]]
    if odd:
        more = f"; and {len(odd) - UNUSUAL} more" if len(odd) > UNUSUAL else ""
        yield Text.assemble(("unusual    ", "dim"), "; ".join(odd[:UNUSUAL]), more)


def _lengths(
    lengths: Mapping[str, Any], width: int, many: str, few: str
) -> Iterator[RenderableType]:
    """Order statistics and a histogram of lengths.

    The histogram is of `many`, or of `few` if there are few of `many`.
    """
    alone = ("count", "max")  # a single length is shown once
    yield bare_table(
        Column(style="dim"),
        *number_columns(*STATISTICS.values(), no_wrap=True),
        rows=(
            (
                name.replace("_in_", ", "),
                *(f"{row[s]:,}" if row["count"] > 1 or s in alone else "" for s in STATISTICS),
            )
            for name, row in lengths.items()
            if row is not None
        ),
        padding=(0, 0, 0, 2),
        pad_edge=False,
    )
    # Of few documents the lengths of their lines tell more.
    drawn = many if lengths[many] is not None and lengths[many]["count"] >= FEW else few
    row = lengths[drawn]
    if row is not None and len(row["histogram"]["counts"]) > 3:
        title = drawn.replace("_in_", " by ")
        yield Padding(_histogram(row["histogram"], title, width), (1, 0, 0, 0))


def _histogram(histogram: Mapping[str, Any], title: str, width: int) -> Text:
    """Rising blocks, with the edges of some bins below them."""
    counts, edges = histogram["counts"], histogram["edges"]
    each = max(1, min(3, (width - 4) // len(counts)))
    most = max(counts)
    levels = [0 if not count else max(1, round(count / most * HEIGHT * 8)) for count in counts]
    blocks = " " + RISING
    drawn = Text(no_wrap=True).append(f"{title}; highest column {most:,}\n", style="dim")
    for row in reversed(range(HEIGHT)):
        line = "".join(blocks[min(8, max(0, level - row * 8))] * each for level in levels)
        drawn.append(line.rstrip() + "\n", style=ACCENT)
    across = each * len(counts)
    ticks, labels = ["─"] * (across + 1), [" "] * (across + 24)
    free = 0
    for start, edge in zip(range(0, across + 1, each), edges, strict=True):
        label = f"{edge:,}"
        # Where the edges grow by a factor, only round ones are labelled.
        is_round = str(edge).rstrip("0") in ("1", "2", "5") or histogram["scale"] != "log"
        if is_round and start >= free and start + len(label) <= width - 1:
            ticks[start] = "┴"
            labels[start : start + len(label)] = label
            free = start + max(len(label) + 3, 8)
    drawn.append("".join(ticks) + "\n" + "".join(labels).rstrip(), style="dim")
    return drawn


def _vocabulary(vocabulary: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    yield Text("most frequent in the training split", style="dim")
    yield Padding(_top(vocabulary["top"], width), (0, 0, 1, 0))
    room = max(10, width - 41)
    seen = max(1, vocabulary["seen"])
    unknown = ("-", "-", Text("some are unknown", style="dim"))

    def cells(needed: int | None) -> Sequence[str | Text]:
        if needed is None:
            return unknown
        return f"{needed:,}", _percent(needed / seen), bar(needed / seen, room)

    yield bare_table(
        number_column("covered"),
        number_column("by elements", style="bold"),
        number_column("of those seen", style="dim"),
        Column(style=ACCENT, width=room),
        rows=((f"{share} %", *cells(n)) for share, n in vocabulary["coverage"].items()),
        padding=(0, 0, 0, 3),
        pad_edge=False,
    )
    remarks = [
        f"{_percent(vocabulary['once'])} of them seen once",
        f"{vocabulary['characters_per_element']:.2f} characters each",
    ]
    if vocabulary["zipf_exponent"] is not None:
        remarks.append(f"Zipf exponent {vocabulary['zipf_exponent']:.2f}")
    yield Text("  ·  ".join(remarks), style="dim")


def _top(top: Sequence[Mapping[str, Any]], width: int) -> Table:
    elements = [visible(one["element"]) for one in top]
    for place, element in enumerate(elements):
        if cell_len(element) > LONGEST:
            elements[place] = set_cell_size(element, LONGEST - 1).rstrip() + "…"
    counts = [f"{one['count']:,}" for one in top]
    # Element, count and share, and the gap after them.
    each = max(map(cell_len, elements)) + max(map(len, counts)) + 8 + 2 + 3
    across = max(1, min(5, (width + 3) // each))
    height = -(-len(top) // across)
    across = -(-len(top) // height)
    columns = [
        Column(style="bold", no_wrap=True),
        number_column(no_wrap=True),
        number_column(style="dim", no_wrap=True),
        Column(width=3),
    ]
    cells: list[tuple[str | Text, ...]] = [
        (Text(element), f"  {count}", f"  {_percent(one['share']):>6}", "")
        for element, count, one in zip(elements, counts, top, strict=True)
    ]
    return bare_table(
        *[column.copy() for _ in range(across) for column in columns][:-1],
        rows=(list(chain(*cells[row::height]))[:-1] for row in range(height)),
        padding=(0, 0, 0, 0),
        pad_edge=False,
    )


def _shares(shares: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Table:

    def cell(name: str, value: float | None) -> str:
        if value is None:
            return "-"
        return _percent(value) if name == "unknown" else f"{value:,}"

    return bare_table(
        Column("", style="dim"),
        *number_columns(*names),
        rows=((split, *(cell(n, share[n]) for n in names)) for split, share in shares.items()),
        padding=(0, 0, 0, 3),
        pad_edge=False,
    )


def _duplicates(found: Mapping[str, Any]) -> Iterator[Text]:
    copies = found["duplicates"]
    if not copies["documents"]:
        if found["documents"] > 1:
            yield Text("no document repeats another", style="dim")
        return
    left_out = f"; {copies['left_out']:,} are left out of the splits" if copies["left_out"] else ""
    yield Text(
        f"{plural(copies['documents'], 'document')} "
        f"{'repeats' if copies['documents'] == 1 else 'repeat'} an earlier one, "
        f"{_percent(copies['share'])} of all characters{left_out}"
    )
    # Inside a folder or an archive its own name need not be told again.
    names = [copies["example"]["copy"], copies["example"]["of"]]
    for source in found["sources"]:
        names = [name.removeprefix(source.rstrip("/") + "/") for name in names]
    yield Text(f"the first: {names[0]}, as {names[1]}", style="dim")


def _training(training: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    within = f"in {training['budget']}" if training.get("budget") else ""
    choices = [_facts(_choices(training))]
    yield from _section("rhapsode train would choose", within, width, choices)


def _choices(training: Mapping[str, Any]) -> Iterator[tuple[str, str | Text]]:
    """Components and settings of a run that is planned."""
    if "model" not in training:
        yield "nothing", "; ".join(training["reasons"])
        return
    kind, context = training["encoding"].partition(".")[0], training["context"]
    if kind != "auto":  # then the reasons tell it
        yield "encoding", _because(kind, training["encoding_reason"])
    size = plural(training["parameters"], "parameter")
    yield "model", _because(training["model"].partition(".")[0], size)
    yield "network", ", ".join(f"{name} {value}" for name, value in training["network"].items())
    yield "context", _because(context, CONTEXTS.get(context, ""))
    yield (
        "training",
        f"batch_size {training['batch_size']}, window {training['window']}, "
        f"learning_rate {training['learning_rate']:g}",
    )
    for place, reason in enumerate(training["reasons"]):
        yield "because" if place == 0 else "", Text(reason, style="dim")


def _because(choice: str, reason: str) -> Text:
    return Text.assemble(choice, (f"  {reason}" if reason else "", "dim"))
