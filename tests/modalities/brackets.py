"""A toy modality of identifiers with a grammar: lines of balanced brackets and letters."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Provenance
from rhapsode.bundle.facts import IdBundle, IdFacts
from rhapsode.config import IdSettings
from rhapsode.data import ElementStore
from rhapsode.encoding import Encoder, Grammar
from rhapsode.modalities.contract import Claim, Degree
from rhapsode.modalities.ids.metrics import IdPart
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.ids.model import IdModel
from rhapsode.views.card import Card
from tests.encoding.brackets import Brackets
from tests.modalities.bracket_encoder import NAME, BracketEncoder

REGISTRATION = {
    "modality": "tests.modalities.brackets:BRACKETS",
    "facts": "tests.modalities.brackets:BracketFacts",
    "model": "tests.modalities.brackets:BracketModel",
}


class BracketFacts(IdFacts):
    modality, goes_on_with, command = NAME, "brackets", "rhapsode generate"

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> Encoder:
        return BracketEncoder()

    @classmethod
    def grammar(cls, encoder: Encoder) -> Grammar:
        return Brackets(encoder.vocab_size)


class BracketModel(IdModel):
    facts = BracketFacts


class BracketCorpus:
    encoder: Encoder = BracketEncoder()
    pairs, copies = False, 0

    def __init__(self, sources: Sequence[Any]) -> None:
        self.lines = "\n".join(Path(source).read_text() for source in sources).split("\n")
        tenth = len(self.lines) // 10
        self.documents, self.characters = len(self.lines), sum(map(len, self.lines))
        self.sha256 = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
        self.train = self.store(0, -2 * tenth)
        self.validation = self.store(-2 * tenth, -tenth)
        self.test = self.store(-tenth, None)

    def store(self, first: int, end: int | None) -> ElementStore:
        lines = self.lines[first:end]
        ids = [self.encoder.encode(line) for line in lines]
        return ElementStore.of(ids, sum(map(len, lines)), self.encoder.vocab_size)

    def counts_V(self) -> NDArray[np.int64]:
        return self.train.counts_V


class BracketModality(IdModality[IdSettings, BracketCorpus]):
    name: ClassVar[str] = NAME
    noun: ClassVar[str] = "brackets"
    facts = BracketFacts
    settings = IdSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        own = all(str(source).endswith(".brackets") for source in sources)
        return Claim(Degree.SURE if own else Degree.NONE, "by suffix")

    def corpus(self, sources: Sequence[Any], settings: Any, **read: Any) -> Any:
        return BracketCorpus(sources)

    def provenance(self, corpus: BracketCorpus, settings: IdSettings) -> Provenance:
        return Provenance(test_share=0.1, validation_share=0.1)

    def test_part(self, settings: IdSettings, corpus: BracketCorpus) -> str:
        return "test: the last tenth of the lines"

    def to_score(self, model: Any, sources: Sequence[str], asked: Any) -> IdPart:
        return IdPart(BracketCorpus(sources).store(0, None), ", ".join(sources), ())

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        figures = [f"{summary['loss']} nats"]
        return Card("Brackets", "A toy.", ["Lines."], figures, ["Toy."], ["rhapsode generate ."])


BRACKETS = BracketModality()
