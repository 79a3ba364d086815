"""Sample paths a second beside GluonTS DeepAR: 1,000 paths of 48 steps for 100 series of M4 hourly.

    python benchmarks/series_speed.py [--peers FOLDER] [--rounds 3]

Both models have the shape of their defaults and are hardly trained, which changes nothing of the speed. Reading the histories is
counted in, starting and learning is not; medians of the rounds, two threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from rhapsode.modalities.series.forecasting.drawn_forecasts import draw_forecasts
from rhapsode.training import matmul_rates
from rhapsode.workflows.runs.run import train
from series_quality import HERE, SETS

SERIES, PATHS, STEPS = 100, 1_000, 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default="/tmp/peers")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    whole = SETS["M4 hourly"].read().select(np.arange(SERIES))
    rows = (
        np.array([int(np.isfinite(whole.values_NK[whole.rows(s), 0]).sum()) for s in range(SERIES)])
        - STEPS
    )
    which = np.arange(SERIES)
    with tempfile.TemporaryDirectory() as scratch:
        known = whole.cut(whole.offsets[:-1], whole.offsets[:-1] + rows)
        model = train(
            known,
            output=f"{scratch}/run",
            steps=30,
            data={"test_share": 0.0, "horizon": STEPS, "season": 24},
        )
        ours = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            draw_forecasts(model.predictor, whole, which, rows, STEPS, samples=PATHS, seed=0)
            ours.append(time.perf_counter() - began)
        np.savez(
            f"{scratch}/task.npz",
            values=whole.values_NK[:, 0],
            offsets=whole.offsets,
            which=which,
            rows=rows,
            first=rows,
        )
        facts = {"horizon": STEPS, "season": 24, "frequency": "h", "start": "2000-01-01", "samples": PATHS,
                 "seed": 0, "most_seconds": 600, "epochs": 1, "rounds": arguments.rounds}  # fmt: skip
        python = Path(arguments.peers, "gluonts", "bin", "python")
        command = [str(python), str(HERE / "peers" / "gluonts_series.py"), f"{scratch}/task.npz", json.dumps(facts),
                   f"{scratch}/out.npz"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        theirs = np.load(f"{scratch}/out.npz")["drawing"].tolist()
    drawn = SERIES * PATHS * STEPS
    print(f"machine: {matmul_rates()}")
    print("| | seconds | values a second |\n|---|---|---|")
    for name, taken in (("rhapsode", ours), ("GluonTS DeepAR", theirs)):
        middle = statistics.median(taken)
        print(
            f"| {name} | {middle:.2f} ({' '.join(f'{t:.2f}' for t in taken)}) | {drawn / middle:,.0f} |"
        )
    print(f"ratio: {statistics.median(theirs) / statistics.median(ours):.2f}")


if __name__ == "__main__":
    main()
