"""The corpus of a modality of identifiers, and settings of measuring its models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.contract import Corpus

if TYPE_CHECKING:
    from rhapsode.data import ElementStore
    from rhapsode.encoding import Encoder

__all__ = ["IdCorpus", "IdEvaluationSettings"]


class IdCorpus(Corpus, Protocol):
    """A corpus of identifiers, divided into parts."""

    @property
    def encoder(self) -> Encoder:
        """Documents to identifiers."""

    @property
    def train(self) -> ElementStore:
        """The training part."""

    @property
    def validation(self) -> ElementStore:
        """The part that chooses, possibly empty."""

    @property
    def test(self) -> ElementStore:
        """The part that is scored once, possibly empty."""

    @property
    def pairs(self) -> bool:
        """True if parts of documents are given, and only the rest is learnt."""

    @property
    def copies(self) -> int:
        """Documents that repeat an earlier one."""

    def counts_V(self) -> NDArray[np.int64]:
        """Occurrences of each element in the training part."""


@dataclass(frozen=True)
class IdEvaluationSettings:
    """Settings of an evaluation of a model of identifiers."""

    dynamic: bool = False
    """Also report dynamic evaluation, separately: the loss if the model continues to learn from the
    text. Takes up to one more minute."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Also score a part of the text with weights in this number format, and report the difference
    from float32."""
