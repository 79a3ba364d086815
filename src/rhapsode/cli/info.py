"""Show components, layer shapes, parameters, encoder and provenance of a model."""

from dataclasses import dataclass

import rhapsode as rh
from rhapsode.cli.console import present
from rhapsode.cli.parse import ModelArgument, Typed


@dataclass(frozen=True)
class InfoCommand(ModelArgument):
    """Options."""

    json: bool = False
    """Print one JSON object."""

    def run(self, typed: Typed, began: float) -> None:
        present(rh.info(self.model), as_json=self.json)
