"""Pictures of histories, each followed by a fan of sample paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.views.pictures import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Panels of one picture.
MOST = 12
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.34))
INK, FAN, TRUTH = "#2b3a42", "#0b6e8a", "#c4501b"


@dataclass(frozen=True)
class Fan:
    """One panel: a history and its sample paths.

    Arguments:
        label: printed above.
        times_T: of the history; datetime64 or numbers.
        values_T: at these times.
        ahead_H: times of the forecast steps.
        paths_SH: sample paths.
        came_H: observations from the first forecast step on; None if they are unknown.
    """

    label: str
    times_T: NDArray[Any]
    values_T: NDArray[np.float64]
    ahead_H: NDArray[Any]
    paths_SH: NDArray[np.float64]
    came_H: NDArray[np.float64] | None = None


def draw_fans(path: Path, fans: Sequence[Fan], *, title: str) -> None:
    """Draw a panel for each of the first twelve fans.

    Arguments:
        path: a .png or .svg file.
        fans: at least one.
        title: printed above all panels.
    """
    shown = fans[:MOST]
    with panel_figure(path, len(shown), title=title) as axes:
        for axis, fan in zip(axes, shown, strict=True):
            _panel(axis, fan)
            axis.set_title(fan.label, loc="left", fontsize=9.5, color=INK)


@contextmanager
def panel_figure(path: Path, panels: int, *, title: str) -> Iterator[Sequence[Axes]]:
    """Open a figure of panels, and write it at the end.

    It gets a legend.

    Arguments:
        path: a .png or .svg file.
        panels: one to twelve.
        title: printed above all panels.
    """
    columns = 1 if panels == 1 else 2 if panels <= 4 else 3
    rows = -(-panels // columns)
    size = (9.2 if columns > 1 else 8.4, 0.9 + (3.4 if rows == 1 else 2.3 * rows))
    with picture(path, {}, figsize=size, dpi=150, layout="constrained") as figure:
        flat = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        yield flat[:panels]
        for axis in flat[panels:]:
            axis.set_axis_off()
        figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
        figure.legend(
            *flat[0].get_legend_handles_labels(),
            loc="outside lower left",
            ncols=9,  # all on one line
            frameon=False,
            fontsize=8.5,
        )


def _panel(axis: Axes, fan: Fan) -> None:
    ahead, paths = fan.ahead_H, fan.paths_SH
    if len(fan.values_T) and np.isfinite(fan.values_T[-1]):
        # The fan opens from the last value.
        ahead = np.concatenate((fan.times_T[-1:], ahead))
        paths = np.concatenate((np.full((len(paths), 1), fan.values_T[-1]), paths), axis=1)
    for low, high, alpha in BANDS:
        band = np.quantile(paths, (low, high), axis=0, method="weibull")
        label = f"{high - low:.0%} of the paths"
        axis.fill_between(ahead, *band, color=FAN, alpha=alpha, linewidth=0, label=label)
    axis.plot(ahead, np.median(paths, axis=0), color=FAN, linewidth=1.8, label="median")
    axis.plot(fan.times_T, fan.values_T, color=INK, linewidth=1.3, label="history")
    if fan.came_H is not None:
        axis.plot(
            fan.ahead_H[: len(fan.came_H)],
            fan.came_H,
            color=TRUTH,
            linewidth=1.3,
            label="observed",
        )
    date_axis(axis, ahead)


def date_axis(axis: Axes, times: NDArray[Any]) -> None:
    """Draw a grid, and few short dates where times are dates."""
    axis.grid(visible=True, axis="y")
    axis.margins(x=0.01)
    if np.issubdtype(times.dtype, np.datetime64):
        from matplotlib import dates as untyped

        dates: Any = untyped
        locator = dates.AutoDateLocator(minticks=3, maxticks=6)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
