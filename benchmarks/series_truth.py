"""Series whose truth is known: how many nats a model loses to the process itself, and whether its intervals hold.

    python benchmarks/series_truth.py [--only NAME ...] [--budget 1m] [--seed 0]

Each process is drawn anew, learnt with default settings, and its last tenth (2,400 values) is scored one step ahead, the values
before it known: the mean negative log-density of the model less that of the process, given the same past, and the share of
values inside the central 90 % intervals. One-step intervals of the right model hold independently of one another.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rhapsode.bundle.series_predictor import SeriesPredictor
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.workflows.series.corpus import histories_of
from rhapsode.workflows.series.training import train_series


@dataclass(frozen=True)
class Process:
    """Series, and what the process says of each of their values given those before it.

    Arguments:
        series: by name.
        nats: of every value, by name.
        settings: of training, where defaults would not be the question.
    """

    series: dict[str, np.ndarray]
    nats: dict[str, np.ndarray]
    settings: dict[str, object]


def normal_nats(x: np.ndarray, mean: np.ndarray | float, deviation: float) -> np.ndarray:
    return 0.5 * ((x - mean) / deviation) ** 2 + math.log(deviation) + 0.5 * math.log(2 * math.pi)


def ar2(random: np.random.Generator) -> Process:
    """y(t) = 1.2 y(t-1) - 0.5 y(t-2) + e(t), e standard normal."""
    noise = random.normal(size=24_200)
    y = np.zeros_like(noise)
    for t in range(2, len(y)):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + noise[t]
    return Process({"y": y[200:]}, {"y": normal_nats(noise[200:], 0.0, 1.0)}, {})


def regimes(random: np.random.Generator) -> Process:
    """Two hidden regimes, left with probability 0.02: normal about 0 with deviation 1, about 5 with 0.5."""
    hidden = np.cumsum(random.random(24_000) < 0.02) % 2
    y = np.where(hidden == 0, 0.0, 5.0) + np.where(hidden == 0, 1.0, 0.5) * random.normal(
        size=24_000
    )
    nats, belief = np.zeros(len(y)), np.array([0.5, 0.5])
    for t, value in enumerate(y):
        belief = belief @ np.array([[0.98, 0.02], [0.02, 0.98]])
        each = np.exp(-np.array([normal_nats(value, 0.0, 1.0), normal_nats(value, 5.0, 0.5)]))
        nats[t] = -math.log(float(belief @ each))
        belief = belief * each / (belief @ each)
    return Process({"y": y}, {"y": nats}, {"head": {"name": "gaussian_mixture"}})


def poisson(random: np.random.Generator) -> Process:
    """Counts about a daily wave of 20 to 60."""
    rate = 40 + 20 * np.sin(2 * np.pi * np.arange(24_000) / 24)
    y = random.poisson(rate).astype(float)
    logs = np.array([math.lgamma(value + 1) for value in y])
    return Process({"y": y}, {"y": rate - y * np.log(rate) + logs}, {"data": {"season": 24}})


def sine(random: np.random.Generator) -> Process:
    """Ten series of 2,400: 10 + 0.01 t + 3 sin(2 pi t / 24) + e(t), e of deviation 0.5."""
    series, nats = {}, {}
    t = np.arange(2_400)
    for number in range(10):
        noise = 0.5 * random.normal(size=len(t))
        series[f"s{number}"] = 10 + 0.01 * t + 3 * np.sin(2 * np.pi * t / 24) + noise
        nats[f"s{number}"] = normal_nats(noise, 0.0, 0.5)
    return Process(series, nats, {"data": {"season": 24}})


PROCESSES: dict[str, Callable[[np.random.Generator], Process]] = {
    "AR(2)": ar2,
    "regimes": regimes,
    "Poisson": poisson,
    "sine and trend": sine,
}


def covered(predictor: SeriesPredictor, given: SeriesSet, first: np.ndarray) -> float:
    """Share of values behind the first rows inside the central 90 % intervals one step ahead."""
    which = np.arange(len(given))
    state = predictor.start(histories_of(given, predictor.bundle.covariates, which, first))
    inside: list[bool] = []
    for step in range(int((given.lengths - first)[0])):
        values = given.values_NK[given.offsets[:-1] + first + step]
        targets, _ = state.paths.encode_next(values)
        parameters, memory = predictor.parameters(state)
        low, high = (predictor.head.quantile(parameters, level).numpy() for level in (0.05, 0.95))
        inside += ((targets >= low) & (targets <= high)).ravel().tolist()
        state.paths.push(values)
        state = type(state)(memory, state.paths)
    return float(np.mean(inside))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(PROCESSES))
    parser.add_argument("--budget", default="1m")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| process | model, nats a value | process | lost | 90 % intervals hold | values | head |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in arguments.only:
        process = PROCESSES[name](np.random.default_rng(arguments.seed + 100))
        with tempfile.TemporaryDirectory() as scratch:
            model = train_series(
                process.series, output=f"{scratch}/run", budget=arguments.budget, **process.settings
            )
            given = read_series(process.series)
            first = given.lengths - np.rint(0.1 * given.lengths).astype(np.int64)
            loss, points = model.loss(given, first)
            true = np.mean(
                np.concatenate([process.nats[i][n:] for i, n in zip(given.ids, first, strict=True)])
            )
            share = covered(model.predictor, given, first)
        head = model.bundle.config.head.name
        print(
            f"| {name} | {loss:.4f} | {true:.4f} | {loss - true:+.4f} | {share:.1%} | {points:,} | {head} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
