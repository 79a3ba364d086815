"""A toy modality of identifiers with a grammar: lines of balanced brackets and letters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Provenance, bundle_path, read_bundle
from rhapsode.bundle.id_facts import IdBundle, IdFacts
from rhapsode.config import GenerateSettings, IdSettings
from rhapsode.data import ElementStore
from rhapsode.encoding import Encoder, Grammar
from rhapsode.modalities.contract import Claim, Degree, Tell
from rhapsode.modalities.ids.continuation import collect, continue_prompt, with_seed
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.ids.predictors import IdPredictors
from rhapsode.views.card import Card
from tests.encoding.brackets import Brackets
from tests.modalities.bracket_encoder import NAME, SIGNS, BracketEncoder

REGISTRATION = {
    "modality": "tests.modalities.brackets:BRACKETS",
    "facts": "tests.modalities.brackets:BracketFacts",
}


class BracketFacts(IdFacts):
    modality = NAME
    goes_on_with = "brackets"
    command = "rhapsode generate"

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> Encoder:
        return BracketEncoder()

    @classmethod
    def grammar(cls, encoder: Encoder) -> Grammar:
        return Brackets(encoder.vocab_size)


def store_of(lines: Sequence[str]) -> ElementStore:
    ids = [np.append(BracketEncoder().encode(line), np.uint8(0)) for line in lines]
    elements_N = np.concatenate([np.zeros(0, dtype=np.uint8), *ids])
    starts = np.cumsum([0, *map(len, ids)])[:-1]
    size = sum(map(len, lines))
    counts_V = np.bincount(elements_N, minlength=len(SIGNS) + 2)
    return ElementStore(elements_N, starts, size, size, 0, True, counts_V)


class BracketCorpus:
    encoder: Encoder = BracketEncoder()
    pairs, copies = False, 0

    def __init__(self, lines: Sequence[str]) -> None:
        tenth = len(lines) // 10
        self.documents, self.characters = len(lines), sum(map(len, lines))
        self.sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        parts = lines[: -2 * tenth], lines[-2 * tenth : -tenth], lines[-tenth:]
        self.train, self.validation, self.test = map(store_of, parts)

    def counts_V(self) -> NDArray[np.int64]:
        return self.train.counts_V


class BracketModel(IdPredictors):
    def generate(self, prompt: str = "", **options: Any) -> str:
        settings = with_seed(GenerateSettings(**options))
        pieces = continue_prompt(self.writer_for(settings), self.bundle, prompt, settings)
        return prompt + next(collect(pieces, [prompt], settings)).text


class BracketModality(IdModality[IdSettings, BracketCorpus]):
    name: ClassVar[str] = NAME
    noun: ClassVar[str] = "brackets"
    facts = BracketFacts
    settings = IdSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        own = all(str(source).endswith(".brackets") for source in sources)
        return Claim(Degree.SURE if own else Degree.NONE, "by suffix")

    def open(self, path: str | Path) -> BracketModel:
        return BracketModel(bundle_path(path), read_bundle(path, BracketFacts))

    def corpus(
        self, sources: Sequence[Any], settings: IdSettings, tell: Tell, **read: Any
    ) -> BracketCorpus:
        return BracketCorpus("\n".join(Path(s).read_text() for s in sources).split("\n"))

    def provenance(self, corpus: BracketCorpus, settings: IdSettings) -> Provenance:
        return Provenance(test_share=0.1, validation_share=0.1)

    def test_part(self, settings: IdSettings, corpus: BracketCorpus) -> str:
        return "test: the last tenth of the lines"

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        figures = [f"{summary['loss']} nats"]
        return Card("Brackets", "A toy.", ["Lines."], figures, ["Toy."], ["rhapsode generate ."])

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        yield f"{title}: {summary['loss']:.4f}"

    def next_command(self, folder: Path) -> str:
        return f"rhapsode generate {folder}"


BRACKETS = BracketModality()
