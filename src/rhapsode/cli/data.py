"""`rhapsode data`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import parse, settings_of, typed_settings
from rhapsode.config import Positional, Repeated, SourceSettings, apply_assignments, option
from rhapsode.errors import SettingsError

__all__ = ["DataCommand", "run"]

DESCRIPTION = """The corpora that can be named in place of a file, and what a source looks like to a model.

list shows the corpora known by name, fetch brings one onto this machine, show prints one document of a source and its
elements, info tells what a source holds, of text its characters, lengths, vocabulary, copies and shares, of series their
lengths, times and missing values, and what train would choose for it."""

SHOWN = 400
WIDEST = 100


@dataclass(frozen=True)
class DataCommand(SourceSettings):
    """Flags of `rhapsode data`."""

    action: Positional[
        Annotated[Literal["list", "info", "show", "fetch"], option("list|info|show|fetch")]
    ] = "list"
    """What to do."""
    source: Positional[Annotated[str, option("SOURCE", "")]] = ""
    """For info and show: a file, folder or corpus; for fetch: a corpus."""
    document: Annotated[int, option("N")] = 0
    """For show: which document, from 0."""
    encoding: Annotated[str, option("NAME")] = "auto"
    """The encoding; for show learnt on the whole source, for info on its training share."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """A setting of the encoding, as lowercase=true; may be repeated."""
    modality: Annotated[
        str, option("NAME", help="For info: what the source is: auto, {modalities}.")
    ] = "auto"
    plot: Annotated[str | None, option("FILE", "none")] = None
    """For info: draw frequencies by rank, coverage and lengths into a .png or .svg file."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(DataCommand, "data", DESCRIPTION, arguments)
    if command.action != "list" and not command.source:
        raise SettingsError(f"data {command.action} needs a source", hint="name one")
    if command.plot is not None and command.action != "info":
        raise SettingsError(f"data {command.action} draws nothing", where="--plot")
    if command.action == "info":
        return _info(command, typed_settings(command, arguments, SourceSettings))
    from rhapsode.workflows.inference import show_corpus as show

    if command.action == "fetch":
        sys.stdout.write(show.fetch_corpus(command.source) + "\n")
        return 0
    if command.action == "list":
        corpora = show.list_corpora()
        if command.json:
            print_json(corpora)
            return 0
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("name", "what it is", "licence", "where"):
            table.add_column(heading)
        for name, entry in corpora.items():
            table.add_row(f"[bold]{name}", entry["title"], entry["licence"], entry["place"])
        Console(highlight=False).print(table)
        return 0
    settings = apply_assignments({}, command.set)
    shown = show.show_source(
        command.source,
        number=command.document,
        encoding=command.encoding,
        settings=settings,
        reading=settings_of(command, SourceSettings),
        tell=note,
    )
    if command.json:
        print_json(shown)
        return 0
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(shown['source'])}[/]  document {command.document} of {shown['documents']:,}; "
        f"{shown['encoding']}, {shown['vocabulary']:,} elements"
    )
    console.print()
    console.print(Text(shown["text"][: SHOWN * 4]))
    from rhapsode.views.candidates import elements_text

    console.print(elements_text(shown, most=SHOWN))
    if len(shown["ids"]) > SHOWN:
        note(f"the first {SHOWN} of {len(shown['ids']):,} elements; --json prints all")
    if "log_prob" in shown:
        console.print(f"log-probability under the grammar: {shown['log_prob']:.4f} nats")
    return 0


def _info(command: DataCommand, reading: Mapping[str, Any]) -> int:
    """Survey a source and print what was found."""
    if command.plot is not None:
        from rhapsode.views.survey_picture import check_picture

        check_picture(Path(command.plot))
    from rhapsode.workflows.inference.survey import survey

    asked = {
        "source": dict(reading),
        "encoding": command.encoding if command.encoding != "auto" else None,
        "encoder": apply_assignments({}, command.set),
        "modality": command.modality if command.modality != "auto" else None,
    }
    modality, found = survey(
        command.source, tell=note, **{name: value for name, value in asked.items() if value}
    )
    if command.json:
        print_json(found)
    else:
        console = Console(highlight=False)
        console.width = min(console.width, WIDEST)
        for part in modality.survey_report(found, console.width):
            console.print(part)
    if command.plot is not None:
        modality.draw_survey(found, Path(command.plot))
        note(f"the picture is in {command.plot}")
    return 0
