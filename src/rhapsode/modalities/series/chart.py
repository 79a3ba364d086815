"""Forecasts as a picture: what was, and a fan of what may come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.data.tables import SeriesSet
from rhapsode.files import write_atomically
from rhapsode.modalities.series.model import SeriesForecast
from rhapsode.views.survey_picture import PICTURE_STYLE, check_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_picture", "write_chart"]

MOST = 12
"""Panels of one picture."""
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.34))
INK, FAN, TRUTH = "#2b3a42", "#0b6e8a", "#c4501b"


def write_chart(
    path: Path, found: SeriesForecast, *, title: str, actual: SeriesSet | None = None
) -> int:
    """A panel for every series and number, the first twelve, as PNG or SVG.

    Arguments:
        path: where; its suffix says which.
        found: the forecast.
        title: above all.
        actual: the same series with what came, drawn beside the forecast; None: nobody knows.

    Returns:
        How many panels were left out.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = found.given.names
    panels = [(place, k) for place in range(len(found.which)) for k in range(len(names))]
    shown = panels[:MOST]
    columns = 1 if len(shown) == 1 else 2 if len(shown) <= 4 else 3
    rows = -(-len(shown) // columns)
    with mpl.rc_context(PICTURE_STYLE):
        # A figure of its own, without pyplot: no window, no state that another thread shares.
        figure = Figure(
            figsize=(9.2 if columns > 1 else 8.4, 0.9 + (3.4 if rows == 1 else 2.3 * rows)),
            dpi=150,
            facecolor="white",
            layout="constrained",
        )
        flat = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for axis, (place, number) in zip(flat, shown, strict=False):
            label = found.ids[place] if len(names) == 1 else f"{found.ids[place]}, {names[number]}"
            _panel(axis, found, place, number, actual)
            name = axis.set_title(label, loc="left", fontsize=9.5, color=INK)
            name.set_parse_math(False)
        for axis in flat[len(shown) :]:
            axis.set_axis_off()
        heading = figure.suptitle(
            title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK
        )
        heading.set_parse_math(False)  # a dollar is a dollar
        handles, labels = flat[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower left",
            ncols=len(labels),
            frameon=False,
            fontsize=8.5,
        )
        kind = path.suffix.lower()[1:]
        metadata = {"Date": None} if kind == "svg" else {}
        write_atomically(
            path, lambda scratch: figure.savefig(scratch, format=kind, metadata=metadata)
        )
    return len(panels) - len(shown)


def _axis_times(found: SeriesForecast, times: Any) -> Any:
    return times.astype("datetime64[ns]") if found.given.kind == "time" else times


def _panel(
    axis: Axes, found: SeriesForecast, place: int, number: int, actual: SeriesSet | None
) -> None:
    horizon = found.paths_BSHK.shape[2]
    times, values_TK = found.history(place)
    kept = max(4 * horizon, 3 * max(1, found.given.period), 24)
    times, values = times[-kept:], values_TK[-kept:, number]
    ahead = _axis_times(found, found.times[place])
    paths = found.paths_BSHK[place, :, :, number]
    if len(values) and np.isfinite(values[-1]):
        # The fan opens from the last value.
        ahead = np.concatenate((_axis_times(found, times[-1:]), ahead))
        paths = np.concatenate((np.full((len(paths), 1), values[-1]), paths), axis=1)
    for low, high, alpha in BANDS:
        bottom, top = np.quantile(paths, (low, high), axis=0, method="weibull")
        label = f"{high - low:.0%} of the paths"
        axis.fill_between(ahead, bottom, top, color=FAN, alpha=alpha, linewidth=0, label=label)
    axis.plot(ahead, np.median(paths, axis=0), color=FAN, linewidth=1.8, label="median")
    axis.plot(_axis_times(found, times), values, color=INK, linewidth=1.3, label="history")
    if actual is not None:
        first = int(actual.offsets[found.which[place]]) + int(found.rows[place])
        stop = min(first + horizon, int(actual.offsets[found.which[place] + 1]))
        axis.plot(
            ahead[-horizon:][: stop - first],
            actual.values_NK[first:stop, number],
            color=TRUTH,
            linewidth=1.3,
            label="what came",
        )
    axis.grid(visible=True, axis="y", color="#e6eaec", linewidth=0.8)
    axis.margins(x=0.01)
    if found.given.kind == "time":
        from matplotlib import dates

        locator: Any = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
