"""The picture of anomalies: every series with its flagged values and windows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.views.pictures.anomaly_chart import Panel, draw_anomalies
from rhapsode.views.pictures.forecast_chart import MOST

if TYPE_CHECKING:
    from rhapsode.modalities.series.anomalies.found import Anomalies


def draw_panels(path: Path, found: Anomalies) -> int:
    """Draw the series with the worst anomalies, at most twelve.

    Returns:
        Number of panels left out.
    """
    given = found.given
    size, width = len(given), len(given.names)
    anomalies = found.found()
    worst = [(each.series, each.number) for each in anomalies]
    every = [(series, number) for series in range(size) for number in range(width)]
    chosen = list(dict.fromkeys([*worst, *every]))
    panels = []
    for series, number in chosen[:MOST]:
        rows = given.rows(series)
        times = given.times_N[rows]
        axis: Any = times.astype("datetime64[ns]") if given.kind == "time" else times
        own = [each for each in anomalies if (each.series, each.number) == (series, number)]
        panels.append(
            Panel(
                given.ids[series] if width == 1 else f"{given.ids[series]}, {given.names[number]}",
                axis,
                given.values_NK[rows, number],
                found.expected_NK[rows, number],
                np.flatnonzero(found.values_NK[rows, number]),
                tuple(
                    (each.first - rows.start, each.last - rows.start)
                    for each in own
                    if each.kind == "window"
                ),
            )
        )
    title = f"{len(anomalies):,} anomalies, false-alarm rate {found.rate:g}"
    draw_anomalies(path, panels, title=title)
    return len(chosen) - len(panels)
