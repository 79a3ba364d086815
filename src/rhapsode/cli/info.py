"""Show components, layer shapes, parameters, encoder and provenance of a model."""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import present
from rhapsode.cli.parse import Typed
from rhapsode.config import Positional, option


@dataclass(frozen=True)
class InfoCommand:
    """Options."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    json: bool = False
    """Print one JSON object."""

    def run(self, typed: Typed, began: float) -> None:
        present(rh.info(self.model), as_json=self.json)
