"""Texts as a modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import Provenance
from rhapsode.bundle.id_facts import IdBundle
from rhapsode.modalities.contract import Claim, Degree, Tell
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.settings import TrainSettings

if TYPE_CHECKING:
    from rhapsode.evaluation import Text
    from rhapsode.modalities.contract import Planned
    from rhapsode.modalities.ids.predictors import IdPredictors
    from rhapsode.modalities.text.corpus import TextCorpus
    from rhapsode.views.card import Card

__all__ = ["TEXT", "TextModality"]


class TextModality(IdModality[TrainSettings, "TextCorpus"]):
    """Texts, in any script and encoding."""

    name: ClassVar[str] = "text.v1"
    noun: ClassVar[str] = "text"
    facts = TextFacts

    @property
    def settings(self) -> type[TrainSettings]:
        """Settings of training on texts."""
        return TrainSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Possible for whatever can be decoded; likely where a field of records is asked for."""
        if not all(isinstance(source, str | Path) for source in sources):
            return Claim(Degree.NONE, "it lies in memory and is no path")
        source = asked.get("source", {})
        records = ("field", "template", "prompt_field", "completion_field")
        if isinstance(source, Mapping) and any(source.get(name) for name in records):
            return Claim(Degree.SURE, "a field of records is named")
        return Claim(Degree.POSSIBLE, "what can be decoded is text")

    def corpus(
        self,
        sources: Sequence[Any],
        settings: TrainSettings,
        tell: Tell,
        *,
        opened: Any = None,
        base: IdBundle | None = None,
    ) -> TextCorpus:
        """Read, split, learn an encoder on the training part, and encode."""
        from rhapsode.modalities.text.corpus import prepare_corpus, unknown_lines

        encoder = None if base is None else base.encoder
        corpus = prepare_corpus([str(s) for s in sources], settings, tell, encoder=encoder)
        if base is not None:
            for line in unknown_lines(corpus):
                tell(line)
        return corpus

    def provenance(self, corpus: TextCorpus, settings: TrainSettings) -> Provenance:
        """The shares that were held out."""
        return Provenance(
            test_share=settings.data.test_share, validation_share=settings.data.validation_share
        )

    def test_part(self, settings: TrainSettings, corpus: TextCorpus) -> str:
        """Which documents, or how much of the end."""
        parts = corpus.split.test
        characters = int((parts[:, 2] - parts[:, 1]).sum())
        share = f"{characters / max(1, corpus.characters):.2%}"
        if settings.data.split == "documents":
            return f"test: documents chosen by their hash, {share} of the corpus, swept once"
        return f"test: the last {share} of the corpus, swept once"

    def text(self, corpus: TextCorpus) -> Text:
        """Words, characters and spelling of the test part."""
        from rhapsode.modalities.text.metrics import text_facts

        parts, unknown = corpus.split.test, corpus.test.unknown
        return text_facts(corpus.texts, parts, corpus.encoder, unknown=unknown)

    def measured(
        self,
        planned: Planned[TrainSettings, TextCorpus, IdBundle],
        bundle: IdBundle,
        predictors: IdPredictors,
        folder: Path,
    ) -> tuple[IdBundle, dict[str, Any]]:
        """Copies, words and repetitions of what the model writes, beside real text."""
        from rhapsode.modalities.text.writing_check import (
            TEXT_INDEX,
            index_fingerprint,
            learn_text_index,
            measure_model,
            read_real_text,
        )

        corpus = planned.corpus
        index = learn_text_index(corpus)
        real = read_real_text(corpus.texts, corpus.split.test, corpus.encoder)
        writing = measure_model(predictors.predictor, bundle, index, real)
        if isinstance(index, str):
            return bundle, {"writing": writing}
        index.save(folder / TEXT_INDEX)
        fingerprint = index_fingerprint(index)
        provenance = replace(bundle.provenance, text_index=fingerprint)
        return replace(bundle, provenance=provenance), {"writing": writing}

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        """Data, figures, and whether it copies."""
        from rhapsode.modalities.text.card import card_of

        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        """Figures of the test part, and copying in short."""
        from rhapsode.views.figures import figures_table
        from rhapsode.views.writing_table import copying_in_short

        if summary["loss"] is not None:
            yield figures_table(summary, title)
        yield copying_in_short(summary["writing"])

    def next_command(self, folder: Path) -> str:
        """Continue a prompt."""
        return f'rhapsode generate {folder} "..." --temperature 0.8'


TEXT = TextModality()
