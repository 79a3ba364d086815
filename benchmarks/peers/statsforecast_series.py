"""AutoETS, AutoTheta and AutoARIMA of statsforecast, in an environment of their own: statsforecast_series.py TASK.npz FACTS.json OUT.npz.

Each forecast is fitted to its own history: gaps are filled along straight lines, and a history shorter than two seasons has
none. Where a method fails, the seasonal naive method of statsforecast takes its place, and is counted. A set that does not end
in `most_seconds` ends with status 3.
"""

import json
import sys
import time
import warnings

import numpy as np
from statsforecast import models

warnings.simplefilter("ignore")
CENTRAL = (20, 40, 50, 60, 80, 90)
MODELS = {"ets": "AutoETS", "theta": "AutoTheta", "arima": "AutoARIMA"}

task, facts = np.load(sys.argv[1]), json.loads(sys.argv[2])
offsets, horizon = task["offsets"], facts["horizon"]


def filled(history):
    (known,) = np.nonzero(np.isfinite(history))
    places = np.arange(known[0], len(history))
    return np.interp(places, known, history[known])


def quantiles(model, history):
    found = model.forecast(y=history, h=horizon, level=list(CENTRAL))
    rows = {0.5: found["mean"]}
    for share in CENTRAL:
        rows[round(0.5 - share / 200, 6)] = found[f"lo-{share}"]
        rows[round(0.5 + share / 200, 6)] = found[f"hi-{share}"]
    table = np.array([rows[level] for level in sorted(rows)], dtype=np.float64)
    if not np.isfinite(table).all():
        raise ValueError
    return sorted(rows), table


drawn, failed, levels = [], 0, ()
began = time.perf_counter()
for series, count in zip(task["which"], task["rows"], strict=True):
    history = filled(task["values"][offsets[series] : offsets[series] + count])
    history = history[-facts["longest"] :]
    season = facts["season"] if len(history) >= 2 * facts["season"] else 1
    try:
        levels, table = quantiles(
            getattr(models, MODELS[facts["way"]])(season_length=season), history
        )
    except Exception:
        failed += 1
        levels, table = quantiles(models.SeasonalNaive(season_length=season), history)
    drawn.append(table)
    if time.perf_counter() - began > facts["most_seconds"]:
        sys.exit(3)
np.savez(sys.argv[3], quantiles=np.stack(drawn), levels=levels, failed=failed,
         seconds=time.perf_counter() - began)  # fmt: skip
