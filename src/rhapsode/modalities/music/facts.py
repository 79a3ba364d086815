"""Contents of a model file that belong to music. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdFacts
from rhapsode.encoding import Encoder, Grammar
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.errors import BundleError


@dataclass(frozen=True)
class MusicFacts(IdFacts):
    """Counts of a model of music."""

    modality: ClassVar[str] = "music.v1"
    goes_on_with: ClassVar[str] = "music"
    command: ClassVar[str] = "rhapsode generate"

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> MusicEncoder:
        return music_encoder(super().open_encoder(table))

    @classmethod
    def grammar(cls, encoder: Encoder) -> Grammar | None:
        return music_encoder(encoder).grammar()

    @classmethod
    def letters(cls, encoder: Encoder) -> NDArray[np.int64] | None:
        return music_encoder(encoder).marks()


def music_encoder(encoder: Any) -> MusicEncoder:
    """An encoder as one of music.

    Raises:
        BundleError: it encodes something else.
    """
    if not isinstance(encoder, MusicEncoder):
        raise BundleError(f"{encoder.name} does not encode music")
    return encoder
