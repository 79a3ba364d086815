"""Contents of a model file that belong to text. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rhapsode.bundle import Bundle, read_bundle
from rhapsode.bundle.id_facts import IdFacts
from rhapsode.encoding import Encoder

__all__ = ["TextBundle", "TextFacts", "read_text_bundle"]


@dataclass(frozen=True)
class TextFacts(IdFacts):
    """Counts of a text model."""

    modality: ClassVar[str] = "text.v1"
    goes_on_with: ClassVar[str] = "text"
    command: ClassVar[str] = "rhapsode generate"


TextBundle = Bundle[Encoder, TextFacts]


def read_text_bundle(model: str | Path) -> TextBundle:
    """The model of text in a run folder or model file; see `read_bundle`."""
    return read_bundle(model, TextFacts)
