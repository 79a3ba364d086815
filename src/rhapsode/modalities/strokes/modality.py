"""Strokes as a modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rhapsode.bundle import ValueCondition, read_bundle
from rhapsode.config.source import names_records
from rhapsode.data import Stream
from rhapsode.encoding.strokes import ENDS, strokes_of
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import source_name
from rhapsode.modalities.contract import Claim, Compared, Degree, Measure, Metrics, RunRequest
from rhapsode.modalities.strokes.claims import claim_sources
from rhapsode.modalities.strokes.corpus import (
    StrokeCorpus,
    StrokePart,
    prepare_corpus,
    read_sources,
)
from rhapsode.modalities.strokes.facts import StrokeBundle, StrokeFacts
from rhapsode.modalities.strokes.files.preparing import prepare_ink
from rhapsode.modalities.strokes.labels import condition_of, text_of
from rhapsode.modalities.strokes.metrics import encode_part, measure_strokes, stroke_report
from rhapsode.modalities.strokes.settings import StrokeTrainSettings
from rhapsode.modalities.values.modality import NATS, ScoredPart, ValueModality
from rhapsode.views.card import Card

if TYPE_CHECKING:  # loads torch
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.strokes.fitting.plan import StrokePlan

PER_POINT = Measure("nats_per_point", "nats per point")
# Cells and lines of a sample.
CELLS, LINES = 48, 6


class StrokesModality(ValueModality[StrokeTrainSettings, StrokeCorpus, StrokeBundle]):
    """Strokes of a pen: drawings and handwriting."""

    name: ClassVar[str] = "strokes.v1"
    noun: ClassVar[str] = "drawings"
    settings = StrokeTrainSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Claim files of ink by suffix and first bytes, and drawings."""
        if names_records(asked):
            return Claim(Degree.NONE, "a field of records is named")
        return claim_sources(sources)

    def check(self, settings: StrokeTrainSettings) -> None:
        super().check(settings)
        if settings.encoding != "auto":
            raise SettingsError(
                f"strokes have no encoding {settings.encoding!r}",
                where="--encoding",
                hint="leave it out; --set strokes.prepare=keep|simplify sets how points are read",
            )

    def corpus(
        self,
        sources: Sequence[Any],
        settings: StrokeTrainSettings,
        *,
        opened: Any = None,
        base: StrokeBundle | None = None,
    ) -> StrokeCorpus:
        return prepare_corpus(sources, settings, base=base)

    def plan(self, corpus: StrokeCorpus, request: RunRequest[StrokeTrainSettings]) -> StrokePlan:
        from rhapsode.modalities.strokes.fitting.plan import plan_stroke_run

        return plan_stroke_run(corpus, request)

    def stream(self, planned: StrokePlan) -> Stream:
        from rhapsode.modalities.strokes.fitting.batches import DrawingStream

        training, encoder = planned.settings.training, planned.bundle.encoder.settings
        assert training.batch_size is not None
        assert training.window is not None
        return DrawingStream(
            planned.own,
            batch_size=training.batch_size,
            window=training.window,
            step=encoder.grid / encoder.scale,
            seed=planned.settings.seed,
        )

    def encoded(self, bundle: StrokeBundle, part: StrokePart) -> ScoredPart:
        return encode_part(bundle, part)

    def to_score(self, model: Any, sources: Sequence[Any], asked: Mapping[str, Any]) -> StrokePart:
        if not sources:
            raise SettingsError(
                "no source was given", where="evaluate", hint="name drawings to score"
            )
        specimens = read_sources(sources)
        which = "all"
        if any(specimen.split == "test" for specimen in specimens):
            which = "the test split"
            specimens = [specimen for specimen in specimens if specimen.split == "test"]
        grid = model.bundle.encoder.settings.grid
        prepared = prepare_ink(specimens, model.reading_settings(), grid=grid)
        prepared.turn(up=model.bundle.facts.up)
        named = ", ".join(map(source_name, sources))
        texts = list(map(text_of, prepared.specimens))
        whole = texts if all(texts) else None
        return StrokePart(prepared.moves, f"{which} of {named}", [], whole)

    def test_figures(
        self, planned: StrokePlan, part: StrokePart, predictor: ValuePredictor[StrokeBundle]
    ) -> dict[str, Any]:
        return measure_strokes(predictor, part, f"{part.split}, scored once").to_mapping()

    def metrics(self, model: Any, part: StrokePart, settings: Any) -> Metrics:
        return measure_strokes(model.predictor, part, part.split)

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        compared = super().compare(models, part, settings)
        scored = {
            name: replace(one, sums_U={PER_POINT.key: one.sums_U[NATS.key]})
            for name, one in compared.models.items()
        }
        sizes = {PER_POINT.key: compared.sizes_U[NATS.key]}
        return replace(compared, models=scored, measures=(PER_POINT,), sizes_U=sizes)

    def preview(
        self, planned: StrokePlan, predictor: ValuePredictor[StrokeBundle], temperature: float
    ) -> str:
        """A new drawing in Braille dots, and its text below it."""
        from rhapsode.generation.paths import sample_paths
        from rhapsode.views.terminal.small_drawing import braille_lines

        facts = planned.bundle.facts
        length = min(planned.settings.samples.length, 2 * facts.usual)
        sources, text = None, ""
        if facts.source is not None and planned.corpus.texts is not None:
            texts = planned.corpus.texts["validation"] or planned.corpus.texts["train"]
            text = texts[0]
            sources = condition_of([text], facts.source)
        state = predictor.start(1, ValueCondition(None, sources))
        none = np.zeros((1, length, 0), dtype=np.float32)
        moves_TK = sample_paths(
            predictor, state, none, samples=1, seeds=[planned.settings.seed],
            temperature=temperature,
        )[0, 0]  # fmt: skip
        ends = np.flatnonzero(moves_TK[:, 2] == ENDS)
        moves_TK = moves_TK[: ends[0] + 1] if len(ends) else moves_TK
        lines = braille_lines(strokes_of(moves_TK), width=CELLS, height=LINES, up=facts.up)
        return "\n".join([*lines, text] if text else lines)

    def samples_shown(
        self, planned: StrokePlan, samples: Sequence[tuple[float, str]], width: int
    ) -> Any:
        from rich.text import Text

        from rhapsode.views.terminal.model_tables import samples_table

        return samples_table([(temperature, Text(drawing)) for temperature, drawing in samples])

    def part(self, corpus: StrokeCorpus, settings: StrokeTrainSettings, name: Any) -> StrokePart:
        return corpus.part(name)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        if summary["loss"] is not None:
            yield from stroke_report(summary, title)

    def card(self, bundle: StrokeBundle, summary: Mapping[str, Any]) -> Card:
        from rhapsode.modalities.strokes.report import card_of

        return card_of(bundle, summary)

    def next_command(self, folder: Any) -> str:
        if read_bundle(folder, StrokeFacts).facts.source is not None:
            return f'rhapsode write {folder} "a text" -o line.svg'
        return f"rhapsode generate {folder} -o new.svg"

    def show(
        self,
        sources: Sequence[Any],
        number: int,
        settings: StrokeTrainSettings,
        *,
        opened: Any = None,
    ) -> Any:
        from rhapsode.modalities.strokes.report import DrawingSeen

        prepared = prepare_ink(read_sources(sources), settings.strokes)
        if not 0 <= number < len(prepared.moves):
            raise DataError(
                f"there is no drawing {number}, they are numbered 0 to {len(prepared.moves) - 1}",
                where=", ".join(map(source_name, sources)),
            )
        text = text_of(prepared.specimens[number]) or None
        return DrawingSeen(prepared.moves[number], prepared.up, prepared.grid, text)


STROKES = StrokesModality()
