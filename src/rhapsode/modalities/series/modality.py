"""Series of numbers as a modality."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rhapsode.bundle import Calibration
from rhapsode.config import from_mapping
from rhapsode.config.source import names_records
from rhapsode.data import holds_documents
from rhapsode.data.sources.fields.record_tables import are_numbers
from rhapsode.data.sources.formats.workbooks import WORKBOOKS, is_workbook
from rhapsode.data.tables import SERIES as NAMED_SERIES
from rhapsode.data.tables import NoNumbersError, read_series
from rhapsode.data.tables.read import JSON, first_records
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation.statistical_methods import STATISTICAL
from rhapsode.files import is_there, source_name
from rhapsode.log import log
from rhapsode.modalities.contract import (
    Claim,
    Compared,
    Degree,
    Measure,
    Metrics,
    Planned,
    RunRequest,
    Scored,
    Surveyed,
)
from rhapsode.modalities.series.corpus import (
    SeriesCorpus,
    SeriesPart,
    divide,
    read_one,
    series_seen,
)
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.forecasting.backtest import BACKTEST_COLUMNS
from rhapsode.modalities.series.metrics import (
    encode_part,
    end_of_series,
    measure_series,
    whole_series,
)
from rhapsode.modalities.series.output import check_table, write_table
from rhapsode.modalities.series.settings import (
    BINNED,
    SeriesComparisonSettings,
    SeriesEvaluationSettings,
    SeriesTrainSettings,
)
from rhapsode.modalities.values.modality import NATS, ScoredPart, ValueModality
from rhapsode.views.evaluation_report import forecasts_report
from rhapsode.views.figures import method_notes

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.values.next_steps import ValuesSeen
    from rhapsode.views.card import Card


CRPS = Measure("crps", "CRPS")
MASE = Measure("mase", "MASE")
# Forecasts of the test split when training ends, at most; `rhapsode evaluate` makes more.
FINISHING_FORECASTS = 250

TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".npy", ".npz", *JSON, *WORKBOOKS)
PACKED = (".gz", ".bz2", ".xz", ".zst")

PLAIN = (".txt", ".dat", ".data", ".asc", ".prn")

SeriesPlan = Planned[SeriesTrainSettings, SeriesCorpus, SeriesBundle]


def _is_plain_table(path: Path) -> bool:
    """True of a text file that holds columns of numbers."""
    if path.suffix.lower() not in PLAIN:
        return False
    with path.open(encoding="latin-1") as file:
        return are_numbers(file.read(1 << 15))


def _claim_records(source: str) -> Claim:
    """The claim on a file of JSON, which is text unless its records hold times and numbers."""
    try:
        found = first_records(source)
        if found.kind == "time" and not found.texts:
            return Claim(Degree.LIKELY, "records of numbers", read_series(source))
    except DataError:
        return Claim(Degree.NONE, "no records of numbers")
    log.info(f"{source}: read as text; --field NAME reads one field of its records")
    return Claim(Degree.NONE, "no records of numbers by time")


class SeriesModality(ValueModality[SeriesTrainSettings, SeriesCorpus, SeriesBundle]):
    """Series of numbers, one or several a time."""

    name: ClassVar[str] = "series.v1"
    noun: ClassVar[str] = "series"
    settings = SeriesTrainSettings
    evaluation = SeriesEvaluationSettings
    comparison = SeriesComparisonSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Claim tables in memory surely, and files of numbers likely.

        Raises:
            SettingsError: a table that holds both numbers and texts that may be learnt.
        """
        if "series" in asked:
            return Claim(Degree.SURE, "columns of series are named")
        if names_records(asked):
            return Claim(Degree.NONE, "a field of records is named")
        memory = [source for source in sources if not isinstance(source, str | Path)]
        if any(map(holds_documents, memory)):
            return Claim(Degree.NONE, "texts in memory")
        if memory:
            return Claim(Degree.LIKELY, "a table in memory")
        if len(sources) != 1 or asked.get("encoding", "auto") not in ("auto", "binned"):
            return Claim(Degree.NONE, "series are one table")
        source = str(sources[0])
        path = table = Path(source)
        if not is_there(path) and is_workbook(path.parent.name):
            table = path.parent  # of which a sheet is named
        if not is_there(table):
            return (
                Claim(Degree.LIKELY, "known by that name")
                if source in NAMED_SERIES
                else Claim(Degree.NONE)
            )
        name = table.with_suffix("") if table.suffix.lower() in PACKED else table
        if table.is_dir() or not (name.suffix.lower() in TABLES or _is_plain_table(table)):
            return Claim(Degree.NONE, "no table by its suffix")
        if name.suffix.lower() in JSON:
            return _claim_records(source)
        try:
            found = read_series(source)
        except NoNumbersError as problem:
            log.info(f"{source}: {problem.what}; read as text: --field NAME reads a single column")
            return Claim(Degree.NONE, problem.what)
        except DataError:
            # It is a table of numbers, whose errors are told where it is learnt from.
            return Claim(Degree.LIKELY, "a table of numbers")
        if found.texts or (found.kind == "order" and found.left_out):
            text = (found.texts or found.left_out)[0]
            column = f'series.value_columns=["{found.columns[-1]}"]'
            raise SettingsError(
                "this table holds text and numbers",
                where=source,
                hint=f"for its text, use --field {shlex.quote(text)}; for its numbers, "
                f"--set {shlex.quote(column)}",
            )
        return Claim(Degree.LIKELY, "a table of numbers", found)

    def check(self, settings: SeriesTrainSettings) -> None:
        super().check(settings)
        if settings.encoding not in ("auto", BINNED):
            raise SettingsError(
                f"series have no encoding {settings.encoding!r}",
                where="--encoding",
                hint="leave it out, or binned; "
                "--set encoder.log=true and the like set how numbers are scaled",
            )

    def corpus(
        self,
        sources: Sequence[Any],
        settings: SeriesTrainSettings,
        *,
        opened: Any = None,
        base: SeriesBundle | None = None,
    ) -> SeriesCorpus:
        whole = read_one(sources, settings.series, opened)
        for line in whole.notes:
            log.info(line)
        corpus = divide(whole, settings.data, where=source_name(sources[0]))
        if base is None:
            return corpus
        given, season = base.facts.check_series(corpus.given), base.facts.season
        return replace(corpus, given=given, season=settings.data.season or season)

    def plan(self, corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]) -> SeriesPlan:
        from rhapsode.modalities.series.fitting.plan import plan_series_run

        return plan_series_run(corpus, request)

    def initialise(self, network: Network, planned: SeriesPlan) -> bool:
        from rhapsode.modalities.series.fitting.linear_start import start_linear

        start_linear(network, planned.own)
        return True

    def encoded(self, bundle: SeriesBundle, part: SeriesPart) -> ScoredPart:
        return encode_part(bundle, part)

    def preview(
        self, planned: SeriesPlan, predictor: ValuePredictor[SeriesBundle], temperature: float
    ) -> str:
        from rhapsode.modalities.series.reports import preview_path

        return preview_path(predictor, planned.corpus, planned.settings.samples, temperature)

    def calibrated(
        self, planned: SeriesPlan, predictor: ValuePredictor[SeriesBundle]
    ) -> SeriesBundle:
        from rhapsode.modalities.series.anomalies.found import calibrate_tails
        from rhapsode.modalities.series.pool.pool_choice import choose_calibration

        bundle, corpus = predictor.bundle, planned.corpus
        tails = calibrate_tails(predictor, corpus.given, corpus.train_S)
        paths = choose_calibration(predictor, corpus, planned.settings.calibration)
        return replace(
            bundle,
            calibration=Calibration(paths=paths),
            facts=replace(bundle.facts, tails=tails),
        )

    def test_figures(
        self, planned: SeriesPlan, part: SeriesPart, predictor: ValuePredictor[SeriesBundle]
    ) -> dict[str, Any]:
        corpus = planned.corpus
        figures = measure_series(
            predictor,
            replace(part, split=f"{part.split}, scored once"),
            horizon=corpus.horizon,
            season=corpus.season,
            settings=SeriesComparisonSettings(samples=planned.settings.data.samples),
            most=FINISHING_FORECASTS,
        ).to_mapping()
        del figures["learnt"], figures["calibration"]
        return figures

    def to_score(self, model: Any, sources: Sequence[str], asked: Mapping[str, Any]) -> SeriesPart:
        if len(sources) > 1:
            raise DataError("series are scored in one table", hint="name a single file")
        settings = from_mapping(SeriesEvaluationSettings, asked, where="options")
        source = sources[0] if sources else model.own_source()
        if settings.anomalies:
            return whole_series(model, source)
        return end_of_series(model, source, settings)

    def metrics(self, model: Any, part: Any, settings: SeriesEvaluationSettings) -> Metrics:
        if settings.anomalies:
            from rhapsode.modalities.series.anomalies.found import find_anomalies

            return find_anomalies(model.predictor, part, settings)
        facts = model.bundle.facts
        methods = () if settings.method == ("none",) else settings.method
        if not settings.method and importlib.util.find_spec("statsforecast") is not None:
            methods = tuple(STATISTICAL)
        output = None if settings.output is None else Path(settings.output)
        if output is not None:
            check_table(output)
        found = measure_series(
            model.predictor,
            part,
            horizon=settings.horizon or facts.horizon,
            season=facts.season,
            settings=settings,
            methods=methods,
            tabled=output is not None,
        )
        if output is not None:
            rows = [] if found.forecasts is None else found.forecasts.rows
            write_table(output, (list(BACKTEST_COLUMNS), iter(rows)))
            log.info(f"forecasts: {output}")
        return found

    def compare(
        self, models: Mapping[str, Any], part: Any, settings: SeriesComparisonSettings
    ) -> Compared:
        first = next(iter(models.values())).bundle.facts
        horizon, season = settings.horizon or first.horizon, first.season
        offsets = part.given.offsets
        begins = map(np.arange, offsets[:-1] + part.first_S, offsets[1:], repeat(horizon))
        # Stretches of at most a horizon, none over two series; to that before them, rows that are
        # not scored add nothing.
        begins_U = np.unique(np.concatenate([[0], *begins])).astype(np.int64)
        scored: dict[str, Scored] = {}
        for name, model in models.items():
            log.info(f"scoring with {name}")
            own = replace(part, given=model.bundle.facts.check_series(part.given))
            metrics = measure_series(
                model.predictor, own, horizon=horizon, season=season, settings=settings
            )
            known_N = np.where(np.isfinite(metrics.nats_N), own.given.observed_NK.sum(axis=1), 0)
            sums = {NATS.key: np.add.reduceat(np.nan_to_num(metrics.nats_N), begins_U)}
            sizes = {NATS.key: np.add.reduceat(known_N, begins_U).astype(np.int64)}
            forecasts = metrics.forecasts
            scores = [] if forecasts is None else forecasts.scores["model"]
            places = np.array([] if forecasts is None else forecasts.places, dtype=np.int64)
            for measure, field in ((CRPS, "crps"), (MASE, "scaled")):
                values = [getattr(score, field) for score in scores]
                points = [
                    0 if value is None else score.points
                    for value, score in zip(values, scores, strict=True)
                ]
                sums[measure.key] = np.bincount(places, [value or 0.0 for value in values])
                sizes[measure.key] = np.bincount(places, points).astype(np.int64)
            bundle = model.bundle
            row = {
                "encoding": bundle.config.head.name.partition(".")[0],
                "parameters": bundle.parameters,
                "figures": metrics.to_mapping(),
            }
            scored[name] = Scored(row, sums)
        return Compared(
            scored,
            (NATS, CRPS, MASE),
            sizes,
            units="forecasts",
            passages=f"forecasts of {horizon:,} steps, and stretches of values of that length",
        )

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.comparison_report import forecast_comparison

        yield from forecast_comparison(compared, title)

    def show(
        self,
        sources: Sequence[Any],
        number: int,
        settings: SeriesTrainSettings,
        *,
        opened: Any = None,
    ) -> ValuesSeen:
        corpus = self.corpus(sources, settings, opened=opened)
        if not 0 <= number < corpus.documents:
            raise DataError(
                f"there is no series {number}, they are numbered 0 to {corpus.documents - 1}",
                where=", ".join(map(str, sources)),
            )
        request = RunRequest(settings, settings.budget_seconds(), 1.0, None, False)
        return series_seen(self.plan(corpus, request).bundle, corpus.given.select([number]))

    def survey(
        self, sources: Sequence[Any], settings: SeriesTrainSettings, opened: Any
    ) -> Surveyed[SeriesCorpus]:
        from rhapsode.modalities.series.reports import survey_series

        return survey_series(sources, settings, opened)

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        from rhapsode.views.survey_report import series_survey

        yield from series_survey(found, width)

    def card(self, bundle: SeriesBundle, summary: Mapping[str, Any]) -> Card:
        from rhapsode.modalities.series.reports import card_of

        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        if summary["loss"] is not None:
            yield from forecasts_report(summary, title)
            if summary["forecasts"]:
                yield from method_notes(summary["forecasts"])
        if "calibration" in summary:
            yield summary["calibration"]["words"]

    def next_command(self, folder: Path) -> str:
        return f"rhapsode forecast {folder} --plot forecast.png"


SERIES = SeriesModality()
