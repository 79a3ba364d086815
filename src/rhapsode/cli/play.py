"""`rhapsode play`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rhapsode.cli.console import note
from rhapsode.cli.parse import parse
from rhapsode.config import (
    GenerateSettings,
    Positional,
    Repeated,
    apply_assignments,
    from_mapping,
    option,
)

__all__ = ["PlayCommand", "run"]

DESCRIPTION = """Write together with a model. Each line is appended to the text and continued; an empty line continues the text.

/help lists the commands. Ctrl-C stops a continuation, Ctrl-D leaves. In a pipe the lines are read from standard input."""

GREETING = "Write a line and the model goes on; an empty line lets it go on; /help tells the rest."


@dataclass(frozen=True)
class PlayCommand:
    """Options."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    prompt: Positional[Annotated[str, option("PROMPT", "nothing")]] = ""
    """What the text begins with; of a model of series a table whose series is continued."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """A setting of generate, as temperature=0.7 or length=100; may be repeated."""
    seed: Annotated[int | None, option("N", "a new one, told on stderr")] = None
    """Seed of the draw: the same seed and the same lines write the same text."""
    keep: Annotated[str | None, option("FILE", "kept.jsonl beside the model")] = None
    """Where /keep appends texts: to .jsonl an object each, which train --field text reads as documents; to any other
    file the texts themselves."""
    load: Annotated[str | None, option("FILE", "none")] = None
    """Continue a saved session."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(PlayCommand, "play", DESCRIPTION, arguments)
    asked = apply_assignments({}, command.set)
    if command.seed is not None:
        asked["seed"] = command.seed
    settings = from_mapping(GenerateSettings, asked, where="--set")
    from rhapsode.cli.play_screen import PlayScreen
    from rhapsode.workflows import load
    from rhapsode.workflows.inference.play_commands import Player
    from rhapsode.workflows.inference.session import PlaySession

    model = load(command.model)
    session = PlaySession(model, settings, command.prompt)
    model.ready(session.settings)  # what cannot be used is told of before the first line
    if command.load is not None:
        session.load(Path(command.load))
    screen = PlayScreen()
    kept = Path(command.keep) if command.keep else model.path.parent / model.kept
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
    names = [field.name for field in dataclasses.fields(GenerateSettings)]
    player.play(screen.lines(player.commands, names))
    return 0
