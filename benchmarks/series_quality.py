"""Forecasts beside GluonTS DeepAR, Darts RNNModel, seasonal naive, ETS, ARIMA and Theta, on the same histories.

    python benchmarks/series_quality.py OUT.jsonl [--peers FOLDER] [--only SET ...] [--ways WAY ...] [--seeds N]
                                               [--most SECONDS] [--epochs N]
    python benchmarks/series_quality.py OUT.jsonl --table

Every way learns once, with its own defaults, from what lies before the first origin, and then forecasts from every origin
with frozen weights and what came until then as history. `gluonts` and `darts` run in environments of their own below
FOLDER (benchmarks/peers/README.md says how they are made). All are scored by the same code: MASE with the season's naive
error of each history, fair CRPS, over all observed points together. Runs come one after another; seconds are of learning
alone, start-up and forecasts excluded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.evaluation import (
    forecast_figures,
    forecast_of_samples,
    score_forecast,
    seasonal_naive,
)
from rhapsode.evaluation.statistical_methods import statistical_forecast

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data")) / "timeseries"
SAMPLES = 200
STATISTICAL = ("ets", "arima", "theta")
WAYS = ("rhapsode", "gluonts", "darts", "seasonal naive", *STATISTICAL)
LONGEST_FIT = 2_000
"""Values that the statistical methods are fitted to, at most: the last ones."""


@dataclass(frozen=True)
class Set:
    """Series, and where they are forecast from.

    Arguments:
        read: makes the series.
        horizon: steps ahead.
        season: values to a season.
        origins: of every series, the last forecast ending with it.
        stride: steps from one to the next.
        frequency: as pandas names it.
    """

    read: Callable[[], SeriesSet]
    horizon: int
    season: int
    origins: int
    stride: int
    frequency: str


def _m4() -> SeriesSet:
    """Training rows with the test rows behind them."""
    rows = {}
    for part in ("train", "test"):
        given = read_series(str(DATA / f"m4_Hourly-{part}.csv"), SeriesSettings(frequency="hourly"))
        for series, name in enumerate(given.ids):
            values = given.values_NK[given.rows(series), 0]
            rows[name] = np.concatenate((rows.get(name, np.zeros(0)), values[np.isfinite(values)]))
    return read_series(rows)


SETS = {
    "AirPassengers": Set(lambda: read_series(str(DATA / "AirPassengers.csv")), 12, 12, 25, 1, "MS"),
    "ETTh1": Set(lambda: read_series(str(DATA / "ETTh1.csv")), 24, 24, 20, 72, "h"),
    "exchange rates": Set(
        lambda: read_series(str(DATA / "exchange_rate.txt.gz")), 30, 5, 5, 30, "B"
    ),
    "M4 hourly": Set(_m4, 48, 24, 1, 48, "h"),
    "tourism": Set(lambda: read_series(str(DATA / "tourism_long.csv")), 8, 4, 2, 8, "QS"),
}


def places(given: SeriesSet, one: Set) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series and history of every forecast, and the rows of each series before its first one."""
    first = given.lengths - one.horizon - (one.origins - 1) * one.stride
    which = np.repeat(np.arange(len(given)), one.origins)
    rows = (first[:, None] + np.arange(one.origins) * one.stride).ravel()
    return which, rows, first


def ours(given: SeriesSet, one: Set, seed: int, budget: str) -> tuple[np.ndarray, float]:
    """Paths (B, S, H), and seconds of learning."""
    from rhapsode.modalities.series.forecasting.drawn_forecasts import draw_forecasts
    from rhapsode.workflows.runs.run import train

    which, rows, first = places(given, one)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        model = train(
            given.cut(given.offsets[:-1], given.offsets[:-1] + first),
            output=f"{scratch}/run",
            budget=budget,
            seed=seed,
            data={"test_share": 0.0, "horizon": one.horizon, "season": one.season},
        )
        seconds = time.perf_counter() - began
        drawn, _ = draw_forecasts(
            model.predictor, given, which, rows, one.horizon, samples=SAMPLES, seed=seed
        )
        plan = json.loads(Path(scratch, "run", "summary.json").read_text())["plan"]
        print(f"    {'; '.join(plan['reasons'])}", flush=True)
    return drawn[..., 0], seconds


