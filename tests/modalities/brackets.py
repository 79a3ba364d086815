"""A toy modality of identifiers with a grammar: lines of balanced brackets and letters."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rhapsode.bundle import Provenance
from rhapsode.bundle.element_facts import IdBundle, IdFacts
from rhapsode.config import IdSettings
from rhapsode.data import ElementStore
from rhapsode.encoding import Encoder, Grammar
from rhapsode.modalities.contract import Claim, Degree
from rhapsode.modalities.ids.contract import IdCorpus
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


def read_lines(sources: Sequence[Any]) -> list[str]:
    return "\n".join(Path(source).read_text() for source in sources).split("\n")


def store_of(lines: Sequence[str]) -> ElementStore:
    encoder = BracketEncoder()
    ids = [encoder.encode(line) for line in lines]
    return ElementStore.of(ids, sum(map(len, lines)), encoder.vocab_size)


class BracketModality(IdModality[IdSettings, IdCorpus]):
    name: ClassVar[str] = NAME
    noun: ClassVar[str] = "brackets"
    facts = BracketFacts
    settings = IdSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        own = all(str(source).endswith(".brackets") for source in sources)
        return Claim(Degree.SURE if own else Degree.NONE, "by suffix")

    def corpus(self, sources: Sequence[Any], settings: Any, **read: Any) -> Any:
        lines = read_lines(sources)
        tenth = len(lines) // 10
        return IdCorpus(
            encoder=BracketEncoder(),
            train=store_of(lines[: -2 * tenth]),
            validation=store_of(lines[-2 * tenth : -tenth]),
            test=store_of(lines[-tenth:]),
            sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            characters=sum(map(len, lines)),
            documents=len(lines),
            copies=0,
            pairs=False,
        )

    def provenance(self, corpus: IdCorpus, settings: IdSettings) -> Provenance:
        return Provenance(test_share=0.1, validation_share=0.1)

    def to_score(self, model: Any, sources: Sequence[str], asked: Any) -> IdPart:
        return IdPart(store_of(read_lines(sources)), ", ".join(sources), ())

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        figures = [f"{summary['loss']} nats"]
        return Card("Brackets", "A toy.", ["Lines."], figures, ["Toy."], ["rhapsode generate ."])


BRACKETS = BracketModality()
