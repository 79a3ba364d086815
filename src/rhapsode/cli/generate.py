"""Continue a prompt.

Only the prompt and the continuation are printed to stdout; on a terminal, music is drawn.

Temperatures of 0.2 to 0.5 are conservative, 0.7 to 0.9 balanced, 1.0 to 1.5 creative; 0 always
takes the likeliest element, and such text tends to repeat itself. The same seed gives the same
text, alone or in a batch.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import rhapsode as rh
from rhapsode.cli.answers import write_answers
from rhapsode.cli.console import json_text, note, plain, put, say, stdout
from rhapsode.cli.parse import ModelArgument, Typed, read_stdin, settings_of, typed_of
from rhapsode.cli.typed_settings import read_texts
from rhapsode.config import GenerateSettings, Positional, RequestSettings, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console


@dataclass(frozen=True)
class GenerateCommand(GenerateSettings, RequestSettings, ModelArgument):
    """Options."""

    prompt: Positional[Annotated[str, option("PROMPT", "none")]] = ""
    """Text to continue, or a table of series; - reads it from standard input. Escapes such as \\n
    are read if the training text has no backslash, here and in --stop, --ban, --bias, --prefix,
    --dry-breakers and --penalty-spare."""
    output: Annotated[str | None, option("FILE", "standard output", alias="-o")] = None
    """Write the result into this file in the format of its suffix: text; a table of series; .mid,
    .abc, .musicxml, .wav, .mp3 or .svg of music. Several continuations are numbered: new-1.mid,
    new-2.mid and so on."""
    only_new: bool = False
    """Leave the prompt out of the output."""

    def run(self, typed: Typed, began: float) -> None:
        model = rh.load(self.model)
        own = typed_of({**typed, **vars(self)}, model.generation)
        settings = read_texts(model, model.generation(**own))
        more = settings_of(self, RequestSettings)
        if more.input is not None:
            write_answers(model, more, settings, self.output)
            return
        if more.n_best > 1:
            raise SettingsError(
                "several answers are given to the lines of a file",
                where="--n-best",
                hint="add --input FILE, or use --beams and --count",
            )
        request = rh.request(model, model.typed(self.prompt), settings, more, read_stdin=read_stdin)
        if self.output is not None:
            for path in request.save(Path(self.output), only_new=self.only_new):
                note(f"wrote {path}")
        elif settings.format == "jsonl":
            for one in request.settings:
                for continuation in request.continuations(one):
                    entry = request.model.described(continuation)
                    if self.only_new:
                        del entry["prompt"]
                    put(json_text(entry) + "\n")
        elif request.prompts[0].picture_hint and sys.stdout is not None and sys.stdout.isatty():
            _draw(request, only_new=self.only_new)
        elif more.temperatures:
            _by_temperature(request, only_new=self.only_new)
        elif len(request.prompts) > 1 or settings.count > 1:
            _say_all(request.continuations(request.settings[0]), only_new=self.only_new)
        else:
            _stream(request, only_new=self.only_new)


def _stream(request: "rh.Request", *, only_new: bool) -> None:
    prompt = request.prompts[0]
    last = "" if only_new else prompt.text
    say(last)
    for piece in request.model.write(request.prompts, request.settings[0]):
        if piece.text:
            say(piece.text)
            last = piece.text
    if not last.endswith("\n"):
        put("\n")


def _draw(request: "rh.Request", *, only_new: bool) -> None:
    """Print pictures of continuations, and how to get what they show."""
    console = stdout()
    for settings in request.settings:
        if len(request.settings) > 1:
            _say_temperature(settings.temperature, console)
        for prompt in request.prompts:
            for one in replace(request, prompts=[prompt]).continuations(settings):
                whole = (*prompt.opening.elements, *one.chosen)
                picture = prompt.picture(whole, len(one.chosen), console.width)
                if picture is None:
                    _say_all([one], only_new=only_new)
                else:
                    console.print(picture)
    seed = request.settings[0].seed
    note(f"with --seed {seed}, {request.prompts[0].picture_hint}")


def _by_temperature(request: "rh.Request", *, only_new: bool) -> None:
    """Print continuations under temperature headings, or in columns if they fit."""
    from rhapsode.views.terminal.text_tables import continuation_columns, has_room

    console = stdout()
    temperatures = [one.temperature for one in request.settings]
    rows: Sequence[Iterable[rh.Continuation]] = [
        request.continuations(one) for one in request.settings
    ]
    if console.is_terminal and has_room(console.width, len(rows)):
        rows = columns = [list(row) for row in rows]
        texts = [
            [("" if only_new else each.prompt, plain(each.text)) for each in row] for row in columns
        ]
        longest = max(len(prompt + text) for row in texts for prompt, text in row)
        if has_room(console.width, len(rows), longest):
            console.print(continuation_columns(temperatures, texts))
            return
    for temperature, row in zip(temperatures, rows, strict=True):
        _say_temperature(temperature, console)
        _say_all(row, only_new=only_new)


def _say_temperature(temperature: float, console: "Console") -> None:
    console.rule(f"temperature {temperature:g}", align="left", style="cyan")
    sys.stdout.flush()


def _say_all(continuations: Iterable["rh.Continuation"], *, only_new: bool) -> None:
    """Print prompts and continuations, each on lines of its own."""
    for continuation in continuations:
        text = ("" if only_new else continuation.prompt) + continuation.text
        say(text if text.endswith("\n") else text + "\n")
