"""Synthetic series beside real ones: a model of rhapsode, DeepEcho's PAR and a block bootstrap, on three sets.

    python benchmarks/synthesis.py OUT.jsonl [--par PYTHON] [--budget 30s] [--seeds N] [--only SET ...]
    python benchmarks/synthesis.py OUT.jsonl --table

Half of the series of a set, drawn by the seed, is learnt from; the other half is held out. As many synthetic series as are
held out are compared with these. The row `real` compares the series that were learnt from with the held-out ones: no
method can be expected to be nearer. The figures, all smaller the better except the last one:

- marginal: Kolmogorov-Smirnov distance of all values, mean over the numbers.
- autocorrelation: mean absolute difference of the mean autocorrelations at lags 1 to 12.
- cross-correlation: the same of the correlations between numbers; none for a single number.
- context: Frechet distance of window features (mean, deviation, slope, range, autocorrelations, spectrum), in units of
  the deviations of held-out windows, divided by the number of features.
- discriminative: accuracy of a classifier of windows, less one half, on series that it was not fitted to.
- predictive: mean absolute error on held-out series of a next-step network fitted to the synthetic ones.
- nearer: share of synthetic windows that are nearer to a window learnt from than to a held-out one. 50 % is clean, more
  tells of copies.
- length: Kolmogorov-Smirnov distance of the lengths of series.

Windows have 24 steps (or 12 where series are short) and are taken in units of each number's deviation over the series
learnt from.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg, stats

import rhapsode as rh
from rhapsode.data.tables import read_series
from rhapsode.data.tables.settings import SeriesSettings

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data")) / "timeseries"
FIGURES = (
    "marginal",
    "autocorrelation",
    "cross-correlation",
    "context",
    "discriminative",
    "predictive",
    "nearer",
    "length",
)
MOST_WINDOWS = 2_000
LAGS = 12
BLOCK = 8

Series = list[np.ndarray]


def waves() -> Series:
    """Two coupled waves and noise, of 40 to 100 steps: a known truth of unequal lengths."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(200):
        length, phase = int(random.integers(40, 101)), random.uniform(0, 2 * np.pi)
        speed, size = random.uniform(0.3, 0.6), random.uniform(0.5, 1.5)
        steps = np.arange(length) * speed + phase
        noise = 0.1 * random.normal(size=(length, 2))
        made.append(size * np.stack((np.sin(steps), np.sin(steps + 0.8)), axis=1) + noise)
    return made


def tourism() -> Series:
    """Quarterly trips of regions of Australia, 80 steps each; the last year of some is cut off."""
    given = read_series(DATA / "tourism_long.csv", SeriesSettings(value_columns=("Trips",)))
    return [given.values_NK[given.rows(number)][: 80 - number % 20] for number in range(len(given))]


