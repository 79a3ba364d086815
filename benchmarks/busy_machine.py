"""What training, writing, evaluating and counting keep of their speed beside other busy programs.

    python benchmarks/busy_machine.py [--seconds 15] [--only training generation evaluation counting] [--turn 2]

Neighbours are processes of their own at the usual priority: one or two that count, one that multiplies matrices in vector
instructions, and one that works 0.3 s of each second. Training is measured with threads chosen while it runs and with each
fixed choice. All kinds take turns of `--turn` seconds in one process until each had `--seconds`, since a shared machine drifts.
The first column of a table is the quiet machine: see that it is.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch

from engine_peers import SIZES, bundle_of
from evaluation import network_of, store_of
from evaluation import ours as evaluation_seconds
from generation import compiled_loop
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import GenerateSettings, parse_context
from rhapsode.counts import best_ngram
from rhapsode.data import read_pieces
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.generation import chain_of
from rhapsode.training import matmul_rates, prepare_process
from rhapsode.training.threads.thread_choice import (
    ThreadMode,
    TrainingThreads,
    sharing_cores,
    thread_modes,
)
from train_share import our_loop

LOOP = "while True: pass"
VECTORS = (
    "import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
    "import numpy; a = numpy.ones((512, 512), dtype='f4')\nwhile True: a @ a"
)
BURSTS = (
    "import time\nwhile True:\n    end = time.monotonic() + 0.3\n"
    "    while time.monotonic() < end: pass\n    time.sleep(0.7)"
)
NEIGHBOURS: dict[str, Sequence[str]] = {
    "quiet": (),
    "one busy": (LOOP,),
    "two busy": (LOOP, LOOP),
    "vectors": (VECTORS,),
    "bursts": (BURSTS,),
}
CHOSEN = "training, chosen"
Rate = Callable[[float], float]


@contextmanager
def beside(programs: Sequence[str]) -> Iterator[None]:
    """Other processes that work while this lasts."""
    started = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    time.sleep(0.5 if started else 0.1)
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def training_rates(source: str) -> dict[str, Rate]:
    """Elements a second of updates, for so many seconds: threads chosen, and each fixed choice."""
    text = "".join(piece.text for piece in read_pieces([source]))
    encoder = CharacterEncoder.learn([text], {})
    most = torch.get_num_threads()
    ways: dict[str, Sequence[ThreadMode]] = {
        CHOSEN: thread_modes(most, counts=True),
        f"training, {most} threads, spin": [ThreadMode(most, spin=True)],
        f"training, {most} threads, sleep": [ThreadMode(most)],
        "training, 1 thread": [ThreadMode(1)],
    }

    def rate_of(modes: Sequence[ThreadMode]) -> Rate:
        threads = TrainingThreads(modes)
        steps = our_loop(encoder.encode(text), encoder.vocab_size, threads=threads)
        steps(3)

        def rate(seconds: float) -> float:
            began, count = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                steps(1)
                count += 1
            taken = time.perf_counter() - began
            threads.end()
            return count * 16 * 64 / taken

        return rate

    return {name: rate_of(modes) for name, modes in ways.items()}


def generation_rates() -> dict[str, Rate]:
    """Elements a second of 64 texts at once, with all cores."""
    size = SIZES["lstm 1 x 512, 65"]
    predictor = compiled_predictor(bundle_of(size), threads=torch.get_num_threads())
    chain = chain_of(GenerateSettings(), vocab_size=size.vocab, suppressed=(0, 1))

    def rate(seconds: float) -> float:
        began, count = time.perf_counter(), 0
        for elements in compiled_loop(predictor, chain, 64):
            count += elements
            if time.perf_counter() - began > seconds:
                break
        return count / (time.perf_counter() - began)

    rate(1.0)
    return {"generation, 64 rows": rate}


def evaluation_rates() -> dict[str, Rate]:
    """Elements a second of an evaluation; however long it is."""
    network = network_of("lstm", 512, 65)
    predictor = torch_predictor(network, 65, parse_context("carried"))
    folder = TemporaryDirectory()
    store = store_of(300_000, 65, Path(folder.name) / "store")

    def rate(_: float, kept: TemporaryDirectory[str] = folder) -> float:
        with sharing_cores():
            return 1 / evaluation_seconds(predictor, store)

    rate(1.0)
    return {"evaluation": rate}


def counting_rates(source: str) -> dict[str, Rate]:
    """Characters a second of counting and choosing an order."""
    text = "".join(piece.text for piece in read_pieces([source]))
    encoder = CharacterEncoder.learn([text], {})
    ids_N = encoder.encode(text)
    cut = len(ids_N) * 9 // 10

    def rate(_: float) -> float:
        began = time.perf_counter()
        best_ngram(ids_N[:cut], ids_N[cut:], vocab_size=encoder.vocab_size)
        return len(ids_N) / (time.perf_counter() - began)

    rate(1.0)
    return {"counting": rate}


def main() -> None:
    """Print a table for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="tinyshakespeare")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--turn", type=float, default=2.0)
    parser.add_argument("--only-beside", nargs="*", choices=NEIGHBOURS, default=tuple(NEIGHBOURS))
    kinds = ("training", "generation", "evaluation", "counting")
    parser.add_argument("--only", nargs="*", choices=kinds, default=kinds)
    asked = parser.parse_args()
    prepare_process()
    print(f"GFLOP/s: {matmul_rates()}", file=sys.stderr)
    rates: dict[str, Rate] = {}
    if "generation" in asked.only:
        rates |= generation_rates()
    if "evaluation" in asked.only:
        rates |= evaluation_rates()
    if "counting" in asked.only:
        rates |= counting_rates(asked.source)
    neighbours = asked.only_beside
    found: dict[tuple[str, str], float] = {}
    for neighbour in neighbours:
        # A new run beside each neighbour: its first choices count.
        ways = (training_rates(asked.source) if "training" in asked.only else {}) | rates
        turns: dict[str, list[float]] = {name: [] for name in ways}
        with beside(NEIGHBOURS[neighbour]):
            for _ in range(max(1, round(asked.seconds / asked.turn))):
                for name, rate in ways.items():
                    turns[name].append(rate(asked.turn))
        found |= {(name, neighbour): mean(each) for name, each in turns.items()}
    print("| elements/s (share of quiet) | " + " | ".join(neighbours) + " |")
    print("|---" * (len(neighbours) + 1) + "|")
    for name in turns:
        cells = [found[name, neighbour] for neighbour in neighbours]
        print(f"| {name} | " + " | ".join(f"{c:,.0f} ({c / cells[0]:.2f})" for c in cells) + " |")
    fixed = [name for name in turns if name.startswith("training") and name != CHOSEN]
    if fixed:
        shares = [found[CHOSEN, n] / max(found[one, n] for one in fixed) for n in neighbours]
        print("| share of the best fixed | " + " | ".join(f"{s:.2f}" for s in shares) + " |")


if __name__ == "__main__":
    main()
