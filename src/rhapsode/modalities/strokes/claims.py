"""The claim of strokes to sources, by their suffixes and first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhapsode.data.corpora.catalogue import CATALOGUE
from rhapsode.encoding.strokes import Drawing
from rhapsode.files import is_there
from rhapsode.modalities.contract import Claim, Degree
from rhapsode.modalities.strokes.files import Specimen, holds_ink
from rhapsode.modalities.strokes.files.read_ink import JSON

# Files of a folder that are looked at.
LOOKED_AT = 200


def drawings_in(source: Any) -> list[Specimen] | None:
    """Drawings in memory; None for anything else."""
    several = list(source) if isinstance(source, list | tuple) else [source]
    if not several or not all(isinstance(each, Drawing) for each in several):
        return None
    return [Specimen(each, False, f"drawing {number}") for number, each in enumerate(several, 1)]


def is_named(source: str) -> bool:
    """True for the name of a corpus of strokes.

    A file of that name comes first.
    """
    entry = CATALOGUE.get(source)
    return entry is not None and entry.suffix in JSON and not is_there(Path(source))


def claim_sources(sources: Sequence[Any]) -> Claim:
    """The claim of strokes to sources.

    Arguments:
        sources: paths, names, or things in memory.
    """
    claims = [_claim(source) for source in sources]
    if not claims:
        return Claim(Degree.NONE, "no source")
    return min(claims, key=lambda claim: claim.degree)


def _claim(source: Any) -> Claim:
    if not isinstance(source, str | Path):
        if drawings_in(source) is not None:
            return Claim(Degree.SURE, "drawings in memory")
        return Claim(Degree.NONE, "it lies in memory and holds no drawings")
    path = Path(source)
    if is_named(str(source)):
        return Claim(Degree.SURE, "a corpus of pen strokes")
    if not is_there(path):
        return Claim(Degree.NONE, "no such file")
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*"))[:LOOKED_AT] if file.is_file()]
        ink = sum(map(holds_ink, files))
        if not ink or 2 * ink < len(files):
            return Claim(Degree.NONE, "no files of ink by suffix and first bytes")
        return Claim(Degree.SURE, f"{ink:,} of {len(files):,} files are ink")
    if path.is_file() and holds_ink(path):
        return Claim(Degree.SURE, "ink by its suffix and first bytes")
    return Claim(Degree.NONE, "no ink by its suffix and first bytes")
