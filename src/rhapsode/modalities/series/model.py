"""A trained model of series as one object: forecast, observe, generate, evaluate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings, SamplingSettings, from_mapping, read_toml
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.encoding.series import SeriesStats
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.generation import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.opened import Document, Piece, check_single, old_content
from rhapsode.modalities.series.corpus import observed_lengths, series_seen
from rhapsode.modalities.series.facts import SeriesBundle, SeriesFacts
from rhapsode.modalities.series.forecasting.drawn_forecasts import draw_forecasts, state_after
from rhapsode.modalities.series.forecasting.forecast_frames import frame_kind
from rhapsode.modalities.series.forecasting.series_forecast import (
    SeriesForecast,
    forecast_rows,
    forecast_times,
)
from rhapsode.modalities.series.metrics import whole_series
from rhapsode.modalities.series.output import check_table, csv_text, series_rows
from rhapsode.modalities.series.prompts import SeriesDocument, SeriesPrompt, continued, saved_series
from rhapsode.modalities.series.settings import ForecastSettings, SeriesEvaluationSettings
from rhapsode.modalities.series.synthesis import draw_new, make_series, new_place
from rhapsode.modalities.values.model import NEXT_PATHS, ValueModel, chain_of_values
from rhapsode.modalities.values.next_steps import LEVELS, NextSteps, ValuesSeen

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValueState  # loads torch
    from rhapsode.modalities.series.anomalies.found import Anomalies


Floats = NDArray[np.float64]


class SeriesModel(ValueModel[SeriesBundle]):
    """A model file of series, opened."""

    facts = SeriesFacts
    prompts_are_text = False
    kept = "kept.csv"

    @property
    def turn_length(self) -> int:  # type: ignore[override]
        return self.bundle.facts.horizon

    def prompt(self, value: Any, settings: GenerateSettings) -> SeriesPrompt:
        """The series of a table, frame, array or set.

        An empty text stands for a new series, whose template the seed draws.
        """
        if isinstance(value, str) and not value:
            return SeriesPrompt(self, *new_place(self.bundle, settings.seed or 0))
        return SeriesPrompt(self, self.read(value))

    def restored(self, saved: Mapping[str, Any]) -> SeriesPrompt:
        try:
            series = self.bundle.facts.check_series(saved_series(saved["series"]))
            if saved["place"] is None:
                return SeriesPrompt(self, series)
            rows, start = saved["place"]
            stats = SeriesStats.from_array(np.array(rows, dtype=np.float64))
            if len(stats.scale_K) != len(series.names):
                raise ValueError
            return SeriesPrompt(self, series, (stats, int(start)))
        except (KeyError, TypeError, ValueError, IndexError, msgspec.ValidationError):
            raise DataError("the beginning of this session is damaged") from None

    def check_output(self, path: Path) -> None:
        check_table(path)

    def chain(self, settings: GenerateSettings) -> Chain:
        return chain_of_values(_forecast_settings(settings), self.bins) or Chain([])

    def write(self, prompts: Sequence[Any], settings: GenerateSettings) -> Iterator[Piece]:
        """The series of a prompt as one table, whatever their number."""
        asked = _forecast_settings(settings)
        for number, prompt in enumerate(prompts):
            if prompt.place is None:
                table = forecast_rows(self._drawn(prompt.series, asked, kept=False), (), paths=True)
            else:
                table = series_rows(
                    self.new_series(settings.length, count=settings.count, settings=asked)
                )
            for text in csv_text(table):
                yield Piece(0, text, None, 0, number)
            yield Piece(0, "", "length", settings.length or 0, number)

    def generate(
        self, prompt: Any = "", settings: GenerateSettings | None = None, **options: Any
    ) -> SeriesDocument:
        """Continue every series by one sample path; "" draws a new series."""
        settings = self.request(settings, options)
        check_single(settings)
        asked = _forecast_settings(settings)
        given = self.prompt(prompt, settings)
        if given.place is not None:
            value = self.new_series(settings.length, settings=asked)
        else:
            value = continued(self._drawn(given.series, replace(asked, samples=1), kept=False))
        return SeriesDocument(value, asked.seed, "length")

    def encode(self, value: Any) -> NDArray[Any]:
        """Values (T, K) of the only series of a source."""
        given = self.read(value)
        if len(given) != 1:
            raise DataError(f"one series is encoded at a time, not {len(given):,}")
        return given.values_NK

    def next_steps(
        self, prompt: Any, settings: GenerateSettings, count: int
    ) -> Iterator[NextSteps]:
        if prompt.place is not None:
            yield from super().next_steps(prompt, settings, count)
            return
        asked = replace(_forecast_settings(settings), horizon=count, samples=NEXT_PATHS)
        forecast = self.forecast(prompt.series, asked)
        quantiles_QBHK = forecast.quantiles(LEVELS)
        for place, name in enumerate(forecast.ids):
            yield NextSteps(
                name,
                tuple(forecast_times(forecast, place)),
                forecast.given.names,
                quantiles_QBHK[:, place],
                settings.temperature,
                self.explained(settings),
            )

    def encoded(self, value: Any) -> ValuesSeen:
        return series_seen(self.bundle, self.read(value))

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Append series to a table, each by a name of its own."""
        old = old_content(path)
        names = {line.split(b",")[0] for line in old.splitlines()[1:]}
        added = io.StringIO()
        table = csv.writer(added, lineterminator="\n")
        for number, document in enumerate(documents, len(names) + 1):
            head, *lines = document.text().splitlines(keepends=True)
            if not old and not added.tell():
                added.write(head)
            table.writerows([f"kept {number} {row[0]}", *row[1:]] for row in csv.reader(lines))
        between = b"\n" if old and not old.endswith(b"\n") else b""
        write_atomically(path, old + between + added.getvalue().encode("utf-8", "surrogateescape"))
        return added.tell()

    def own_source(self) -> str:
        """The training table, as the run folder names it.

        Raises:
            SettingsError: the model lies in no run folder.
        """
        config = self.path.parent / "config.toml"
        sources = read_toml(config).get("run", {}).get("sources", []) if config.is_file() else []
        if len(sources) != 1:
            raise SettingsError(
                "no history was given, and the model has no record of its training table",
                hint="name a table",
            )
        return str(sources[0])

    def read(self, source: Any, reading: Mapping[str, Any] | None = None) -> SeriesSet:
        """Series of a table, frame or array, as this model takes them.

        Arguments:
            source: as in `read_series`; a set that was read already is taken as it is.
            reading: roles of columns, by names of `SeriesSettings`. [default: as in training]

        Raises:
            DataError: series the model does not fit.
        """
        if not isinstance(source, SeriesSet):
            merged = {**self.bundle.provenance.section("series"), **(reading or {})}
            source = read_series(source, from_mapping(SeriesSettings, merged, where="[series]"))
        return self.bundle.facts.check_series(source)

    def insights(self) -> dict[str, Any]:
        from rhapsode.modalities.series.fitting.linear_part import linear_part

        found = linear_part(self.bundle)
        return {} if found is None else {"linear": found}

    def forecast(
        self, history: Any, settings: ForecastSettings | None = None, **options: Any
    ) -> SeriesForecast:
        """Sample paths after the last known value of every series.

        A series without any value is forecast from its attributes, from its first row on.

        Arguments:
            history: a table, name, frame, array or set; covariates known ahead are in rows after
                the last value.
            settings: horizon, samples, temperature, seed, and where values are elements, samplers.
            **options: the same by name.

        Raises:
            RhapsodeError: a history the model does not fit.
        """
        settings = settings or from_mapping(ForecastSettings, options, where="options")
        found = self._drawn(history, settings, kept=True)
        return replace(found, kind=frame_kind(history))

    def _drawn(self, history: Any, settings: ForecastSettings, *, kept: bool) -> SeriesForecast:
        given, covariates = self.read(history), self.bundle.facts.covariates
        rows = observed_lengths(given)
        described = bool(covariates.static or covariates.categories)
        (which,) = np.nonzero((rows > 0) | (described & (given.lengths > 0)))
        if not len(which):
            raise DataError("no series holds a value", hint="give a history")
        horizon = settings.horizon or self.bundle.facts.horizon
        drawing: Any = {
            "samples": settings.samples,
            "seed": settings.seed,
            "temperature": settings.temperature,
            "chain": chain_of_values(settings, self.predictor.vocab_size),
        }
        order = np.argsort(rows[which] == 0, kind="stable")  # those without values come last
        begun, new = which[rows[which] > 0], which[rows[which] == 0]
        parts: list[Floats] = []
        times: list[NDArray[np.int64]] = []
        if len(begun):
            paths, own = draw_forecasts(
                self.predictor,
                given,
                begun,
                rows[begun],
                horizon,
                kept=kept,
                calibrated=not settings.network_alone,
                **drawing,
            )
            parts, times = [paths], own
        if len(new):
            paths, own = draw_new(self.predictor, given, new, horizon, **drawing)
            parts, times = [*parts, paths], [*times, *own]
        place = np.argsort(order)
        paths_BSHK = np.concatenate(parts)[place]
        levels = tuple(sorted(set(settings.quantiles))) or LEVELS
        ordered = tuple(times[number] for number in place)
        return SeriesForecast(given, which, rows[which], ordered, paths_BSHK, levels)

    def anomalies(
        self, source: Any = None, settings: SeriesEvaluationSettings | None = None, **options: Any
    ) -> Anomalies:
        """Score every value by its probability given the values before it.

        Arguments:
            source: a table, name, frame, array or set. [default: the training data]
            settings: false-alarm rate, window, and files to write.
            **options: the same by name.

        Raises:
            RhapsodeError: series the model does not fit.
        """
        from rhapsode.modalities.series.anomalies.found import find_anomalies

        options = {"anomalies": True, **options}
        settings = settings or from_mapping(SeriesEvaluationSettings, options, where="options")
        part = whole_series(self, self.own_source() if source is None else source)
        return replace(find_anomalies(self.predictor, part, settings), kind=frame_kind(source))

    def start(self, history: Any) -> ValueState:
        """The state after the known values of every series, for `observe`."""
        given = self.read(history)
        which = np.arange(len(given))
        return state_after(self.predictor, given, which, observed_lengths(given))

    def observe(
        self, values: Any, state: ValueState, known: NDArray[np.float32] | None = None
    ) -> ValueState:
        """The state after one more value of every series.

        Arguments:
            values: (B,) or (B, K), in the data's own units; NaN where missing.
            state: before it; it is not changed.
            known: covariates of that time, (B, X), scaled by `covariates.rows`; None without any.

        Raises:
            SettingsError: the model needs covariates and none are given.
        """
        if known is None and self.bundle.facts.covariates.size:
            raise SettingsError("this model needs the covariates of that time")
        values_BK = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        if known is None:
            known = np.zeros((len(values_BK), 0), dtype=np.float32)
        return self.predictor.observe(values_BK, state.fork(), known)

    def ahead(
        self,
        state: ValueState,
        horizon: int,
        *,
        samples: int = 200,
        seed: int = 0,
        known: NDArray[np.float32] | None = None,
    ) -> Floats:
        """Sample paths (B, S, H, K) after an unchanged state.

        Arguments:
            state: from `start` or `observe`.
            horizon: steps.
            samples: paths of each series.
            seed: of the paths.
            known: covariates of the steps to come, (B, H, X), scaled.

        Raises:
            SettingsError: the model needs covariates and none are given.
        """
        rows = len(state.paths)
        if known is None:
            if self.bundle.facts.covariates.size:
                raise SettingsError("this model needs the covariates of the steps to come")
            known = np.zeros((rows, horizon, 0), dtype=np.float32)
        seeds = [path_seed(seed, str(row)) for row in range(rows)]
        return sample_paths(self.predictor, state, known, samples=samples, seeds=seeds)

    def new_series(
        self,
        length: int | None = None,
        *,
        count: int = 1,
        like: str | None = None,
        settings: ForecastSettings | None = None,
        **options: Any,
    ) -> SeriesSet:
        """New series, each drawn after the template of a training series.

        A template gives scale, first time, length and attributes.

        Arguments:
            length: steps; None: as many as the template has.
            count: how many.
            like: the training series that is the template of all; None draws one for each.
            settings: seed of the choice and of the paths, temperature, and where values are
                elements, samplers.
            **options: the same by name.

        Returns:
            The series, each named by its template and a number.

        Raises:
            SettingsError: no such series, or samplers that do not go with the model.
            DataError: the model has covariates that are unknown for a new series.
        """
        settings = settings or from_mapping(ForecastSettings, options, where="options")
        return make_series(self.predictor, length, like, count=count, settings=settings)


def _forecast_settings(settings: GenerateSettings) -> ForecastSettings:
    """Settings of generation as those of a forecast.

    Raises:
        SettingsError: a value that makes no sense for them.
    """
    if settings.length is not None and settings.length < 1:
        raise SettingsError(f"{settings.length} is too small", where="--length")
    asked = {field.name: getattr(settings, field.name) for field in fields(SamplingSettings)}
    del asked["trace"], asked["adapt"]
    asked |= {"horizon": settings.length, "samples": settings.count, "seed": settings.seed}
    given = {name: value for name, value in asked.items() if value is not None}
    return from_mapping(ForecastSettings, given, where="options")
