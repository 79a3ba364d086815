"""Write a text in turns with a model.

Each line is appended to the text, and the model continues it. An empty line lets the model
continue.

/help lists the commands. Ctrl-C stops a continuation, Ctrl-D quits. In a pipe, lines are read from
standard input.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import note
from rhapsode.cli.parse import ModelArgument, Typed
from rhapsode.cli.typed_settings import read_texts
from rhapsode.config import (
    Positional,
    Repeated,
    apply_assignments,
    from_mapping,
    option,
)

GREETING = (
    "Type a line to continue the text. Press Enter to let the model continue.\n"
    "/help lists the commands."
)


@dataclass(frozen=True)
class PlayCommand(ModelArgument):
    """Options."""

    prompt: Positional[Annotated[str, option("PROMPT", "none")]] = ""
    """Beginning of the text; for a model of series, a table with the series to continue."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """Setting of generate, for example temperature=0.7 or length=100; may be repeated."""
    seed: Annotated[int | None, option("N", "random, printed on stderr")] = None
    """Random seed; the same seed and the same lines produce the same text."""
    adapt: bool = False
    """Let the counts of the model go on counting over what is written and typed."""
    keep: Annotated[str | None, option("FILE", "kept.jsonl next to the model")] = None
    """File to which /keep appends texts. A .jsonl file receives one JSON object for each text,
    which train --field text reads as a document. Any other file receives plain text."""
    load: Annotated[str | None, option("FILE", "none")] = None
    """Continue a saved session."""

    def run(self, typed: Typed, began: float) -> None:
        asked = apply_assignments({}, self.set)
        if self.seed is not None:
            asked["seed"] = self.seed
        if self.adapt:
            asked["adapt"] = True
        from rhapsode.cli.play_lines import NAMES, Player
        from rhapsode.cli.play_screen import PlayScreen

        model = rh.load(self.model)
        settings = read_texts(model, from_mapping(model.generation, asked, where="--set"))
        session = rh.Session(model, settings, model.typed(self.prompt))
        model.ready(session.settings)  # errors come before the first line
        if self.load is not None:
            session.load(Path(self.load))
        screen = PlayScreen()
        kept = Path(self.keep) if self.keep else model.path.parent / model.kept
        player = Player(session, screen, kept)
        if "seed" not in asked:
            note(f"seed {session.settings.seed}")
        if screen.is_terminal:
            bundle = model.bundle
            network = "counts" if bundle.network is None else bundle.network.model.name
            screen.greet(
                model.path.parent.name or str(model.path),
                network.partition(".")[0],
                bundle.encoder.name.partition(".")[0],
                f"temperature {session.settings.temperature:g}",
            )
            note(GREETING)
            if session.turns:
                player.show_text()
        names = [field.name for field in dataclasses.fields(model.generation)]
        player.play(screen.lines(NAMES, names))
