"""`rhapsode data`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import parse, typed_of
from rhapsode.config import Positional, Repeated, SourceSettings, apply_assignments, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["DataCommand", "run"]

DESCRIPTION = """List the corpora known by name, and survey a source.

  list: list the corpora that can be given by name in place of a file.
  fetch: download one of them.
  show: show one document of a source and its elements; for a table, one series and its scaled values.
  info: report characters, lengths, vocabulary, duplicates and splits of a text, or lengths, times and missing values of series, and the settings that train would choose."""

WIDEST = 100


@dataclass(frozen=True)
class DataCommand(SourceSettings):
    """Options."""

    action: Positional[
        Annotated[Literal["list", "info", "show", "fetch"], option("list|info|show|fetch")]
    ] = "list"
    """Action."""
    source: Positional[Annotated[str, option("SOURCE", "")]] = ""
    """For info and show: a file, folder or corpus. For fetch: a corpus."""
    document: Annotated[int, option("N")] = 0
    """For show: number of the document, from 0."""
    encoding: Annotated[str, option("NAME")] = "auto"
    """Encoding. show learns it from the whole source, info from the training split."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """Setting of the encoding, for example lowercase=true; may be repeated."""
    modality: Annotated[str, option("NAME", help="Kind of the source: auto, {modalities}.")] = (
        "auto"
    )
    plot: Annotated[str | None, option("FILE", "none")] = None
    """For info: file for a picture of frequencies by rank, coverage and lengths: .png or .svg."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, typed = parse(DataCommand, "data", DESCRIPTION, arguments)
    if command.action != "list" and not command.source:
        raise SettingsError(f"data {command.action} needs a source", hint="name one")
    if command.plot is not None and command.action != "info":
        raise SettingsError(f"data {command.action} draws nothing", where="--plot")
    if command.plot is not None:
        from rhapsode.views.pictures import check_picture

        check_picture(Path(command.plot))
    from rich.console import Console

    console = Console(highlight=False)
    if command.action == "fetch":
        from rhapsode.data import fetch_corpus

        sys.stdout.write(fetch_corpus(command.source) + "\n")
    elif command.action == "list":
        _list(console, json=command.json)
    else:
        _look(command, typed, console)
    return 0


def _list(console: Console, *, json: bool) -> None:
    """The corpora known by name."""
    from rich.table import Column, Table

    from rhapsode.data import list_corpora

    corpora = list_corpora()
    if json:
        print_json(corpora)
        return
    table = Table(
        *(Column(heading) for heading in ("name", "what it is", "licence", "where")),
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name, entry in corpora.items():
        table.add_row(f"[bold]{name}", entry["title"], entry["licence"], entry["place"])
    console.print(table)


def _look(command: DataCommand, typed: Mapping[str, Any], console: Console) -> None:
    """Survey a source, or show one of its documents."""
    from rhapsode.workflows.inference.sources import show, survey

    asked = {
        "source": typed_of(typed, SourceSettings),
        "encoder": apply_assignments({}, command.set),
    }
    asked = {name: value for name, value in asked.items() if value}
    names = {"encoding": command.encoding, "modality": command.modality}
    if command.action == "show":
        seen = show(command.source, number=command.document, **asked, **names)
        if command.json:
            print_json(seen.to_mapping())
            return
        for block in seen.shown(console.width):
            console.print(block)
        return
    modality, found = survey(command.source, **asked, **names)
    if command.json:
        print_json(found)
    else:
        console.width = min(console.width, WIDEST)
        for part in modality.survey_report(found, console.width):
            console.print(part)
    if command.plot is not None:
        modality.draw_survey(found, Path(command.plot))
        note(f"the picture is in {command.plot}")
