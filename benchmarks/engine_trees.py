"""How fast two trees of this package write on one core, in short turns beside each other.

Run: python benchmarks/engine_trees.py OTHER_TREE [--hidden-size 512] [--rows 1] [--starts 10] [--rounds 5]

OTHER_TREE is a checkout of another version; both run in this interpreter's environment, each with its own
`benchmarks/engine_peers.py`. A start makes a process for each tree on the same core, the two in alternating order; in it the
trees take turns of 0.3 s in the order ABBA. Printed are the medians over the starts, and the median of their ratios. One
process alone says little: where its pages lie in the caches moves it by a tenth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
KINDS = ("float32", "bf16", "int8")
SECONDS = 0.3


def work(tree: Path, hidden_size: int, rows: int) -> None:
    """Answer each line that names a kind of weights with the elements written in a second."""
    sys.path[:0] = [str(tree / "src"), str(tree / "benchmarks")]
    warnings.filterwarnings("ignore")
    torch, own = map(import_module, ("torch", "engine_peers"))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = own.Size("lstm.v1", {"hidden_size": hidden_size}, hidden_size, 65)
    bundle = own.bundle_of(size)
    chain = own.chain_of(own.GenerateSettings(), vocab_size=size.vocab, suppressed=(0, 1))
    predictors = {kind: own.compiled_predictor(bundle, weights=kind, threads=1) for kind in KINDS}
    for predictor in predictors.values():
        own.rate(own.compiled_loop(predictor, chain, rows), SECONDS)
    print("ready", flush=True)
    for line in sys.stdin:
        print(
            own.rate(own.compiled_loop(predictors[line.strip()], chain, rows), SECONDS), flush=True
        )


class Worker:
    """A process that writes with one tree."""

    def __init__(self, tree: Path, asked: argparse.Namespace) -> None:
        command = [sys.executable, __file__, str(tree), "--work"]
        command += ["--hidden-size", str(asked.hidden_size), "--rows", str(asked.rows)]
        if sys.platform == "linux":
            command = ["taskset", "-c", "1", *command]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise SystemExit(f"{tree} does not write")

    def rate(self, kind: str) -> float:
        """Elements a second with one kind of weights."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def main() -> None:
    """Measure, and print a line for each kind of weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("other", type=Path)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    other = asked.other.resolve()
    if asked.work:
        work(other, asked.hidden_size, asked.rows)
        return
    rates: dict[tuple[str, Path], list[float]] = {}
    for start in range(asked.starts):
        trees = (other, HERE) if start % 2 else (HERE, other)
        workers = {tree: Worker(tree, asked) for tree in trees}
        for kind in KINDS:
            found: dict[Path, list[float]] = {tree: [] for tree in trees}
            for turn in range(asked.rounds):
                for tree in trees if turn % 2 else trees[::-1]:
                    found[tree].append(workers[tree].rate(kind))
            for tree, values in found.items():
                rates.setdefault((kind, tree), []).append(median(values))
        for worker in workers.values():
            worker.end()
    for kind in KINDS:
        theirs, ours = rates[kind, other], rates[kind, HERE]
        ratios = [new / old for new, old in zip(ours, theirs, strict=True)]
        print(
            f"{kind:<8} other {median(theirs):>9,.0f}  this {median(ours):>9,.0f} elements/s  "
            f"{median(ours) / median(theirs):.3f}; each start {median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