def peer(
    name: str,
    given: SeriesSet,
    one: Set,
    *,
    peers: Path,
    seed: int,
    most: float,
    epochs: int | None,
) -> tuple[np.ndarray, float]:
    """Paths (B, S, H) and seconds of learning, by a script in the peer's own environment."""
    which, rows, first = places(given, one)
    with tempfile.TemporaryDirectory() as scratch:
        task = Path(scratch, "task.npz")
        np.savez(
            task,
            values=given.values_NK[:, 0],
            offsets=given.offsets,
            which=which,
            rows=rows,
            first=first,
        )
        facts = {
            "horizon": one.horizon,
            "season": one.season,
            "frequency": one.frequency,
            "start": "2000-01-01"
            if given.kind != "time"
            else str(given.times_N[0].astype("datetime64[ns]")),
            "samples": SAMPLES,
            "seed": seed,
            "most_seconds": most,
            "epochs": epochs,
        }
        command = [str(peers / name / "bin" / "python"), str(HERE / "peers" / f"{name}_series.py"),
                   str(task), json.dumps(facts), f"{scratch}/out.npz"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found = np.load(f"{scratch}/out.npz")
        return found["samples"], float(found["seconds"])


def forecasts_of(way: str, given: SeriesSet, one: Set, paths: np.ndarray | None) -> list[Any]:
    """Scores of every forecast of one way."""
    which, rows, _ = places(given, one)
    scores = []
    for place, (series, count) in enumerate(zip(which, rows, strict=True)):
        values = given.values_NK[given.rows(int(series)), 0]
        history, actual = values[:count], values[count : count + one.horizon]
        if paths is not None:
            found = forecast_of_samples(paths[place])
        elif way == "seasonal naive":
            plain = seasonal_naive(history, one.horizon, one.season, samples=SAMPLES)
            found = forecast_of_samples(plain.samples_ST, plain.mean_T)
        else:
            found = statistical_forecast(way, history[-LONGEST_FIT:], one.horizon, one.season)
        scores.append(score_forecast(found, actual, history, one.season))
    return scores


def run(way: str, name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One way on one set with one seed."""
    one = SETS[name]
    given = one.read()
    paths, seconds = None, None
    if way == "rhapsode":
        paths, seconds = ours(given, one, seed, arguments.budget)
    elif way in ("gluonts", "darts"):
        paths, seconds = peer(
            way,
            given,
            one,
            peers=Path(arguments.peers),
            seed=seed,
            most=arguments.most,
            epochs=arguments.epochs,
        )
    began = time.perf_counter()
    figures = forecast_figures(forecasts_of(way, given, one, paths))
    return {
        "set": name,
        "way": way,
        "seed": seed,
        "mase": figures.mase,
        "crps": figures.crps,
        "smape": figures.smape,
        "wql": figures.weighted_quantile_loss,
        "coverage": figures.coverage[0.9],
        "points": figures.points,
        "seconds": seconds if seconds is not None else time.perf_counter() - began,
    }


def table(lines: list[dict[str, Any]]) -> None:
    """Medians over seeds, all seeds behind them."""
    print(
        "| set | way | MASE, median (seeds) | CRPS, median (seeds) | WQL | 90 % holds | seconds |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in SETS:
        for way in WAYS:
            own = [line for line in lines if (line["set"], line["way"]) == (name, way)]
            if not own:
                continue

            def cell(key: str, own: list[dict[str, Any]] = own) -> str:
                known = [line[key] for line in own if line[key] is not None]
                if not known:
                    return "-"
                all_ = f" ({' '.join(f'{v:.4g}' for v in known)})" if len(known) > 1 else ""
                return f"{statistics.median(known):.4g}{all_}"

            cover = statistics.median(line["coverage"] for line in own)
            wql = statistics.median(line["wql"] for line in own)
            seconds = statistics.median(line["seconds"] for line in own)
            print(
                f"| {name} | {way} | {cell('mase')} | {cell('crps')} | {wql:.4f} | {cover:.0%} | {seconds:.0f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--peers", default="/tmp/peers")
    parser.add_argument("--only", nargs="*", default=list(SETS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--most", type=float, default=600.0)
    parser.add_argument("--epochs", type=int, help="of peers, in place of their default")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path = Path(arguments.out)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if arguments.table:
        table(lines)
        return
    done = {(line["set"], line["way"], line["seed"]) for line in lines}
    for name in arguments.only:
        for way in arguments.ways:
            random = way in ("rhapsode", "gluonts", "darts")
            for seed in range(arguments.seeds if random else 1):
                if (name, way, seed) in done:
                    continue
                found = run(way, name, seed, arguments)
                with path.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                print(f"{name}, {way}, seed {seed}: MASE {found['mase']:.3f}, CRPS "
                      f"{found['crps'] or float('nan'):.4g}, {found['seconds']:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
