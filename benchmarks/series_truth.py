"""Series whose truth is known: how many nats a model loses to the process itself, and whether its intervals hold.

    python benchmarks/series_truth.py [--only NAME ...] [--budget 1m] [--seeds 0 1 2]

Each process is drawn anew for every seed, learnt with default settings, and its last tenth (2,400 values) is scored one step
ahead, the values before it known: the mean negative log-density of the model less that of the process, given the same past, and
the share of values inside the central 90 % intervals of the model and of the process itself. One-step intervals of the
right model hold independently of one another.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.modalities.series.corpus import SeriesPart
from rhapsode.modalities.series.forecasting.drawn_forecasts import state_after
from rhapsode.modalities.series.metrics import encode_part
from rhapsode.workflows.runs.run import train

Row = tuple[float, float, float, float, int, str]


@dataclass(frozen=True)
class Process:
    """Series, and what the process says of each of their values given those before it.

    Arguments:
        series: by name.
        nats: of every value, by name.
        inside: whether the process's own central 90 % interval holds, of every value, by name.
        settings: of training, where defaults would not be the question.
    """

    series: dict[str, np.ndarray]
    nats: dict[str, np.ndarray]
    inside: dict[str, np.ndarray]
    settings: dict[str, object]


def normal_nats(x: np.ndarray, mean: np.ndarray | float, deviation: float) -> np.ndarray:
    return 0.5 * ((x - mean) / deviation) ** 2 + math.log(deviation) + 0.5 * math.log(2 * math.pi)


def normal_below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_inside(x: np.ndarray, deviation: float) -> np.ndarray:
    return np.abs(x) < 1.6448536 * deviation


def ar2(random: np.random.Generator) -> Process:
    """y(t) = 1.2 y(t-1) - 0.5 y(t-2) + e(t), e standard normal."""
    noise = random.normal(size=24_200)
    y = np.zeros_like(noise)
    for t in range(2, len(y)):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + noise[t]
    noise = noise[200:]
    nats, inside = {"y": normal_nats(noise, 0.0, 1.0)}, {"y": normal_inside(noise, 1.0)}
    return Process({"y": y[200:]}, nats, inside, {})


def regimes(random: np.random.Generator) -> Process:
    """Two hidden regimes, left with probability 0.02: normal about 0 with deviation 1, about 5 with 0.5."""
    hidden = np.cumsum(random.random(24_000) < 0.02) % 2
    y = np.where(hidden == 0, 0.0, 5.0) + np.where(hidden == 0, 1.0, 0.5) * random.normal(
        size=24_000
    )
    nats, belief = np.zeros(len(y)), np.array([0.5, 0.5])
    inside = np.zeros(len(y), dtype=bool)
    for t, value in enumerate(y):
        belief = belief @ np.array([[0.98, 0.02], [0.02, 0.98]])
        each = np.exp(-np.array([normal_nats(value, 0.0, 1.0), normal_nats(value, 5.0, 0.5)]))
        nats[t] = -math.log(float(belief @ each))
        below = belief @ [normal_below(value), normal_below((value - 5) / 0.5)]
        inside[t] = 0.05 < below < 0.95
        belief = belief * each / (belief @ each)
    head = {"head": {"name": "gaussian_mixture"}}
    return Process({"y": y}, {"y": nats}, {"y": inside}, head)


def poisson_below(k: int, rate: float) -> float:
    return sum(math.exp(j * math.log(rate) - rate - math.lgamma(j + 1)) for j in range(k + 1))


def poisson(random: np.random.Generator) -> Process:
    """Counts about a daily wave of 20 to 60."""
    rate = 40 + 20 * np.sin(2 * np.pi * np.arange(24_000) / 24)
    y = random.poisson(rate).astype(float)
    logs = np.array([math.lgamma(value + 1) for value in y])
    nats = {"y": rate - y * np.log(rate) + logs}
    low, high = (
        np.array([next(k for k in range(200) if poisson_below(k, r) >= level) for r in rate[:24]])
        for level in (0.05, 0.95)
    )
    phase = np.arange(len(y)) % 24
    inside = {"y": (y >= low[phase]) & (y <= high[phase])}
    return Process({"y": y}, nats, inside, {"data": {"season": 24}})


def sine(random: np.random.Generator) -> Process:
    """Ten series of 2,400: 10 + 0.01 t + 3 sin(2 pi t / 24) + e(t), e of deviation 0.5."""
    series, nats, inside = {}, {}, {}
    t = np.arange(2_400)
    for number in range(10):
        noise = 0.5 * random.normal(size=len(t))
        series[f"s{number}"] = 10 + 0.01 * t + 3 * np.sin(2 * np.pi * t / 24) + noise
        nats[f"s{number}"] = normal_nats(noise, 0.0, 0.5)
        inside[f"s{number}"] = normal_inside(noise, 0.5)
    return Process(series, nats, inside, {"data": {"season": 24}})


PROCESSES: dict[str, Callable[[np.random.Generator], Process]] = {
    "AR(2)": ar2,
    "regimes": regimes,
    "Poisson": poisson,
    "sine and trend": sine,
}


def covered(predictor: ValuePredictor, given: SeriesSet, first: np.ndarray) -> float:
    """Share of values behind the first rows inside the central 90 % intervals one step ahead."""
    which = np.arange(len(given))
    state = state_after(predictor, given, which, first)
    unread = np.empty((len(given), 0, predictor.element_size))
    inside: list[bool] = []
    for step in range(int((given.lengths - first)[0])):
        values = given.values_NK[given.offsets[:-1] + first + step]
        following, state = predictor.advance(unread, state)
        targets, _ = state.paths.encode_next(values)
        low, high = (
            following.head.quantile(following.parameters_BP, level).numpy()
            for level in (0.05, 0.95)
        )
        inside += ((targets >= low) & (targets <= high)).ravel().tolist()
        unread = values[:, None]
    return float(np.mean(inside))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(PROCESSES))
    parser.add_argument("--budget", default="1m")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    arguments = parser.parse_args()
    print(
        "| process | seed | model, nats a value | process | lost | 90 % intervals hold | the process's own | values | head |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.only:
        rows = []
        for seed in arguments.seeds:
            row = measured(name, seed, arguments.budget)
            rows.append(row)
            show(name, str(seed), row)
        if len(rows) > 1:
            means = [float(np.mean([row[i] for row in rows])) for i in range(4)]
            loss, true, share, own = means
            show(name, "all", (loss, true, share, own, sum(row[4] for row in rows), rows[0][5]))


def measured(name: str, seed: int, budget: str) -> Row:
    """Nats of the model and of the process, how often the intervals of both hold, values, and the head."""
    process = PROCESSES[name](np.random.default_rng(seed + 100))
    with tempfile.TemporaryDirectory() as scratch:
        model = train(process.series, output=f"{scratch}/run", budget=budget, **process.settings)
        given = read_series(process.series)
        first = given.lengths - np.rint(0.1 * given.lengths).astype(np.int64)
        part = encode_part(model.bundle, SeriesPart(given, first, first, "the last tenth"))
        loss, points = part.loss(model.predictor, model.bundle.facts.warm_up), part.values
        share = covered(model.predictor, given, first)
    true, own = (
        float(np.mean(np.concatenate([of[i][n:] for i, n in zip(given.ids, first, strict=True)])))
        for of in (process.nats, process.inside)
    )
    return loss, true, share, own, points, model.bundle.config.head.name


def show(name: str, seed: str, row: Row) -> None:
    loss, true, share, own, points, head = row
    print(
        f"| {name} | {seed} | {loss:.4f} | {true:.4f} | {loss - true:+.4f} | {share:.1%} | {own:.1%} | {points:,} | {head} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