def days() -> Series:
    """Two measurements of an electricity transformer by the hour, two days a series."""
    given = read_series(
        DATA / "ETTh1.csv", SeriesSettings(value_columns=("HUFL", "OT"), joint=True)
    )
    values = given.values_NK[: len(given.times_N) // 48 * 48]
    return list(values.reshape(-1, 48, 2))


SETS: dict[str, tuple[Callable[[], Series], int]] = {
    "waves": (waves, 24),
    "tourism": (tourism, 12),
    "transformer": (days, 24),
}


def windows(series: Series, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows (W, size, K) that do not overlap by more than half, and the series of each."""
    found = [
        (number, one[first : first + size])
        for number, one in enumerate(series)
        for first in range(0, len(one) - size + 1, size // 2)
    ]
    chosen = np.random.default_rng(seed).permutation(len(found))[:MOST_WINDOWS]
    owners = np.array([found[place][0] for place in chosen])
    return np.stack([found[place][1] for place in chosen]), owners


def autocorrelations(series: Series) -> np.ndarray:
    """Mean autocorrelations (LAGS, K) of series."""
    rows = []
    for one in series:
        away = one - one.mean(axis=0)
        variance = np.square(away).mean(axis=0)
        if len(one) > LAGS + 2 and (variance > 0).all():
            rows.append(
                [(away[lag:] * away[:-lag]).mean(axis=0) / variance for lag in range(1, LAGS + 1)]
            )
    return np.mean(rows, axis=0)


def correlations(series: Series) -> np.ndarray:
    """Mean correlations between the numbers of series, those above the diagonal."""
    upper = np.triu_indices(series[0].shape[1], 1)
    found = [
        np.corrcoef(one.T)[upper] for one in series if len(one) > 3 and (one.std(axis=0) > 0).all()
    ]
    return np.mean(found, axis=0)


def features(parts: np.ndarray) -> np.ndarray:
    """Features (W, F) of windows (W, T, K)."""
    time_T = np.linspace(-1, 1, parts.shape[1])
    away = parts - parts.mean(axis=1, keepdims=True)
    deviation = away.std(axis=1)
    held = np.maximum(deviation, 1e-6)
    columns = [
        parts.mean(axis=1),
        np.log(held),
        (away * time_T[:, None]).mean(axis=1),
        np.ptp(parts, axis=1),
    ]
    columns += [(away[:, lag:] * away[:, :-lag]).mean(axis=1) / held**2 for lag in (1, 2, 4)]
    power = np.abs(np.fft.rfft(away / held[:, None], axis=1)) ** 2 / parts.shape[1]
    columns += [np.log1p(power[:, place]) for place in (1, 2, 3, 5)]
    return np.concatenate(columns, axis=1)


def frechet(real: np.ndarray, made: np.ndarray) -> float:
    """Frechet distance of features, in units of the deviations of the real ones, per feature."""
    middle, width = real.mean(axis=0), real.std(axis=0) + 1e-9
    one, other = (real - middle) / width, (made - middle) / width
    covariances = np.cov(one.T), np.cov(other.T)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    apart = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    return float((apart + np.trace(covariances[0] + covariances[1] - 2 * root)) / real.shape[1])


def network(size: int, seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(size, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 1),
    )


def fit(model: torch.nn.Module, x: np.ndarray, y: np.ndarray, loss: Any, seed: int) -> None:
    """400 updates of 128 rows."""
    inputs, targets = (torch.tensor(each, dtype=torch.float32) for each in (x, y))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    random = torch.Generator().manual_seed(seed)
    for _ in range(400):
        rows = torch.randint(len(inputs), (128,), generator=random)
        optimiser.zero_grad()
        loss(model(inputs[rows])[:, 0], targets[rows]).backward()
        optimiser.step()


def discriminative(
    real: tuple[np.ndarray, np.ndarray], made: tuple[np.ndarray, np.ndarray], seed: int
) -> float:
    """Accuracy less one half of a classifier, on windows of series that it was not fitted to."""
    fitted, tested = [], []
    for label, (parts, owners) in enumerate((real, made)):
        x = np.concatenate(
            (parts.reshape(len(parts), -1), np.diff(parts, axis=1).reshape(len(parts), -1)), axis=1
        )
        half = owners % 2 == 0
        fitted.append((x[half], np.full(half.sum(), label)))
        tested.append((x[~half], np.full((~half).sum(), label)))
    x, y = (np.concatenate(each) for each in zip(*fitted, strict=True))
    model = network(x.shape[1], seed)
    fit(model, x, y, torch.nn.functional.binary_cross_entropy_with_logits, seed)
    rates = []
    with torch.no_grad():
        for inputs, labels in tested:
            said = model(torch.tensor(inputs, dtype=torch.float32))[:, 0].numpy() > 0
            rates.append(float((said == labels).mean()))
    return abs(statistics.mean(rates) - 0.5)  # each kind counts alike


def predictive(real: np.ndarray, made: np.ndarray, seed: int) -> float:
    """Mean absolute error on real windows of a next-step network fitted to synthetic ones."""
    errors = []
    for number in range(real.shape[2]):

        def rows(parts: np.ndarray, number: int = number) -> tuple[np.ndarray, np.ndarray]:
            return parts[:, :-1].reshape(len(parts), -1), parts[:, -1, number]

        model = network(rows(made)[0].shape[1], seed)
        fit(model, *rows(made), torch.nn.functional.l1_loss, seed)
        x, y = rows(real)
        with torch.no_grad():
            said = model(torch.tensor(x, dtype=torch.float32))[:, 0].numpy()
        errors.append(float(np.abs(said - y).mean()))
    return statistics.mean(errors)


def nearer(made: np.ndarray, learnt: np.ndarray, held: np.ndarray) -> float:
    """Share of synthetic windows nearer to one learnt from than to one held out, of as many."""
    count = min(len(learnt), len(held))

    def least(parts: np.ndarray) -> np.ndarray:
        flat, own = parts[:count].reshape(count, -1), made.reshape(len(made), -1)
        squares = np.square(own).sum(1)[:, None] - 2 * own @ flat.T + np.square(flat).sum(1)
        return np.asarray(squares.min(axis=1))

    one, other = least(learnt), least(held)
    return float((one < other).mean() + 0.5 * (one == other).mean())


def figures(
    made: Series, learnt: Series, held: Series, size: int, seed: int
) -> dict[str, float | None]:
    """All figures of synthetic series."""
    unit = np.concatenate(learnt).std(axis=0)
    made, learnt, held = ([one / unit for one in part] for part in (made, learnt, held))
    every = [np.concatenate(part) for part in (made, held)]
    width = held[0].shape[1]
    of_made, of_learnt, of_held = (windows(part, size, seed) for part in (made, learnt, held))
    apart = None
    if width > 1:
        apart = float(np.abs(correlations(made) - correlations(held)).mean())
    return {
        "marginal": statistics.mean(
            stats.ks_2samp(every[0][:, k], every[1][:, k]).statistic for k in range(width)
        ),
        "autocorrelation": float(np.abs(autocorrelations(made) - autocorrelations(held)).mean()),
        "cross-correlation": apart,
        "context": frechet(features(of_held[0]), features(of_made[0])),
        "discriminative": statistics.mean(discriminative(of_held, of_made, s) for s in range(3)),
        "predictive": statistics.mean(predictive(of_held[0], of_made[0], s) for s in range(3)),
        "nearer": nearer(of_made[0], of_learnt[0], of_held[0]),
        "length": float(
            stats.ks_2samp([len(one) for one in made], [len(one) for one in held]).statistic
        ),
    }


def bootstrap(learnt: Series, count: int, seed: int) -> Series:
    """Series of random blocks of one training series each, of its length."""
    random = np.random.default_rng(seed)
    made = []
    for number in random.integers(len(learnt), size=count):
        one = learnt[number]
        block = min(BLOCK, len(one))
        firsts = random.integers(len(one) - block + 1, size=-(-len(one) // block))
        made.append(np.concatenate([one[first : first + block] for first in firsts])[: len(one)])
    return made


def frame(series: Series) -> Any:
    import polars as pl

    rows = {
        "id": np.repeat(
            [f"s{number}" for number in range(len(series))], [len(one) for one in series]
        ),
        "step": np.concatenate([np.arange(len(one)) for one in series]),
    }
    values = np.concatenate(series)
    return pl.DataFrame({**rows, **{f"y{k}": values[:, k] for k in range(values.shape[1])}})


def of_rhapsode(learnt: Series, count: int, seed: int, budget: str) -> tuple[Series, float]:
    reading = {"joint": True, "id_column": ["id"], "time_column": ["step"]}
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "run")
        began = time.monotonic()
        rh.train(frame(learnt), output=output, budget=budget, seed=seed, series=reading)
        seconds = time.monotonic() - began
        made = rh.load(output).new_series(count=count, seed=seed)
    return [made.values_NK[made.rows(number)] for number in range(count)], seconds


def of_par(python: str, learnt: Series, count: int, seconds: float) -> tuple[Series, float, int]:
    with tempfile.TemporaryDirectory() as folder:
        task, out = Path(folder) / "task.npz", Path(folder) / "out.npz"
        values = np.concatenate(learnt)
        unit = values.std(axis=0)
        np.savez(task, values=values / unit, offsets=np.cumsum([0, *map(len, learnt)]))
        facts = json.dumps({"count": count, "seconds": seconds})
        script = str(HERE / "peers" / "deepecho_series.py")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([python, script, str(task), facts, str(out)], check=True, env=environment)
        found = np.load(out)
        made = [found["values"][a:b] * unit for a, b in itertools.pairwise(found["offsets"])]
        return made, float(found["seconds"]), int(found["epochs"])


def measure(name: str, seed: int, budget: str, par: str | None) -> list[dict[str, Any]]:
    """Rows of one set and seed."""
    read, size = SETS[name]
    series = read()
    order = np.random.default_rng(seed).permutation(len(series))
    learnt, held = ([series[place] for place in order[start::2]] for start in (0, 1))
    count = len(held)
    made: dict[str, tuple[Series, float]] = {"real": (learnt, 0.0)}
    made["rhapsode"] = of_rhapsode(learnt, count, seed, budget)
    made["block bootstrap"] = (bootstrap(learnt, count, seed), 0.0)
    rows = []
    if par is not None:
        drawn, seconds, epochs = of_par(par, learnt, count, made["rhapsode"][1])
        made["DeepEcho PAR"] = (drawn, seconds)
        print(f"{name}: PAR {epochs} epochs in {seconds:.0f} s")
    for method, (drawn, seconds) in made.items():
        found = figures(drawn, learnt, held, size, seed)
        rows.append({"set": name, "seed": seed, "method": method, "seconds": seconds, **found})
    return rows


def table(path: Path) -> None:
    """Medians over seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        groups[row["set"], row["method"]].append(row)
    print("| set | method |", " | ".join(FIGURES), "| seconds |")
    print("|---|---|", "---|" * (len(FIGURES) + 1), sep="")
    for (name, method), rows in groups.items():
        cells = []
        for figure in (*FIGURES, "seconds"):
            values = [row[figure] for row in rows if row[figure] is not None]
            middle = statistics.median(values) if values else None
            text = (
                "-"
                if middle is None
                else f"{middle:.0%}"
                if figure == "nearer"
                else f"{middle:.3g}"
            )
            cells.append(text)
        print(f"| {name} | {method} |", " | ".join(cells), "|")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--par", help="Python of an environment with deepecho")
    parser.add_argument("--budget", default="30s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args(arguments)
    if options.table:
        table(options.out)
        return
    for seed in range(options.seeds):
        for name in options.only:
            with options.out.open("a") as file:
                for row in measure(name, seed, options.budget, options.par):
                    print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
