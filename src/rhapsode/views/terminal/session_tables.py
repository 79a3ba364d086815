"""Tables of a writing session: its commands, settings, branches and elements."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import visible
from rhapsode.views.candidates import visible_end

__all__ = ["branches_table", "element_title", "entries_table", "shown_end"]


def entries_table(entries: Iterable[tuple[str, str]]) -> Table:
    """Names and what belongs to each, in two columns.

    Arguments:
        entries: name and text of each row.
    """
    table = Table(
        Column(style="cyan", no_wrap=True),
        Column(overflow="fold"),
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    for name, text in entries:
        table.add_row(Text(name), Text(text))
    return table


def branches_table(branches: Iterable[tuple[int, bool, int, str]], width: int) -> Table:
    """The branches of a session.

    Arguments:
        branches: number, True for the current one, count of elements, and text of each.
        width: cells of the terminal.
    """
    table = Table(
        Column(justify="right", style="cyan", no_wrap=True),
        Column(justify="right", style="dim", no_wrap=True),
        Column(no_wrap=True, overflow="ellipsis"),
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    for number, current, elements, text in branches:
        table.add_row(
            f"{'→ ' if current else ''}{number}",
            f"{elements:,} elements",
            Text(shown_end(text, max(20, width - 30)), style="bold" if current else ""),
        )
    return table


def element_title(before: str, name: str, number: int, kind: str, width: int) -> Text:
    """An element of the text, after the end of what precedes it.

    Arguments:
        before: the text before the element.
        name: of the element.
        number: its place, from 1.
        kind: "given" or "written".
        width: cells of the terminal.
    """
    return Text.assemble(
        (visible_end(before, width // 3), "dim"),
        (visible(name), "bold"),
        (f"   element {number:,}, {kind}", "dim"),
    )


def shown_end(text: str, most: int) -> str:
    """The end of a text on one line, with an ellipsis if it is cut.

    Arguments:
        text: to be shown.
        most: characters.
    """
    shown = visible_end(text, most)
    return f"…{shown[1:]}" if len(text) > most else shown
