"""The claim of music to sources, by their suffixes and first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhapsode.data.corpora.catalogue import CATALOGUE
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import is_there
from rhapsode.modalities.contract import Claim, Degree
from rhapsode.modalities.music.files import SUFFIXES
from rhapsode.modalities.music.pieces.music_files import share_of_music


def claim_sources(sources: Sequence[Any], encoding: str) -> Claim:
    """The claim of music to sources.

    Arguments:
        sources: paths, names, or things in memory.
        encoding: as requested; "auto" for any.
    """
    if encoding != "auto":
        try:
            if not issubclass(ENCODERS.get(encoding), MusicEncoder):
                return Claim(Degree.NONE, f"{encoding} does not encode music")
        except SettingsError:
            return Claim(Degree.NONE, f"there is no encoding {encoding}")
    claims = [_claim(source) for source in sources]
    if not claims:
        return Claim(Degree.NONE, "no source")
    return min(claims, key=lambda claim: claim.degree)


def _claim(source: Any) -> Claim:
    if not isinstance(source, str | Path):
        scores = source if isinstance(source, list | tuple) else [source]
        if scores and all(isinstance(score, Score) for score in scores):
            return Claim(Degree.SURE, "scores in memory")
        return Claim(Degree.NONE, "it lies in memory and holds no scores")
    name = str(source)
    path = Path(name)
    if name == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return Claim(Degree.NONE, "it can be read only once")
    entry = CATALOGUE.get(name)
    if not is_there(path) and entry is not None and not (entry.download or entry.suffix):
        return Claim(Degree.NONE, "a named corpus of another kind")
    try:
        music, files = share_of_music(name)
    except DataError as problem:
        if path.suffix.lower() in SUFFIXES:
            return Claim(Degree.SURE, "music by its suffix")  # reading tells what is wrong
        return Claim(Degree.NONE, problem.what)
    if not music or 2 * music < files:
        return Claim(Degree.NONE, "no music by its suffix and first bytes")
    if files > 1:
        return Claim(Degree.SURE, f"{music:,} of {files:,} files are music")
    return Claim(Degree.SURE, "music by its suffix and first bytes")
