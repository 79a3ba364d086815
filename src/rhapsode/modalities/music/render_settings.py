"""Settings of rendering scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config import option


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """Sound and pictures of scores."""

    as_: Annotated[Literal["roll", "score"], option()] = "roll"
    """Kind of a picture: a piano roll, or engraved staff notation."""
    soundfont: Annotated[str | None, option("FILE", "one that is installed, else synth")] = None
    """SoundFont (.sf2) that sounds are made with; synth is the built-in synthesiser, which needs no
    file."""
    tempo: Annotated[
        Annotated[float, Meta(ge=1.0, le=1000.0)] | None, option("Q", "that of the score")
    ] = None
    """Mean speed in quarter notes a minute; changes of speed keep their proportions."""
    piece: Annotated[Annotated[int, Meta(ge=1)], option("N")] = 1
    """Number of the piece, in a file of several."""
