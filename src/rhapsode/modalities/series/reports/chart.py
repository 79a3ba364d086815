"""Panels of a picture of forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rhapsode.data.tables import SeriesSet
from rhapsode.modalities.series.model import SeriesForecast
from rhapsode.views.forecast_chart import MOST, Fan, draw_fans

__all__ = ["write_chart"]


def write_chart(
    path: Path, found: SeriesForecast, *, title: str, actual: SeriesSet | None = None
) -> int:
    """Draw a panel for every series and number, the first twelve, as PNG or SVG.

    Arguments:
        path: where; its suffix says which.
        found: the forecast.
        title: above all.
        actual: the same series with what came, drawn beside the forecast; None: nobody knows.

    Returns:
        How many panels were left out.
    """
    numbers = range(len(found.given.names))
    panels = [(place, number) for place in range(len(found.which)) for number in numbers]
    fans = [_fan(found, place, number, actual) for place, number in panels[:MOST]]
    draw_fans(path, fans, title=title)
    return len(panels) - len(fans)


def _fan(found: SeriesForecast, place: int, number: int, actual: SeriesSet | None) -> Fan:
    names, horizon = found.given.names, found.paths_BSHK.shape[2]
    times, values_TK = found.history(place)
    kept = max(4 * horizon, 3 * max(1, found.given.period), 24)
    came = None
    if actual is not None:
        first = int(actual.offsets[found.which[place]]) + int(found.rows[place])
        stop = min(first + horizon, int(actual.offsets[found.which[place] + 1]))
        came = actual.values_NK[first:stop, number]
    return Fan(
        found.ids[place] if len(names) == 1 else f"{found.ids[place]}, {names[number]}",
        _axis_times(found, times[-kept:]),
        values_TK[-kept:, number],
        _axis_times(found, found.times[place]),
        found.paths_BSHK[place, :, :, number],
        came,
    )


def _axis_times(found: SeriesForecast, times: Any) -> Any:
    return times.astype("datetime64[ns]") if found.given.kind == "time" else times
