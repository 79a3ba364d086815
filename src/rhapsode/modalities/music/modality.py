"""Music as a modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import IdBundle, Provenance
from rhapsode.config.source import names_records
from rhapsode.encoding import ENCODERS
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import source_name
from rhapsode.modalities.contract import (
    Claim,
    Compared,
    Degree,
    FinishedModel,
    Planned,
    SplitName,
    Surveyed,
)
from rhapsode.modalities.ids.contract import IdEvaluationSettings
from rhapsode.modalities.ids.metrics import score_part
from rhapsode.modalities.ids.modality import IdModality
from rhapsode.modalities.music.claims import claim_sources
from rhapsode.modalities.music.corpus import MusicCorpus, keys_for, prepare_corpus, store_of
from rhapsode.modalities.music.facts import MusicFacts, music_encoder
from rhapsode.modalities.music.metrics import (
    Amounts,
    MusicEvaluation,
    MusicPart,
    compare_models,
    kind_losses,
    unit_losses,
)
from rhapsode.modalities.music.pieces.reading import read_pieces
from rhapsode.modalities.music.pieces.transposing import KEYS
from rhapsode.modalities.music.quality.copies import MELODY_INDEX, MelodyIndex
from rhapsode.modalities.music.quality.learnt_elements import (
    LEARNT,
    learnt_documents,
    save_learnt,
)
from rhapsode.modalities.music.quality.voice_baseline import voice_baseline
from rhapsode.modalities.music.quality.written_music import measure_writing, open_melodies
from rhapsode.modalities.music.report import card_of, rolls_table, told_figures
from rhapsode.modalities.music.settings import MusicTrainSettings
from rhapsode.views.card import Card

if TYPE_CHECKING:  # training loads torch
    from rhapsode.bundle.network import Network
    from rhapsode.modalities.ids.model import IdModel
    from rhapsode.modalities.ids.next_elements import IdsSeen


class MusicModality(IdModality[MusicTrainSettings, MusicCorpus]):
    """Music: scores from MIDI, ABC, MusicXML and piano rolls."""

    name: ClassVar[str] = "music.v1"
    noun: ClassVar[str] = "music"
    facts = MusicFacts
    settings = MusicTrainSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Claim files of music by suffix and first bytes, and scores."""
        if names_records(asked):
            return Claim(Degree.NONE, "a field of records is named")
        return claim_sources(sources, str(asked.get("encoding", "auto")))

    def corpus(
        self,
        sources: Sequence[Any],
        settings: MusicTrainSettings,
        *,
        opened: Any = None,
        base: IdBundle | None = None,
    ) -> MusicCorpus:
        encoder = None if base is None else music_encoder(base.encoder)
        return prepare_corpus(sources, settings, opened=opened, encoder=encoder)

    def provenance(self, corpus: MusicCorpus, settings: MusicTrainSettings) -> Provenance:
        total = corpus.characters
        test, validation = (
            sum(len(piece.score.notes) for piece in corpus.pieces[name]) / max(1, total)
            for name in ("test", "validation")
        )
        return Provenance(test_share=test, validation_share=validation / max(1e-9, 1 - test))

    def words_of(self, corpus: MusicCorpus, settings: MusicTrainSettings, name: SplitName) -> str:
        pieces = corpus.pieces[name]
        notes = sum(len(piece.score.notes) for piece in pieces)
        return (
            f"{name}: {len(pieces):,} pieces in their own keys, {notes / corpus.characters:.1%} of "
            f"the notes ({corpus.split_reason}); ends of pieces are scored"
        )

    def part(self, corpus: MusicCorpus, settings: MusicTrainSettings, name: SplitName) -> MusicPart:
        part = super().part(corpus, settings, name)
        pieces = corpus.pieces[name]
        store = part.store
        if name == "train" and corpus.keys > 1:
            store = store_of(music_encoder(corpus.encoder), pieces)
        return MusicPart.of(store, pieces, part.split)

    def to_score(self, model: Any, sources: Sequence[Any], asked: Mapping[str, Any]) -> MusicPart:
        if not sources:
            raise SettingsError("no source was given", where="evaluate", hint="name music to score")
        settings = model.reading_settings()
        pieces = [piece for piece in read_pieces(sources, settings).pieces if piece.score.end]
        which = "all"
        if any(piece.split == "test" for piece in pieces):
            which = "the test split"
            pieces = [piece for piece in pieces if piece.split == "test"]
        store = store_of(music_encoder(model.bundle.encoder), pieces)
        named = ", ".join(map(source_name, sources))
        return MusicPart.of(store, pieces, f"{which} of {named}; ends of pieces are scored")

    def metrics(self, model: Any, part: Any, settings: IdEvaluationSettings) -> MusicEvaluation:
        metrics = super().metrics(model, part, settings)
        encoder = music_encoder(model.bundle.encoder)
        _, nats_N = score_part(model, part, None)
        writing = measure_writing(model, open_melodies(model.path), part.pieces, part.store)
        learnt = learnt_documents(model.path, encoder) or []
        transpose = model.reading_settings().transpose
        keys = keys_for(encoder, sum(map(len, learnt)), transpose)
        voices = voice_baseline(encoder, map(encoder.score_of, learnt), part.pieces, keys)
        amounts = Amounts.of(encoder, part.pieces)
        return MusicEvaluation.of(
            metrics,
            writing=writing,
            units=unit_losses(metrics.to_mapping(), amounts, voices),
            kinds=kind_losses(encoder, part.store.elements_N, nats_N),
        )

    def samples_shown(
        self,
        planned: Planned[MusicTrainSettings, MusicCorpus, IdBundle],
        samples: Sequence[tuple[float, str]],
        width: int,
    ) -> Any:
        encoder = music_encoder(planned.corpus.encoder)
        return rolls_table([(heat, encoder.score(text)) for heat, text in samples], width)

    def finish(
        self,
        planned: Planned[MusicTrainSettings, MusicCorpus, IdBundle],
        bundle: IdBundle,
        network: Network,
        folder: Path,
    ) -> FinishedModel[IdBundle]:
        finished = super().finish(planned, bundle, network, folder)
        figures = dict(finished.figures)
        if figures["loss"] is None:
            return finished
        corpus = planned.corpus
        encoder = music_encoder(corpus.encoder)
        learnt = [piece.score for piece in corpus.pieces["train"]]
        keys = KEYS if corpus.keys > 1 else (0,)
        voices = voice_baseline(encoder, learnt, corpus.pieces["test"], keys)
        amounts = Amounts.of(encoder, corpus.pieces["test"])
        figures["units"] = unit_losses(figures, amounts, voices)
        provenance = replace(finished.bundle.provenance, test=figures)
        return replace(
            finished, figures=figures, bundle=replace(finished.bundle, provenance=provenance)
        )

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        return compare_models(models, part)

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.modalities.music.report import music_comparison

        yield from music_comparison(compared, title)

    def show(
        self,
        sources: Sequence[Any],
        number: int,
        settings: MusicTrainSettings,
        *,
        opened: Any = None,
    ) -> IdsSeen:
        from rhapsode.modalities.ids.next_elements import IdsSeen, elements_of

        corpus = self.corpus(sources, settings, opened=opened)
        pieces = read_pieces(sources, settings.music).pieces
        if not 0 <= number < len(pieces):
            raise DataError(
                f"there is no piece {number}, they are numbered 0 to {len(pieces) - 1}",
                where=", ".join(map(source_name, sources)),
            )
        encoder = music_encoder(corpus.encoder)
        return IdsSeen(elements_of(encoder, encoder.notation(pieces[number].score)))

    def survey(
        self, sources: Sequence[Any], settings: MusicTrainSettings, opened: Any
    ) -> Surveyed[MusicCorpus]:
        from rhapsode.modalities.music.quality.music_survey import survey_music

        return survey_music(sources, settings)

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        from rhapsode.modalities.music.quality.music_survey import music_survey_report

        yield from music_survey_report(found, width)

    def measured(
        self,
        planned: Planned[MusicTrainSettings, MusicCorpus, IdBundle],
        bundle: IdBundle,
        predictors: IdModel,
        folder: Path,
    ) -> tuple[IdBundle, dict[str, Any]]:
        corpus = planned.corpus
        index = MelodyIndex.build(corpus.pieces["train"])
        index.save(folder / MELODY_INDEX)
        learnt = corpus.train
        if corpus.keys > 1:
            learnt = store_of(music_encoder(corpus.encoder), corpus.pieces["train"])
        save_learnt(folder / LEARNT, learnt)
        writing = measure_writing(predictors, index, corpus.pieces["test"], corpus.test)
        return bundle, {"writing": writing}

    def check(self, settings: MusicTrainSettings) -> None:
        super().check(settings)
        if settings.encoding != "auto":
            ENCODERS.get(settings.encoding)

    def card(self, bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        yield from told_figures(summary, title)

    def next_command(self, folder: Path) -> str:
        return f"rhapsode generate {folder} -o new.mid"


MUSIC = MusicModality()
