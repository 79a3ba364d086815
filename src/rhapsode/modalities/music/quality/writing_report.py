"""Tables of generated music beside real music."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from rhapsode.views.tables import bare_table, number_column

WORDS = {
    "notes_per_beat": "notes per quarter note",
    "polyphony": "notes that sound together",
    "scale": "notes within one scale",
    "range": "range in semitones",
    "groove": "likeness of the rhythm of neighbouring bars",
    "empty": "quarter notes without a beginning",
}
SHARES = ("scale", "groove", "empty")
DISTANCES = {
    "pitch_class": "pitch classes",
    "interval": "intervals",
    "length": "note lengths",
    "onset": "times between notes",
}


def writing_columns(writing: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and measures of generated and real music."""
    if not writing["written"]:
        return []
    written = [(f"temperature {one['temperature']:g}", one) for one in writing["written"]]
    return [*written, ("real music", writing["real"])]


def writing_rows(writing: Mapping[str, Any]) -> list[list[str]]:
    """Measures in words, a row each."""
    columns = [column for _, column in writing_columns(writing)]
    rows = []
    for name, words in WORDS.items():
        form = "{:.0%}" if name in SHARES else "{:.2f}"
        rows.append([words, *(form.format(column[name]) for column in columns)])
    for name, words in DISTANCES.items():
        rows.append(
            [f"distance of {words}", *(f"{column['distances'][name]:.2f}" for column in columns)]
        )
    rows.append(["passages that loop", *(f"{column['loops']:.0%}" for column in columns)])
    if all(column["copies"] for column in columns):
        means = [f"{column['copies']['mean_notes']:.1f}" for column in columns]
        rows.append(["longest copied melody, notes on average", *means])
        longest = [column["copies"]["longest"] for column in columns]
        rows.append(
            [
                "longest of all, notes",
                *("-" if one is None else str(one["notes"]) for one in longest),
            ]
        )
    return rows


def copy_lines(writing: Mapping[str, Any]) -> Iterator[str]:
    """The longest copies, and where they occur, a line each."""
    for name, column in writing_columns(writing):
        copy = column["copies"] and column["copies"]["longest"]
        if copy:
            yield (
                f"{name}: {copy['notes']} notes ({copy['beats']:g} quarter notes) from bar "
                f"{copy['own_bar']} on, perhaps in another key, are in {copy['piece']} from bar "
                f"{copy['bar']} on"
            )


def protocol(writing: Mapping[str, Any]) -> str:
    """How the measures were taken."""
    return (
        f"Passages of {writing['beats']} quarter notes, generated from the empty prompt (seed "
        f"{writing['seed']}), beside passages of held-out music; the distances of real music are "
        "those between its halves. Copies are melodies of one track that occur in the training "
        "music in any key."
    )


def writing_table(writing: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Measures of generated music, for a terminal."""
    yield Text()
    columns = writing_columns(writing)
    if not columns:
        yield Text(f"generated music: {writing.get('reason', 'not measured')}")
        return
    names: Sequence[str] = [name for name, _ in columns]
    yield bare_table(
        Column("generated music", style="dim"),
        *(number_column(name) for name in names),
        rows=writing_rows(writing),
        header_style="bold",
    )
    yield from (Text(line, style="dim") for line in copy_lines(writing))
