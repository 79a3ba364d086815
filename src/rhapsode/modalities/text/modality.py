"""Texts as a modality."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import IdBundle, Provenance
from rhapsode.config import SourceSettings, from_mapping, to_mapping
from rhapsode.config.source import names_records
from rhapsode.data import holds_documents
from rhapsode.errors import SettingsError
from rhapsode.evaluation import Text
from rhapsode.log import log
from rhapsode.modalities.contract import (
    Claim,
    Compared,
    Degree,
    Planned,
    RunRequest,
    SplitName,
    Surveyed,
)
from rhapsode.modalities.ids.metrics import score_part
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.text.corpus import (
    TextCorpus,
    count_characters,
    prepare_corpus,
    unknown_lines,
)
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.metrics import TextEvaluation, TextPart, read_part, text_facts
from rhapsode.modalities.text.pairs.pair_corpus import is_paired, prepare_pairs, with_pairs
from rhapsode.modalities.text.pairs.pair_plan import pair_request, planned_pairs
from rhapsode.modalities.text.passages import compare_on, passages_of
from rhapsode.modalities.text.report import card_of
from rhapsode.modalities.text.settings import (
    TextComparisonSettings,
    TextEvaluationSettings,
    TrainSettings,
)
from rhapsode.views.card import Card

if TYPE_CHECKING:  # what loads filters or tables
    from rhapsode.bundle.network import Network
    from rhapsode.encoding import Encoder
    from rhapsode.modalities.ids.model import IdModel
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.modalities.text.survey import TextSeen
    from rhapsode.training import Measures


class TextModality(IdModality[TrainSettings, TextCorpus]):
    """Texts, in any script and encoding."""

    name: ClassVar[str] = "text.v1"
    noun: ClassVar[str] = "text"
    facts = TextFacts
    settings = TrainSettings
    evaluation = TextEvaluationSettings
    comparison = TextComparisonSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Claim decodable sources as possible, and named fields of records as sure."""
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
        if is_paired(sources, settings):
            return prepare_pairs(sources, settings, encoders=_encoders(base))
        if base is None:
            return prepare_corpus(sources, settings)
        corpus = prepare_corpus(sources, settings, encoder=base.encoder)
        for line in unknown_lines(corpus):
            log.info(line)
        return corpus

    def plan(
        self, corpus: TextCorpus, request: RunRequest[TrainSettings]
    ) -> Planned[TrainSettings, TextCorpus, IdBundle]:
        if corpus.source_encoder is None:
            return super().plan(corpus, request)
        settings = with_pairs(request.settings)
        request = pair_request(corpus, replace(request, settings=settings))
        return planned_pairs(super().plan(corpus, request), based=request.base is not None)

    def measures(
        self, planned: Planned[TrainSettings, TextCorpus, IdBundle], network: Network
    ) -> Callable[[float], Measures] | None:
        if planned.corpus.source_encoder is None:
            return None
        from rhapsode.modalities.text.pairs.pair_evaluation import validation_measures

        pairs = planned.settings.pairs
        return validation_measures(planned.corpus, planned.bundle, network, pairs)

    def samples(
        self, planned: Planned[TrainSettings, TextCorpus, IdBundle], network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        if planned.corpus.source_encoder is None:
            return super().samples(planned, network)
        from rhapsode.modalities.text.pairs.pair_evaluation import sample_answers

        if planned.settings.samples.length == 0:
            return tuple
        return sample_answers(planned.corpus, planned.bundle, network)

    def provenance(self, corpus: TextCorpus, settings: TrainSettings) -> Provenance:
        return Provenance(
            test_share=settings.data.test_share, validation_share=settings.data.validation_share
        )

    def words_of(self, corpus: TextCorpus, settings: TrainSettings, name: SplitName) -> str:
        characters = count_characters(corpus.splits.part(name))
        share = f"{characters / max(1, corpus.characters):.2%} of the corpus"
        if corpus.source_encoder is not None:
            return f"{name}: pairs chosen by the hash of their input, {share}"
        if name != "test":
            return f"{name}: {share}"
        if settings.data.split == "documents":
            return f"test: documents chosen by their hash, {share}"
        return f"test: the last {share}"

    def to_score(self, model: Any, sources: Sequence[Any], asked: Mapping[str, Any]) -> TextPart:
        if not sources:
            raise SettingsError(
                "no source was given", where="evaluate", hint="name a text to score"
            )
        return read_part(model, sources, _reading(model, sources, asked))

    def part(self, corpus: TextCorpus, settings: TrainSettings, name: SplitName) -> TextPart:
        part = super().part(corpus, settings, name)
        return TextPart.of(part.store, corpus.texts, corpus.splits.part(name), part.split)

    def sizes(self, model: IdModel, part: Any) -> Text:
        return text_facts(part.texts, part.parts, model.bundle.encoder, unknown=part.store.unknown)

    def metrics(self, model: Any, part: Any, settings: Any) -> Any:
        from rhapsode.modalities.text.quality.writing_check import (
            measure_model,
            open_text_index,
            read_real_text,
        )

        bundle = model.bundle
        if model.source_encoder is not None:
            return _pair_metrics(model, part, settings, self.sizes(model, part))
        metrics = super().metrics(model, part, settings)
        index = open_text_index(model.path, bundle.provenance.text_index)
        real = read_real_text(part.texts, part.parts, bundle.encoder)
        writing = measure_model(model.predictor, bundle, index, real)
        return TextEvaluation.of(metrics, writing=writing)

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        if any(model.source_encoder is not None for model in models.values()):
            raise SettingsError(
                "models of pairs are not compared",
                where="compare",
                hint="evaluate each of them on the same file",
            )
        return compare_on(models, part, adapt=settings.adapt)

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.comparison_report import text_comparison

        yield from text_comparison(compared, title)

    def passages(self, part: Any, *, count: int, length: int, seed: int) -> list[str]:
        return passages_of(part.texts, count=count, length=length, seed=seed)

    def show(
        self, sources: Sequence[Any], number: int, settings: TrainSettings, *, opened: Any = None
    ) -> TextSeen:
        from rhapsode.modalities.text.survey import show_text

        return show_text(sources, number, settings)

    def survey(
        self, sources: Sequence[Any], settings: TrainSettings, opened: Any
    ) -> Surveyed[TextCorpus]:
        if is_paired(sources, settings):
            from rhapsode.modalities.text.pairs.pair_survey import survey_pairs

            return survey_pairs(sources, settings)
        from rhapsode.modalities.text.survey import survey_texts

        return survey_texts(sources, settings)

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        if "pairs" in found:
            from rhapsode.modalities.text.pairs.pair_survey import pair_survey

            yield from pair_survey(found, width)
            return
        from rhapsode.views.survey_report import text_survey

        yield from text_survey(found, width)

    def draw_survey(self, found: Mapping[str, Any], path: Path) -> None:
        if "pairs" in found:
            raise SettingsError("a survey of pairs has no picture", where=f"{path}")
        from rhapsode.views.pictures.survey_picture import write_picture

        write_picture(found, path)

    def measured(
        self,
        planned: Planned[TrainSettings, TextCorpus, IdBundle],
        bundle: IdBundle,
        predictors: IdModel,
        folder: Path,
    ) -> tuple[IdBundle, dict[str, Any]]:
        from rhapsode.modalities.text.quality.writing_check import (
            TEXT_INDEX,
            index_fingerprint,
            learn_text_index,
            measure_model,
            read_real_text,
        )

        corpus = planned.corpus
        if corpus.source_encoder is not None:
            return bundle, _test_answers(self, planned, bundle, predictors)
        index = learn_text_index(corpus)
        real = read_real_text(corpus.texts, corpus.splits.test, corpus.encoder)
        writing = measure_model(predictors.predictor, bundle, index, real)
        if isinstance(index, str):
            return bundle, {"writing": writing}
        index.save(folder / TEXT_INDEX)
        provenance = replace(bundle.provenance, text_index=index_fingerprint(index))
        return replace(bundle, provenance=provenance), {"writing": writing}

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        if "answers" in summary:
            from rhapsode.modalities.text.pairs.pair_card import pair_card

            return pair_card(bundle, summary)
        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        if "answers" in summary:
            from rhapsode.views.pair_report import told_pairs

            yield from told_pairs(summary, title)
            return
        from rhapsode.views.evaluation_report import figures_table
        from rhapsode.views.writing_table import copying_in_short

        if summary["loss"] is not None:
            yield figures_table(summary, title)
        yield copying_in_short(summary["writing"])

    def next_command(self, folder: Path) -> str:
        summary = folder / "summary.json"
        if summary.is_file() and "answers" in json.loads(summary.read_text(encoding="utf-8")):
            return f'rhapsode generate {folder} "..."'
        return f'rhapsode generate {folder} "..." --temperature 0.8'


def _encoders(base: IdBundle | None) -> tuple[Encoder, Encoder] | None:
    """Encoders of inputs and outputs of a base model.

    Raises:
        SettingsError: the base model is not one of pairs.
    """
    if base is None:
        return None
    assert isinstance(base.facts, TextFacts)
    if base.facts.source is None:
        raise SettingsError("the base model is not one of pairs", where="--from")
    return base.facts.source, base.encoder


def _pair_metrics(
    model: TextModel, part: TextPart, settings: TextEvaluationSettings, text: Text
) -> Any:
    """Measures of a model of pairs.

    Raises:
        SettingsError: measures that it does not have, or a picture that cannot be written.
    """
    from rhapsode.modalities.text.pairs.pair_evaluation import measure_pairs
    from rhapsode.views.pictures.alignment_picture import check_alignment, write_alignments

    for name, off in (("adapt", False), ("dynamic", False), ("weights", "float32")):
        if getattr(settings, name) != off:
            raise SettingsError("a model of pairs has no such measure", where=f"--{name}")
    path = None if settings.alignment is None else Path(settings.alignment)
    if path is not None:
        check_alignment(path)
    if settings.device is not None:
        model.place(settings.device)
    figures, _ = score_part(model, part, text)
    evaluation = measure_pairs(model, part, figures, settings.beams)
    if path is not None:
        write_alignments(evaluation.alignments, path)
        log.info(f"alignments: {path}")
    return evaluation


def _test_answers(
    modality: TextModality,
    planned: Planned[TrainSettings, TextCorpus, IdBundle],
    bundle: IdBundle,
    predictors: IdModel,
) -> dict[str, Any]:
    """Measures of answers to the test split, for the summary."""
    from rhapsode.modalities.text.pairs.pair_evaluation import FINISHING, answer_part

    if not len(planned.corpus.test):
        return {"answers": None}
    part = modality.part(planned.corpus, planned.settings, "test")
    measures, wrong = answer_part(predictors.scorer, bundle, part, beams=1, most=FINISHING)
    return {"answers": {**measures.to_mapping(), "beams": 1, "wrong": wrong}}


def _reading(
    model: TextModel, sources: Sequence[Any], asked: Mapping[str, Any]
) -> SourceSettings | None:
    """Reading settings: requested ones over those of training; None without any."""
    names = {field.name for field in fields(SourceSettings)}
    wanted = {name: value for name, value in asked.items() if name in names}
    if not wanted:
        return None
    kept = to_mapping(model.source_settings(sources))
    if any(name in wanted for name in ("field", "template", "prompt_field", "pairs")):
        ways = ("field", "template", "prompt_field", "completion_field", "pairs")
        kept = {**kept, **dict.fromkeys(ways)}
    return from_mapping(SourceSettings, {**kept, **wanted}, where="[source]")


TEXT = TextModality()
