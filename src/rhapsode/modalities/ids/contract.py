"""Corpus of identifiers, and settings of their evaluation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rhapsode.config import option
from rhapsode.data import ElementStore
from rhapsode.encoding import Encoder
from rhapsode.modalities.scoring import SplitName


@dataclass(frozen=True)
class IdCorpus:
    """A corpus of identifiers, divided into splits.

    Arguments:
        encoder: documents to identifiers.
        train: the training split.
        validation: the part that selects the best weights, possibly empty.
        test: the part that is scored once, possibly empty.
        sha256: over all documents and their boundaries.
        characters: of all documents.
        documents: how many.
        copies: documents that repeat an earlier one.
        pairs: True if parts of documents are given, and only the rest is learnt.
    """

    encoder: Encoder
    train: ElementStore
    validation: ElementStore
    test: ElementStore
    sha256: str
    characters: int
    documents: int
    copies: int
    pairs: bool

    def part(self, name: SplitName) -> ElementStore:
        """A split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


@dataclass(frozen=True)
class IdEvaluationSettings:
    """Settings of an evaluation of a model of identifiers."""

    adapt: bool = False
    """Also report, separately, the loss if the counts of the model go on counting over what is
    read, in order."""
    dynamic: bool = False
    """Also report dynamic evaluation, separately: the loss if the model continues to learn from the
    text. Takes up to one more minute."""
    device: Annotated[str | None, option("NAME", "the CPU")] = None
    """Device that scores: cpu, cuda, cuda:N or mps."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Also score a part of the text with weights in this number format, and report the difference
    from float32."""
