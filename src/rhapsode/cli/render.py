"""Render a score as sound, as a picture, or for other programs.

The suffix of the output file chooses the format. Sound is made with a SoundFont if one is named or
installed, else by a built-in synthesiser that needs no file.
"""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.parse import Typed, settings_of
from rhapsode.config import Positional, option
from rhapsode.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class RenderCommand(rh.RenderSettings):
    """Input and output."""

    score: Positional[Annotated[str, option("SCORE")]]
    """File of music: .mid, .abc or .musicxml."""

    output: Annotated[str, option("FILE", "", alias="-o")] = ""
    """File to write: .wav, .flac, .ogg or .mp3; .svg or .png; .mid, .musicxml or .abc."""

    def run(self, typed: Typed, began: float) -> None:
        if not self.output:
            raise SettingsError(
                "no file is named", where="--output", hint="for example -o tune.wav"
            )
        rh.render(self.score, self.output, settings_of(self, rh.RenderSettings))
