"""List the named corpora, or survey a source.

  list: list the named corpora. Their names can be used in place of a file.
  fetch: download one of them.
  show: show one document of a source and its elements; for a table, one series and its scaled
      values.
  info: report characters, lengths, vocabulary, duplicates and splits of a text, or lengths, times
      and missing values of series, and the settings that train would choose.
"""  # fmt: skip  # noqa: D208 - lines that begin with two spaces stay lines

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import rhapsode as rh
from rhapsode.cli.console import note, present, print_json, print_parts, stdout
from rhapsode.cli.parse import Typed, typed_of
from rhapsode.config import Positional, Repeated, SourceSettings, apply_assignments, option
from rhapsode.errors import SettingsError

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
    """Encoding to use. show learns it from the whole source, info learns it from the training
    split."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """Setting of the encoding, for example lowercase=true; may be repeated."""
    modality: Annotated[str, option("NAME", help="Kind of the source: auto, {modalities}.")] = (
        "auto"
    )
    plot: Annotated[str | None, option("FILE", "none")] = None
    """For info: .png or .svg file for a picture of frequencies by rank, coverage of the vocabulary,
    and lengths of documents."""
    json: bool = False
    """Print one JSON object."""

    def run(self, typed: Typed, began: float) -> None:
        if self.action != "list" and not self.source:
            raise SettingsError(f"data {self.action} needs a source", hint="name one")
        if self.plot is not None:
            if self.action != "info":
                raise SettingsError(f"data {self.action} draws nothing", where="--plot")
            from rhapsode.views.pictures import check_picture

            check_picture(Path(self.plot))
        if self.action == "fetch":
            sys.stdout.write(rh.fetch(self.source) + "\n")
        elif self.action == "list":
            _list(as_json=self.json)
        else:
            _look(self, typed)


def _list(*, as_json: bool) -> None:
    from rich.table import Table

    corpora = rh.corpora()
    if as_json:
        print_json(corpora)
        return
    table = Table("name", "what it is", "licence", "where", box=None, padding=(0, 2, 0, 0))
    for name, entry in corpora.items():
        table.add_row(f"[bold]{name}", entry["title"], entry["licence"], entry["place"])
    print_parts([table])


def _look(command: DataCommand, typed: Typed) -> None:
    settings: dict[str, Any] = {"encoding": command.encoding, "modality": command.modality}
    if source := typed_of(typed, SourceSettings):
        settings["source"] = source
    if command.set:
        settings["encoder"] = apply_assignments({}, command.set)
    if command.action == "show":
        document = rh.show(command.source, number=command.document, **settings)
        present(document, as_json=command.json)
        return
    survey = rh.describe(command.source, **settings)
    if command.json:
        print_json(survey.to_mapping())
    else:
        console = stdout()
        console.width = min(console.width, WIDEST)
        print_parts(survey.shown(console.width), console)
    if command.plot is not None:
        survey.plot(command.plot)
        note(f"the picture is in {command.plot}")
