"""Tables without lines, for terminals, pages and notebooks."""

from collections.abc import Iterable
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text


def bare_table(
    *columns: Column | str,
    rows: Iterable[Iterable[RenderableType]],
    title: str | Text | None = None,
    header_style: str = "dim",
    padding: tuple[int, int, int, int] = (0, 2, 0, 0),
    **options: Any,
) -> Table:
    """Build a table without lines.

    Arguments:
        columns: with their headings; if all are empty there is no line for them.
        rows: cells, from left to right.
        title: printed above; a `Text` keeps its own style.
        header_style: of all headings.
        padding: cells above, right of, below and left of each entry.
        options: further ones of `rich.table.Table`.
    """
    table = Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="" if isinstance(title, Text) else None,
        show_header=any(each if isinstance(each, str) else each.header for each in columns),
        header_style=header_style,
        box=None,
        padding=padding,
        **options,
    )
    for row in rows:
        table.add_row(*row)
    return table


def number_column(name: str = "", style: str = "", **options: Any) -> Column:
    """A column of numbers, aligned to the right."""
    return Column(name, justify="right", style=style, **options)


def number_columns(*names: str, **options: Any) -> list[Column]:
    """Columns of numbers with these headings."""
    return [number_column(name, **options) for name in names]
