"""The modality of sources."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rhapsode.errors import DataError, SettingsError
from rhapsode.files import source_name
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.contract import Claim, Degree, Modality

AnyModality = Modality[Any, Any, Any]


def choose_modality(
    sources: Sequence[Any], asked: Mapping[str, Any], name: str | None = None
) -> tuple[AnyModality, Claim]:
    """The modality with the highest claim, and the claim.

    Arguments:
        sources: paths, names, or things in memory.
        asked: settings by name; `modality` decides where it is set.
        name: the modality of a run that is resumed, or of a base model.

    Raises:
        SettingsError: an unknown modality, equal highest claims, or a setting of another modality.
        DataError: no modality claims the sources.
    """
    modality, claim = _chosen(sources, asked, name)
    _refuse_foreign(modality, asked, sources)
    return modality, claim


def _chosen(
    sources: Sequence[Any], asked: Mapping[str, Any], name: str | None
) -> tuple[AnyModality, Claim]:
    wanted = asked.get("modality", "auto") if name is None else name
    if wanted != "auto":
        return MODALITIES.get(str(wanted)), Claim(Degree.SURE, "as requested")
    claims = {known: MODALITIES.get(known).claim(sources, asked) for known in MODALITIES.names()}
    highest = max(claim.degree for claim in claims.values())
    best = [known for known, claim in claims.items() if claim.degree == highest]
    named = ", ".join(map(source_name, sources[:3])) or "no source"
    if highest == Degree.NONE:
        told = "; ".join(f"{known}: {claim.reason}" for known, claim in claims.items())
        raise DataError(f"no kind of model can be trained on this ({told})", where=named)
    if len(best) > 1:
        words = [known.partition(".")[0] for known in best]
        raise SettingsError(
            f"this may be {' or '.join(words)}",
            where=named,
            hint=f"choose one, for example --modality {words[0]}",
        )
    return MODALITIES.get(best[0]), claims[best[0]]


def _refuse_foreign(
    modality: AnyModality, asked: Mapping[str, Any], sources: Sequence[Any]
) -> None:
    """Settings in a section that only other modalities have are refused by the modality's name."""
    own = _sections(modality)
    for section in asked.keys() - own:
        others = [
            known
            for known in MODALITIES.names()
            if MODALITIES.get(known) is not modality and section in _sections(MODALITIES.get(known))
        ]
        if not others:
            continue  # no modality has it; reading the settings tells the nearest name
        words = [known.partition(".")[0] for known in others]
        named = ", ".join(map(source_name, sources[:3])) or "no source"
        within = asked[section]
        flags = ", ".join(within) if isinstance(within, Mapping) else section
        raise SettingsError(
            f"{named} is read as {modality.noun}, which has no setting {section}.{flags}",
            hint=f"with --modality {words[0]} it is read as {MODALITIES.get(others[0]).noun}",
        )


def _sections(modality: AnyModality) -> set[str]:
    return {field.name for field in dataclasses.fields(modality.settings)}
