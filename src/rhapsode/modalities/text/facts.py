"""Contents of a model file that belong to text. No torch."""

from dataclasses import dataclass
from typing import ClassVar

from rhapsode.bundle import IdFacts


@dataclass(frozen=True)
class TextFacts(IdFacts):
    """Counts of a text model."""

    modality: ClassVar[str] = "text.v1"
    goes_on_with: ClassVar[str] = "text"
    command: ClassVar[str] = "rhapsode generate"
