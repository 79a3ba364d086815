"""Tables and panels of generated texts: sessions, columns, pairs to choose from."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import on_one_line, visible
from rhapsode.views.figures import plural
from rhapsode.views.tables import bare_table, number_column

# Cells of a column at least, and characters of a text in it at most.
NARROWEST, LONGEST = 34, 800


def has_room(width: int, columns: int, longest: int = 0) -> bool:
    """True if texts fit side by side.

    Arguments:
        width: cells of the terminal.
        columns: count of columns.
        longest: characters of the longest text.
    """
    return width >= (NARROWEST + 3) * columns and longest <= LONGEST


def continuation_columns(
    temperatures: Sequence[float], columns: Sequence[Sequence[tuple[str, str]]]
) -> Table:
    """Continuations in a column for each temperature.

    Arguments:
        temperatures: of the columns.
        columns: prompt and continuation of each text.
    """
    rows = zip(*columns, strict=True)
    return bare_table(
        *(Column(f"temperature {each:g}", ratio=1, overflow="fold") for each in temperatures),
        rows=([Text.assemble((prompt, "bold"), text) for prompt, text in row] for row in rows),
        padding=(0, 3, 1, 0),
        expand=True,
        header_style="cyan",
    )


def pair_panels(title: str, prompt: str, texts: Sequence[str]) -> Iterator[RenderableType]:
    """A prompt and its numbered continuations.

    Arguments:
        title: of the pair.
        prompt: the common beginning of all texts.
        texts: from number 1.
    """
    yield Rule(title, style="dim")
    yield Text(prompt, style="italic")
    for number, text in enumerate(texts, 1):
        yield Panel(Text(text), title=str(number), title_align="left")


def score_line(models: Sequence[str], wins: Sequence[int], ties: int, p_value: float) -> Text:
    """The votes for two models on one line.

    Arguments:
        models: the two.
        wins: of each.
        ties: votes for neither.
        p_value: of the sign test.
    """
    return Text.assemble(
        (f"{models[0]} {wins[0]}", "bold"),
        "  :  ",
        (f"{wins[1]} {models[1]}", "bold"),
        (f"   no difference {ties}; p = {p_value:.3f}", "dim"),
    )


def entries_table(entries: Iterable[tuple[str, str]]) -> Table:
    """Names and their texts, in two columns.

    Arguments:
        entries: name and text of each row.
    """
    names, texts = Column(style="cyan", no_wrap=True), Column(overflow="fold")
    return bare_table(names, texts, rows=(map(Text, entry) for entry in entries))


def branches_table(branches: Iterable[tuple[int, bool, int, str]], width: int) -> Table:
    """The branches of a session.

    Arguments:
        branches: number, True for the current one, count of elements, and text of each.
        width: cells of the terminal.
    """
    most = max(20, width - 30)
    return bare_table(
        number_column(style="cyan", no_wrap=True),
        number_column(style="dim", no_wrap=True),
        Column(no_wrap=True, overflow="ellipsis"),
        rows=(
            (
                f"{'→ ' if current else ''}{number}",
                plural(elements, "element"),
                Text(shown_end(text, most), style="bold" if current else ""),
            )
            for number, current, elements, text in branches
        ),
    )


def element_title(before: str, name: str, number: int, kind: str, width: int) -> Text:
    """Title of an element, after the end of the preceding text.

    Arguments:
        before: the text before the element.
        name: of the element.
        number: its place, from 1.
        kind: "given" or "written".
        width: cells of the terminal.
    """
    return Text.assemble(
        (on_one_line(before[-(width // 3) :]), "dim"),
        (visible(name), "bold"),
        (f"   element {number:,}, {kind}", "dim"),
    )


def shown_end(text: str, most: int) -> str:
    """The end of a text on one line.

    Arguments:
        text: to be shown.
        most: characters; a longer text begins with an ellipsis.
    """
    shown = on_one_line(text[-most:])
    return f"…{shown[1:]}" if len(text) > most else shown
