"""Whole documents of sources, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rhapsode.config import SourceSettings
from rhapsode.data import Document, Found, read_pieces


@dataclass(frozen=True)
class Reading:
    documents: tuple[Document, ...]
    skipped: tuple[str, ...]
    found: Found


def read_sources(sources: Sequence[Any], settings: SourceSettings | None = None) -> Reading:
    found = Found()
    documents: list[Document] = []
    parts: list[Document] = []
    for piece in read_pieces(sources, settings or SourceSettings(), found):
        parts.append(piece)
        if piece.complete:
            text = "".join(part.text for part in parts)
            prompt = sum(part.prompt for part in parts)
            documents.append(Document(text, piece.name, prompt=prompt))
            parts.clear()
    return Reading(tuple(documents), tuple(found.skipped), found)
