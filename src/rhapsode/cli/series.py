"""What the commands do with series of numbers: train, generate, evaluate, describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rhapsode.bundle import modality_of
from rhapsode.cli.console import note, print_json, stderr
from rhapsode.cli.parse import parse
from rhapsode.config import Positional, Repeated, option
from rhapsode.errors import SettingsError

__all__ = [
    "EvaluateSeriesCommand",
    "evaluate_series",
    "series_model_in",
]

DESCRIPTION = """Forecasts of a model of series, from rolling origins over the end of every series, beside what came.

Seasonal naive stands beside always; ETS, ARIMA and Theta where statsforecast is installed."""


def series_model_in(arguments: Sequence[str]) -> bool:
    """Whether one of the words names a model of series."""
    return any(not word.startswith("-") and modality_of(word) == "series.v1" for word in arguments)


@dataclass(frozen=True)
class EvaluateSeriesCommand:
    """Flags of `rhapsode evaluate` for a model of series."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    source: Positional[Annotated[str, option("TABLE", "what it learnt from")]] = ""
    """Table of series whose ends are forecast."""
    horizon: Annotated[int | None, option("N", "the model's own")] = None
    """Steps ahead."""
    origins: Annotated[int | None, option("N", "all in the last tenth")] = None
    """Forecasts of every series, the last of which ends with it."""
    stride: Annotated[int | None, option("N", "the horizon")] = None
    """Steps from one origin to the next."""
    samples: Annotated[int, option("N")] = 200
    """Sample paths of every forecast."""
    seed: Annotated[int, option("N")] = 0
    """Seed of the paths."""
    method: Annotated[Repeated[tuple[str, ...]], option("NAME", "all there are")] = ()
    """A statistical method beside it: ets, arima, theta or none; may be repeated."""
    json: bool = False
    """Print one JSON object."""


def evaluate_series(arguments: Sequence[str]) -> int:
    """`rhapsode evaluate` for a model of series."""
    command = parse(EvaluateSeriesCommand, "evaluate", DESCRIPTION, arguments)
    for name, least in (("horizon", 1), ("origins", 1), ("stride", 1), ("samples", 2), ("seed", 0)):
        value = getattr(command, name)
        if value is not None and value < least:
            raise SettingsError(f"{value} is too small", where=f"--{name}")
    from rhapsode.modalities.series.model import SeriesModel

    model = SeriesModel(command.model)
    methods: tuple[str, ...] | None = command.method or None
    if "none" in command.method:
        if len(command.method) > 1:
            raise SettingsError("none goes with nothing else", where="--method")
        methods = ()
    source = command.source or model.own_source()
    figures, _ = model.evaluate(
        source,
        horizon=command.horizon,
        origins=command.origins,
        stride=command.stride,
        samples=command.samples,
        seed=command.seed,
        methods=methods,
    )
    if command.json:
        print_json(figures)
        return 0
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{command.model} on {source}")
    console.print(
        f"density: {figures['loss']:.4f} nats a value over {figures['elements']:,} values"
    )
    if figures["learnt"]:
        stderr().print(
            f"warning: {figures['learnt']:,} of the values scored were learnt from, or chose the weights; what stands "
            "beside the model has not seen what it forecasts",
            style="yellow",
        )
    from rhapsode.modalities.series.report import forecasts_table, method_notes

    console.print(forecasts_table(figures["forecasts"]))
    for line in method_notes(figures["forecasts"]):
        note(line)
    return 0
