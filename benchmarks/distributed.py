"""Two processes of one thread against one process of one or two threads, at the same global batch.

    python benchmarks/distributed.py --steps 200

Each run is the plain command on the same text, that of two processes under `torchrun`; they take turns, nothing else on
the machine. Prints milliseconds of an update (reading and finishing left out), medians of three; what summing gradients of that
size takes alone; the share of time in which rank 0 evaluates and the other waits; and what `torchrun` takes to start and end.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAMILIES = {
    "lstm": ["--set", "network.hidden_size=512", "--set", "network.embedding_size=64"],
    "transformer": ["--set", "network.embedding_size=192", "--set", "network.num_layers=3"],
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# Processes and threads of each.
WAYS = ((1, 2), (1, 1), (2, 1))


def environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def train(family: str, way: tuple[int, int], steps: int, folder: Path) -> tuple[float, float, int]:
    """Milliseconds of an update, the share of evaluations in the run, and parameters."""
    processes, threads = way
    launch = TORCHRUN if processes > 1 else [sys.executable]
    # A short text, which is soon read and counted: an update does not depend on its length.
    code = "".join(path.read_text() for path in sorted(Path(os.__file__).parent.glob("*.py")))
    (folder.parent / "code.txt").write_text(code[:300_000])
    subprocess.run(
        [*launch, "-m", "rhapsode", "train", str(folder.parent / "code.txt"), "-o", str(folder), "--model", family,
         "--steps", str(steps), "--set", "training.batch_size=32", "--set", "training.window=64",
         "--set", "training.precision=float32", "--set", "training.evaluations=4",
         "--set", "samples.length=0", *FAMILIES[family]],
        check=True,
        capture_output=True,
        env=environment(threads),
    )  # fmt: skip
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [line for line in told if line["event"] == "step"]
    gaps = [after["elapsed"] - before["elapsed"] for before, after in itertools.pairwise(kept)]
    # The first steps set things up; the median leaves evaluations out.
    update = statistics.median(gaps[len(gaps) // 5 :])
    summary = json.loads((folder / "summary.json").read_text())
    share = 1 - update * len(kept) / (told[-1]["elapsed"] - kept[0]["elapsed"] + update)
    return 1e3 * update, share, int(summary["parameters"])


def sum_alone(parameters: int) -> float:
    """Milliseconds in which two processes sum so many gradients, with nothing else to do."""
    worker = [str(Path(__file__)), "--sum", str(parameters)]
    done = subprocess.run(
        [*TORCHRUN, *worker], check=True, capture_output=True, text=True, env=environment(1)
    )
    return float(done.stdout)


def sum_here(parameters: int) -> None:
    """The same within one of the processes; the first prints it."""
    import torch

    from rhapsode.training import join_group

    group = join_group()
    weights = [torch.nn.Parameter(torch.zeros(parameters))]
    times = []
    for _ in range(30):
        began = time.perf_counter()
        group.sum_gradients(weights, 0.0)
        times.append(time.perf_counter() - began)
    if group.first:
        print(1e3 * statistics.median(times[5:]))


def start() -> float:
    """Seconds in which `torchrun` starts and ends two processes that do nothing."""
    began = time.perf_counter()
    subprocess.run(
        [*TORCHRUN, "--no-python", "true"], check=True, capture_output=True, env=environment(1)
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--sum", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sum is not None:
        sum_here(asked.sum)
        return
    print("| family | parameters | MB of gradients | "
          "1 x 2 threads, ms | 1 x 1, ms | 2 x 1, ms | sum alone, ms | speed of 2 x 1 to 1 x 2 | evaluating |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for family in asked.families:
        updates: dict[tuple[int, int], list[float]] = {way: [] for way in WAYS}
        for _ in range(asked.repeats):
            for way, times in updates.items():
                with tempfile.TemporaryDirectory() as scratch:
                    update, share, parameters = train(
                        family, way, asked.steps, Path(scratch) / "run"
                    )
                times.append(update)
        one, alone, two = (statistics.median(times) for times in updates.values())
        summed = statistics.median(sum_alone(parameters) for _ in range(asked.repeats))
        print(
            f"| {family} | {parameters:,} | {4 * parameters / 1e6:.1f} | {one:.0f} | {alone:.0f} | "
            f"{two:.0f} | {summed:.1f} | {one / two:.2f} | {share:.0%} |",
            flush=True,
        )
    print(f"torchrun starts and ends in {statistics.median(start() for _ in range(3)):.1f} s")


if __name__ == "__main__":
    main()
