"""The claim of music to sources, by their suffixes and first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhapsode.encoding import ENCODERS
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.errors import SettingsError
from rhapsode.modalities.contract import Claim, Degree
from rhapsode.modalities.music.reading import is_roll


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
    path = Path(source)
    if is_roll(path):
        return Claim(Degree.SURE, "piano rolls in JSON")
    return Claim(Degree.NONE, "no music by its suffix and first bytes")
