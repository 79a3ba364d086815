"""Texts as a modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import IdBundle, Provenance
from rhapsode.config import SourceSettings, from_mapping, to_mapping
from rhapsode.config.source import names_records
from rhapsode.data import holds_documents
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.modalities.contract import Claim, Compared, Degree, PartName, Surveyed
from rhapsode.modalities.ids.contract import IdEvaluationSettings
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.settings import TextEvaluationSettings, TrainSettings

if TYPE_CHECKING:
    from rhapsode.evaluation import Text
    from rhapsode.modalities.contract import Planned
    from rhapsode.modalities.ids.model import IdModel
    from rhapsode.modalities.text.corpus import TextCorpus
    from rhapsode.modalities.text.metrics import TextEvaluation, TextPart
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.modalities.text.survey import TextSeen
    from rhapsode.views.card import Card

__all__ = ["TEXT", "TextModality"]


class TextModality(IdModality[TrainSettings, "TextCorpus"]):
    """Texts, in any script and encoding."""

    name: ClassVar[str] = "text.v1"
    noun: ClassVar[str] = "text"
    facts = TextFacts
    settings = TrainSettings
    evaluation = TextEvaluationSettings
    comparison = SourceSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Possible for whatever can be decoded; likely where a field of records is asked for."""
        if names_records(asked):
            return Claim(Degree.SURE, "a field of records is named")
        memory = [source for source in sources if not isinstance(source, str | Path)]
        if not all(map(holds_documents, memory)):
            return Claim(Degree.NONE, "it lies in memory and holds no texts")
        if memory:
            return Claim(Degree.SURE, "texts in memory")
        return Claim(Degree.POSSIBLE, "what can be decoded is text")

    def corpus(
        self,
        sources: Sequence[Any],
        settings: TrainSettings,
        *,
        opened: Any = None,
        base: IdBundle | None = None,
    ) -> TextCorpus:
        from rhapsode.modalities.text.corpus import prepare_corpus, unknown_lines

        encoder = None if base is None else base.encoder
        corpus = prepare_corpus(sources, settings, encoder=encoder)
        if base is not None:
            for line in unknown_lines(corpus):
                log.info(line)
        return corpus

    def provenance(self, corpus: TextCorpus, settings: TrainSettings) -> Provenance:
        return Provenance(
            test_share=settings.data.test_share, validation_share=settings.data.validation_share
        )

    def test_part(self, settings: TrainSettings, corpus: TextCorpus) -> str:
        if settings.data.split == "documents":
            return f"test: documents chosen by their hash, {_share(corpus, 'test')} of the corpus"
        return f"test: the last {_share(corpus, 'test')} of the corpus"

    def to_score(self, model: Any, sources: Sequence[Any], asked: Mapping[str, Any]) -> TextPart:
        """All documents of sources; records are read as in training, but for what is asked."""
        from rhapsode.modalities.text.metrics import read_part

        if not sources:
            raise SettingsError(
                "no source was given", where="evaluate", hint="name a text to score"
            )
        return read_part(model, sources, _reading(model, sources, asked))

    def part(self, corpus: TextCorpus, settings: TrainSettings, name: PartName) -> TextPart:
        """A part of the corpus of a run, with its documents."""
        from rhapsode.modalities.text.metrics import TextPart

        words = f"{name}: {_share(corpus, name)} of the corpus"
        if name == "test":
            words = self.test_part(settings, corpus)
        store = super().part(corpus, settings, name).store
        return TextPart.of(store, corpus.texts, corpus.split.part(name), words)

    def sizes(self, model: IdModel, part: Any) -> Text:
        from rhapsode.modalities.text.metrics import text_facts

        encoder, unknown = model.bundle.encoder, part.store.unknown
        return text_facts(part.texts, part.parts, encoder, unknown=unknown)

    def metrics(self, model: Any, part: Any, settings: IdEvaluationSettings) -> TextEvaluation:
        from rhapsode.modalities.text.metrics import TextEvaluation
        from rhapsode.modalities.text.quality.writing_check import (
            measure_model,
            open_text_index,
            read_real_text,
        )

        metrics = super().metrics(model, part, settings)
        index = open_text_index(model.path, model.bundle.provenance.text_index)
        real = read_real_text(part.texts, part.parts, model.bundle.encoder)
        written = measure_model(model.predictor, model.bundle, index, real)
        return TextEvaluation.of(metrics, writing=written)

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        from rhapsode.modalities.text.passages import compare_on

        return compare_on(models, part)

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.comparison_report import text_comparison

        yield from text_comparison(compared, title)

    def passages(self, part: Any, *, count: int, length: int, seed: int) -> list[str]:
        from rhapsode.modalities.text.passages import passages_of

        return passages_of(part.texts, count=count, length=length, seed=seed)

    def show(
        self, sources: Sequence[Any], number: int, settings: TrainSettings, *, opened: Any = None
    ) -> TextSeen:
        """A document under an encoding learnt on all of them."""
        from rhapsode.modalities.text.survey import show_text

        return show_text(sources, number, settings)

    def survey(
        self, sources: Sequence[Any], settings: TrainSettings, opened: Any
    ) -> Surveyed[TextCorpus]:
        from rhapsode.modalities.text.survey import survey_texts

        return survey_texts(sources, settings)

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        from rhapsode.views.survey_report import text_survey

        yield from text_survey(found, width)

    def draw_survey(self, found: Mapping[str, Any], path: Path) -> None:
        from rhapsode.views.pictures.survey_picture import write_picture

        write_picture(found, path)

    def measured(
        self,
        planned: Planned[TrainSettings, TextCorpus, IdBundle],
        bundle: IdBundle,
        predictors: IdModel,
        folder: Path,
    ) -> tuple[IdBundle, dict[str, Any]]:
        """Copies, words and repetitions of what the model writes, beside real text."""
        from rhapsode.modalities.text.quality.writing_check import (
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
        provenance = replace(bundle.provenance, text_index=index_fingerprint(index))
        return replace(bundle, provenance=provenance), {"writing": writing}

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        from rhapsode.modalities.text.report import card_of

        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.evaluation_report import figures_table
        from rhapsode.views.writing_table import copying_in_short

        if summary["loss"] is not None:
            yield figures_table(summary, title)
        yield copying_in_short(summary["writing"])

    def next_command(self, folder: Path) -> str:
        return f'rhapsode generate {folder} "..." --temperature 0.8'


def _share(corpus: TextCorpus, name: PartName) -> str:
    """The characters of a part among those of the corpus."""
    parts = corpus.split.part(name)
    characters = int((parts[:, 2] - parts[:, 1]).sum())
    return f"{characters / max(1, corpus.characters):.2%}"


def _reading(
    model: TextModel, sources: Sequence[Any], asked: Mapping[str, Any]
) -> SourceSettings | None:
    """Settings of reading sources: those of training under those asked for; None without any."""
    names = {field.name for field in fields(SourceSettings)}
    wanted = {name: value for name, value in asked.items() if name in names}
    if not wanted:
        return None
    kept = to_mapping(model.source_settings(sources))
    if any(name in wanted for name in ("field", "template", "prompt_field")):
        kept = {**kept, **dict.fromkeys(("field", "template", "prompt_field", "completion_field"))}
    return from_mapping(SourceSettings, {**kept, **wanted}, where="[source]")


TEXT = TextModality()
