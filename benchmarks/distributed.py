"""Two processes of one thread against one process of two threads, at the same global batch.

    python benchmarks/distributed.py --steps 200

Each run is the plain command on the same text, the second under `torchrun`; they take turns, nothing else on the machine.
Prints elements a second over the steps (reading and finishing left out), medians of three, and their ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FAMILIES = {
    "lstm": ["--set", "network.hidden_size=512", "--set", "network.embedding_size=64"],
    "transformer": ["--set", "network.embedding_size=192", "--set", "network.num_layers=3"],
}


def speed(family: str, processes: int, steps: int, folder: Path) -> float:
    """Elements a second of one run."""
    launch = ["-m", "rhapsode"]
    if processes > 1:
        launch = [
            "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *launch,
        ]  # fmt: skip
    subprocess.run(
        [sys.executable, *launch, "train", "python-docs", "-o", str(folder), "--model", family,
         "--steps", str(steps), "--set", "training.batch_size=32", "--set", "training.window=64",
         "--set", "training.precision=float32", "--set", "training.evaluations=1",
         "--set", "samples.length=0", *FAMILIES[family]],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(2 // processes)},
    )  # fmt: skip
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [line for line in told if line["event"] == "step"]
    # The first steps set things up.
    first, last = kept[len(kept) // 5], kept[-1]
    return (last["elements"] - first["elements"]) / (last["elapsed"] - first["elapsed"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    asked = parser.parse_args()
    print("| family | 1 process x 2 threads | 2 processes x 1 thread | ratio |")
    print("|---|---|---|---|")
    for family in asked.families:
        found: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(asked.repeats):
            for processes, speeds in found.items():
                with tempfile.TemporaryDirectory() as scratch:
                    speeds.append(speed(family, processes, asked.steps, Path(scratch) / "run"))
        one, two = (statistics.median(speeds) for speeds in found.values())
        print(f"| {family} | {one:,.0f} | {two:,.0f} | {two / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
