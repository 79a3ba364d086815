"""A trained model of series as one object: forecast, observe, generate, evaluate."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import (
    GenerateSettings,
    SamplingSettings,
    from_mapping,
    read_toml,
)
from rhapsode.data.tables import SeriesSet, format_time, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.generation.chain import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.opened import Document, Piece, Prompt, check_single, old_content
from rhapsode.modalities.series.corpus import histories_of, observed_lengths, series_seen
from rhapsode.modalities.series.facts import SeriesBundle, SeriesFacts
from rhapsode.modalities.series.metrics import draw_forecasts
from rhapsode.modalities.series.prompts import SeriesDocument, SeriesPrompt, continued
from rhapsode.modalities.series.settings import ForecastSettings
from rhapsode.modalities.series.synthesis import make_series, new_place
from rhapsode.modalities.values.model import NEXT_PATHS, ValueModel, chain_of_values
from rhapsode.modalities.values.next_steps import LEVELS, NextSteps
from rhapsode.views.display import Shown

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: ICN001
    from rich.console import RenderableType

    from rhapsode.bundle.value_predictor import ValueState  # loads torch
    from rhapsode.modalities.values.next_steps import ValuesSeen

__all__ = ["SeriesForecast", "SeriesModel"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class SeriesForecast(Shown):
    """A forecast of series.

    Arguments:
        given: the series, with their histories.
        which: of them, B.
        rows: how many rows of each were history, B.
        times: of the steps to come, H each.
        paths_BSHK: sample paths, in the data's own units.
        levels: of the quantiles that are shown.
    """

    given: SeriesSet
    which: Ints
    rows: Ints
    times: tuple[Ints, ...]
    paths_BSHK: Floats
    levels: tuple[float, ...] = LEVELS

    def to_mapping(self) -> dict[str, Any]:
        from rhapsode.modalities.series.output import forecast_mapping

        return forecast_mapping(self, self.levels)

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rhapsode.modalities.series.output import forecast_tables

        return forecast_tables(self, width)

    def frame(self, levels: Sequence[float] = (), *, paths: bool = False) -> pandas.DataFrame:
        """A row for every series, time and number.

        Arguments:
            levels: of the quantiles, a column each beside the mean. [default: those of the forecast]
            paths: the sample paths instead, a row each.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from rhapsode.modalities.series.output import forecast_rows

        try:
            import pandas  # noqa: ICN001
        except ImportError:
            raise MissingExtraError("series", "data frames") from None
        head, rows = forecast_rows(self, levels or self.levels, paths=paths)
        return pandas.DataFrame(rows, columns=head)

    def csv(self, *, paths: bool = False) -> Iterator[str]:
        """The forecast as CSV, in pieces: its quantiles, or the sample paths."""
        from rhapsode.modalities.series.output import csv_text, forecast_rows

        return csv_text(forecast_rows(self, self.levels, paths=paths))

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the series."""
        return tuple(self.given.ids[series] for series in self.which.tolist())

    def quantiles(self, levels: Sequence[float] = LEVELS) -> Floats:
        """Quantiles of the paths, (Q, B, H, K)."""
        return np.quantile(self.paths_BSHK, levels, axis=1, method="weibull")

    def mean(self) -> Floats:
        """Means of the paths, (B, H, K)."""
        return np.asarray(self.paths_BSHK.mean(axis=1))

    def history(self, place: int) -> tuple[Ints, Floats]:
        """Times (T,) and values (T, K) that one forecast knew."""
        first = int(self.given.offsets[self.which[place]])
        some = slice(first, first + int(self.rows[place]))
        return self.given.times_N[some], self.given.values_NK[some]


class SeriesModel(ValueModel[SeriesBundle]):
    """A model file of series, opened."""

    facts = SeriesFacts
    prompts_are_text = False
    kept = "kept.csv"

    @property
    def turn_length(self) -> int:  # type: ignore[override]
        return self.bundle.facts.horizon

    def prompt(self, value: Any, settings: GenerateSettings) -> SeriesPrompt:
        """The series of a table, frame, array or set; "" for a new one, in a place that the seed draws."""
        if isinstance(value, str) and not value:
            return SeriesPrompt(self, *new_place(self.bundle, settings.seed or 0))
        return SeriesPrompt(self, self.read(value))

    def restored(self, saved: Mapping[str, Any]) -> SeriesPrompt:
        return SeriesPrompt.of_saved(self, saved)

    def chain(self, settings: GenerateSettings) -> Chain:
        return chain_of_values(_forecast_settings(settings), self.bins) or Chain([])

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        """The series of a prompt as one table, whatever their number."""
        from rhapsode.modalities.series.output import csv_text, forecast_rows, series_rows

        asked = _forecast_settings(settings)
        for number, prompt in enumerate(map(_of_series, prompts)):
            if prompt.place is None:
                table = forecast_rows(self.forecast(prompt.series, asked), paths=True)
            else:
                made = self.new_series(settings.length, count=settings.count, settings=asked)
                table = series_rows(made)
            for text in csv_text(table):
                yield Piece(0, text, None, 0, number)
            yield Piece(0, "", "length", settings.length or 0, number)

    def generate(
        self, prompt: Any = "", settings: GenerateSettings | None = None, **options: Any
    ) -> SeriesDocument:
        """Continue every series of a prompt by one sample path, or draw a new series for ""."""
        settings = self.request(settings, options)
        check_single(settings)
        asked = _forecast_settings(settings)
        given = self.prompt(prompt, settings)
        if given.place is not None:
            value = self.new_series(settings.length, settings=asked)
        else:
            value = continued(self.forecast(given.series, replace(asked, samples=1)))
        return SeriesDocument(value, asked.seed, "length")

    def encode(self, value: Any) -> NDArray[Any]:
        """Values (T, K) of the only series of a table, frame or array."""
        given = self.read(value)
        if len(given) != 1:
            raise DataError(f"one series is encoded at a time, not {len(given):,}")
        return given.values_NK

    def next_steps(
        self, prompt: Prompt, settings: GenerateSettings, count: int
    ) -> Iterator[NextSteps]:
        given = _of_series(prompt)
        asked = replace(_forecast_settings(settings), horizon=count, samples=NEXT_PATHS)
        if given.place is not None:
            yield from super().next_steps(prompt, settings, count)
            return
        forecast = self.forecast(given.series, asked)
        quantiles_QBHK = forecast.quantiles(LEVELS)
        for place, name in enumerate(forecast.ids):
            frequency = forecast.given.frequencies[int(forecast.which[place])]
            times = tuple(
                format_time(int(time), forecast.given.kind, frequency)
                for time in forecast.times[place]
            )
            yield NextSteps(
                name,
                times,
                forecast.given.names,
                quantiles_QBHK[:, place],
                settings.temperature,
                self.explained(settings),
            )

    def encoded(self, value: Any) -> ValuesSeen:
        return series_seen(self.bundle, self.read(value))

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Append series to a table, each by a name of its own."""
        import io

        old = old_content(path)
        number = len({line.split(b",")[0] for line in old.splitlines()[1:]})
        added = io.StringIO()
        for document in documents:
            lines = document.text().splitlines(keepends=True)
            if not old and not added.tell():
                added.write(lines[0])
            rows = csv.reader(lines[1:])
            table = csv.writer(added, lineterminator="\n")
            number += 1
            table.writerows([f"kept {number} {row[0]}", *row[1:]] for row in rows)
        between = b"\n" if old and not old.endswith(b"\n") else b""
        write_atomically(path, old + between + added.getvalue().encode("utf-8", "surrogateescape"))
        return added.tell()

    def own_source(self) -> str:
        """The table that the model learnt from, as its run folder names it.

        Raises:
            SettingsError: the model lies in no run folder.
        """
        config = self.path.parent / "config.toml"
        sources = read_toml(config).get("run", {}).get("sources", []) if config.is_file() else []
        if len(sources) != 1:
            raise SettingsError(
                "no history was given, and nothing beside the model tells of its own",
                hint="name a table",
            )
        return str(sources[0])

    def read(self, source: Any, reading: Mapping[str, Any] | None = None) -> SeriesSet:
        """Series of a table, frame or array, as this model takes them.

        Arguments:
            source: as in `read_series`; a set that was read already is taken as it is.
            reading: which column plays which part, by names of `SeriesSettings`; what is unset is as it was in training.

        Raises:
            DataError: series the model does not fit.
        """
        if isinstance(source, SeriesSet):
            given = source
        else:
            merged = {**self.bundle.provenance.section("series"), **(reading or {})}
            given = read_series(source, from_mapping(SeriesSettings, merged, where="[series]"))
        return self.bundle.facts.check_series(given)

    def forecast(
        self, history: Any, settings: ForecastSettings | None = None, **options: Any
    ) -> SeriesForecast:
        """Sample paths behind the last known value of every series.

        Arguments:
            history: a table, name, frame, array or set; covariates known ahead stand in rows behind the last value.
            settings: horizon, samples, temperature, seed, and where values are elements, samplers.
            **options: the same by name.

        Raises:
            RhapsodeError: a history the model does not fit.
        """
        if settings is None:
            settings = from_mapping(ForecastSettings, options, where="options")
        given = self.read(history)
        rows = observed_lengths(given)
        which = np.nonzero(rows)[0]
        if not len(which):
            raise DataError("no series holds a value", hint="give a history")
        paths, times = draw_forecasts(
            self.predictor,
            given,
            which,
            rows[which],
            settings.horizon or self.bundle.facts.horizon,
            samples=settings.samples,
            seed=settings.seed,
            temperature=settings.temperature,
            chain=chain_of_values(settings, self.predictor.vocab_size),
        )
        levels = tuple(sorted(set(settings.quantiles))) or LEVELS
        return SeriesForecast(given, which, rows[which], tuple(times), paths, levels)

    def start(self, history: Any) -> ValueState:
        """The state behind the known values of every series, for `observe`."""
        given = self.read(history)
        rows = observed_lengths(given)
        which = np.arange(len(given))
        covariates = self.bundle.facts.covariates
        return self.predictor.begin(
            histories_of(given, covariates, which, rows), covariates.condition(given, which)
        )

    def observe(
        self, values: Any, state: ValueState, known: NDArray[np.float32] | None = None
    ) -> ValueState:
        """The state behind one more value of every series.

        Arguments:
            values: (B,) or (B, K), in the data's own units; NaN where missing.
            state: before it; it is not changed.
            known: covariates of that time, (B, X), scaled, where the model has any: `covariates.rows` makes them.

        Raises:
            SettingsError: the model needs covariates and none are given.
        """
        if known is None and self.bundle.facts.covariates.size:
            raise SettingsError("this model needs the covariates of that time")
        values_BK = np.asarray(values, dtype=np.float64)
        if values_BK.ndim == 1:
            values_BK = values_BK[:, None]
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
        """Sample paths (B, S, H, K) from a state, which is not changed.

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
        size = self.bundle.facts.covariates.size
        if known is None:
            if size:
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
        """New series, each in the place of one it learnt from: its scale, first time, length and attributes.

        Arguments:
            length: steps; None: as long as the one in whose place it stands.
            count: how many.
            like: the series in whose place all stand; None draws one for each.
            settings: seed of the choice and of the paths, temperature, and where values are elements, samplers.
            **options: the same by name.

        Returns:
            The series, each named by the one in whose place it stands and a number.

        Raises:
            SettingsError: no such series, or samplers that do not go with the model.
            DataError: the model was fed covariates that nobody knows of a new series.
        """
        if settings is None:
            settings = from_mapping(ForecastSettings, options, where="options")
        return make_series(self.predictor, length, like, count=count, settings=settings)


def _of_series(prompt: Prompt) -> SeriesPrompt:
    """A prompt of this model, which no other kind of model makes."""
    assert isinstance(prompt, SeriesPrompt)
    return prompt


def _forecast_settings(settings: GenerateSettings) -> ForecastSettings:
    """Settings of generation as those of a forecast.

    Raises:
        SettingsError: a value that makes no sense for them.
    """
    if settings.length is not None and settings.length < 1:
        raise SettingsError(f"{settings.length} is too small", where="--length")
    samplers = {field.name for field in fields(SamplingSettings)} - {"trace"}
    asked = {
        "horizon": settings.length,
        "samples": settings.count,
        "seed": settings.seed,
        **{name: getattr(settings, name) for name in samplers},
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return from_mapping(ForecastSettings, given, where="options")
