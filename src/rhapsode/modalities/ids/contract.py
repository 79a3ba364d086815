"""The corpus of a modality of identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.contract import Corpus

if TYPE_CHECKING:
    from rhapsode.data import ElementStore
    from rhapsode.encoding import Encoder

__all__ = ["IdCorpus"]


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
        """How often each element occurs in the training part."""
