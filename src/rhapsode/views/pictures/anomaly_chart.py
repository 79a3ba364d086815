"""Pictures of series with flagged values and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.views.pictures.forecast_chart import FAN, INK, TRUTH, date_axis, panel_figure


@dataclass(frozen=True)
class Panel:
    """One series.

    Arguments:
        label: printed above.
        times_T: datetime64 or numbers.
        values_T: at these times.
        expected_T: expected values; NaN where there are none.
        flagged: places of flagged values.
        windows: first and last places of flagged windows.
    """

    label: str
    times_T: NDArray[Any]
    values_T: NDArray[np.float64]
    expected_T: NDArray[np.float64]
    flagged: NDArray[np.int64]
    windows: Sequence[tuple[int, int]]


def draw_anomalies(path: Path, panels: Sequence[Panel], *, title: str) -> None:
    """Draw a panel for each series.

    Arguments:
        path: a .png or .svg file.
        panels: one to twelve.
        title: printed above all panels.
    """
    with panel_figure(path, len(panels), title=title) as axes:
        for axis, panel in zip(axes, panels, strict=False):
            times = panel.times_T
            label = "unusual window"
            for first, last in panel.windows:
                axis.axvspan(
                    times[first], times[last], color=TRUTH, alpha=0.15, linewidth=0, label=label
                )
                label = "_"  # named once
            axis.plot(times, panel.expected_T, color=FAN, linewidth=1.0, label="expected")
            axis.plot(times, panel.values_T, color=INK, linewidth=1.0, label="observed")
            axis.plot(
                times[panel.flagged],
                panel.values_T[panel.flagged],
                color=TRUTH,
                marker="o",
                markersize=5,
                linestyle="none",
                label="unusual value",
            )
            axis.set_title(panel.label, loc="left", fontsize=9.5, color=INK)
            date_axis(axis, times)
