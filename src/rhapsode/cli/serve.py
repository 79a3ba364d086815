"""Serve models over HTTP, with the interface of OpenAI.

Without a MODEL, the models of the folder runs are served. The address is printed with a token that
opens what writes on this machine: stored states and training. Ctrl-C ends the server.
"""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import note
from rhapsode.cli.parse import Typed, settings_of
from rhapsode.config import Positional, option


@dataclass(frozen=True, kw_only=True)
class ServeCommand(rh.ServeSettings):
    """Models to serve."""

    models: Positional[Annotated[tuple[str, ...], option("MODEL", "those in runs")]] = ()
    """Run folders or model files."""

    def run(self, typed: Typed, began: float) -> None:
        rh.serve(self.models, settings_of(self, rh.ServeSettings), tell=note)
