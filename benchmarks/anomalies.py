"""Planted anomalies found by one-step densities, beside z-scores of seasonal residuals, on three real series.

    python benchmarks/anomalies.py OUT.jsonl [--budget 30s] [--rate 0.001] [--seeds N]
    python benchmarks/anomalies.py OUT.jsonl --table

A model learns the first 70 % of each series. Spikes, level shifts and changed seasons are planted in the rest, in one copy
of it for each kind, so that kinds do not hide each other. An anomaly counts as found if a flag lies in it: a spike at its
value, a shift in the season that follows it, a changed season in its two seasons. The false-alarm rate is that of flags in
the same rows without anything planted, real anomalies included. The z-scores are residuals of a seasonal decomposition
(centred moving mean, means of every place in the season) in units of their standard deviation over the first 70 %, with
the threshold of a normal distribution at the same rate, and again with the threshold at which they have as many false
alarms as the model had.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import rhapsode as rh
from rhapsode.data.tables import read_series
from rhapsode.data.tables.settings import SeriesSettings

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data")) / "timeseries"
SETS: dict[str, tuple[str, SeriesSettings, int, int]] = {
    "temperatures": ("daily-min-temperatures.csv", SeriesSettings(), 365, 4000),
    "oil temperature": ("ETTh1.csv", SeriesSettings(value_columns=("OT",)), 24, 12_000),
    "energy": ("PJME_hourly.csv.gz", SeriesSettings(), 24, 26_280),
}
"""File, reading, season of the z-scores, and values from the end."""
KINDS = ("spike", "shift", "season")
SIZES = {"spike": (3.0, 5.0), "shift": (1.0, 2.0), "season": (1.0,)}
"""Spikes in standard deviations of the differences over a season, shifts in those of the values."""
PLANTED = 20
LEARNT = 0.7


def read(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Times, values and season of a set, its last values."""
    file, reading, season, most = SETS[name]
    given = read_series(DATA / file, reading)
    return given.times_N[-most:], given.values_NK[-most:, 0], season


def plant(
    values: np.ndarray, kind: str, size: float, season: int, seed: int
) -> tuple[np.ndarray, list[range]]:
    """A copy of values with planted anomalies in its last 30 %, and where a flag finds each."""
    random = np.random.default_rng(seed)
    changed = values.copy()
    first = int(LEARNT * len(values))
    pattern = 24 if season == 24 else 7
    span = {"spike": 1, "shift": season if season == 24 else 30, "season": 2 * season}[kind]
    if kind == "season" and season != 24:
        span = 60
    count = min(PLANTED, (len(values) - first) // (3 * span + pattern))
    room = (len(values) - first) // count
    places = [
        first + number * room + int(random.integers(room // 8, room // 3))
        for number in range(count)
    ]
    apart = values[season:] - values[:-season]
    found = []
    for place in places:
        sign = random.choice((-1.0, 1.0))
        if kind == "spike":
            changed[place] += sign * size * np.nanstd(apart)
            found.append(range(place, place + 1))
        elif kind == "shift":
            changed[place : place + span] += sign * size * np.nanstd(values)
            found.append(range(place, place + (24 if season == 24 else 14)))
        else:
            # The second half of the day, or of the year's deviations, comes first: the same values in another order.
            part = values[place : place + span].reshape(-1, season if season == 24 else span)
            changed[place : place + span] = np.roll(part, part.shape[1] // 2, axis=1).ravel()
            found.append(range(place, place + span))
    return changed, found


def z_scores(values: np.ndarray, season: int) -> np.ndarray:
    """Residuals of a seasonal decomposition in their standard deviations."""
    filled = np.where(np.isfinite(values), values, np.nanmean(values))
    width = season if season == 24 else 31
    kernel = np.ones(width) / width
    level = np.convolve(np.pad(filled, width, mode="edge"), kernel, "same")[width:-width]
    away = filled - level
    place = np.arange(len(values)) % season
    first = int(LEARNT * len(values))
    means = np.array([away[:first][place[:first] == each].mean() for each in range(season)])
    left = away - means[place]
    return np.asarray(left / left[:first].std())


def frame(times: np.ndarray, values: np.ndarray) -> Any:
    import polars as pl

    return pl.DataFrame({"time": times.astype("datetime64[ns]"), "y": values})


def share_found(flags: np.ndarray, places: list[range]) -> float:
    return float(np.mean([flags[list(each)].any() for each in places]))


def measure(name: str, seed: int, budget: str, rate: float) -> list[dict[str, Any]]:
    """Rows of one set and seed."""
    times, values, season = read(name)
    first = int(LEARNT * len(values))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        output = str(Path(folder) / "run")
        rh.train(frame(times[:first], values[:first]), output=output, budget=budget, seed=seed)
        model, seconds = rh.load(output), time.monotonic() - began
    flags_of: dict[str, Any] = {}
    began = time.monotonic()
    plain = model.anomalies(frame(times, values), false_alarms=rate)
    scoring = time.monotonic() - began
    rest = np.arange(len(values)) >= first
    flags = (plain.values_NK | plain.windows_NK)[:, 0]
    false = float(flags[rest].mean())
    z = np.abs(z_scores(values, season))
    cut = float(stats.norm.isf(rate / 2))
    same = float(np.quantile(z[rest], 1 - max(false, 1 / rest.sum())))
    flags_of = {"normal": cut, "same": same}
    rows = []
    for kind in KINDS:
        for size in SIZES[kind]:
            changed, places = plant(values, kind, size, season, seed)
            found = model.anomalies(frame(times, changed), false_alarms=rate)
            z = np.abs(z_scores(changed, season))
            rows.append(
                {
                    "set": name,
                    "seed": seed,
                    "kind": kind,
                    "size": size,
                    "planted": len(places),
                    "rate": rate,
                    "model": share_found((found.values_NK | found.windows_NK)[:, 0], places),
                    "model values": share_found(found.values_NK[:, 0], places),
                    "model false": false,
                    **{f"z {each}": share_found(z > at, places) for each, at in flags_of.items()},
                    "z normal false": float((np.abs(z_scores(values, season)) > cut)[rest].mean()),
                    "training seconds": seconds,
                    "scoring seconds": scoring,
                }
            )
    return rows


def table(path: Path) -> None:
    """Medians over seeds."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = defaultdict(list)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        groups[row["set"], row["kind"], row["size"]].append(row)
    names = ("model", "model values", "z same", "z normal")
    print("| set | planted | size |", " | ".join(names), "| false alarms: model | z normal |")
    print("|---|---|---|", "---|" * (len(names) + 2), sep="")
    for (name, kind, size), rows in groups.items():
        middle = {
            each: statistics.median(row[each] for row in rows)
            for each in rows[0]
            if each not in ("set", "kind")
        }
        print(
            f"| {name} | {middle['planted']:.0f} x {kind} | {size:g} |",
            " | ".join(f"{middle[each]:.0%}" for each in names),
            f"| {middle['model false']:.2%} | {middle['z normal false']:.2%} |",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--budget", default="30s")
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table(options.out)
        return
    for name in SETS:
        for seed in range(options.seeds):
            with options.out.open("a") as file:
                for row in measure(name, seed, options.budget, options.rate):
                    print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
