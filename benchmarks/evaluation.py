"""What share of the bare forward pass evaluation keeps, and what memory a large vocabulary takes.

    python benchmarks/evaluation.py [--rounds 3] [--only speed|memory]

The bare pass is the same network on batches of the same shape, its head's logits, `log_softmax` and the targets'
entries, and nothing else. Both run in turns in one process; the figure is the median of the rounds' ratios. Batches that
lanes read only to warm up count for the bare pass alone, so that they show as a loss.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rhapsode.bundle import Predictor
from rhapsode.bundle.network import Network, build_network
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import from_mapping, parse_context
from rhapsode.data import Document, ElementStore, sweep_lanes, write_store
from rhapsode.evaluation import Protocol, evaluate_store
from rhapsode.modalities.ids.components import network_config
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.training import matmul_rates, prepare_process

PROTOCOL = Protocol("all", "nothing", "", "none", "its own")
CASES = (
    ("lstm", 512, 65, 150_000),
    ("lstm", 512, 65, 1_000_000),
    ("lstm", 256, 10_000, 200_000),
    ("transformer", 256, 65, 300_000),
)


def network_of(family: str, size: int, vocabulary: int) -> Network:
    """A network with random weights."""
    network = (
        {"embedding_size": 128, "hidden_size": size}
        if family == "lstm"
        else {"embedding_size": size, "num_layers": 4, "num_heads": 4}
    )
    settings = from_mapping(
        TrainSettings, {"model": f"{family}.v1", "network": network}, where="benchmark"
    )
    torch.manual_seed(0)
    return build_network(network_config(settings, vocabulary)).eval()


def store_of(elements: int, vocabulary: int, folder: Path) -> ElementStore:
    """Random elements."""
    ids_N = np.random.default_rng(0).integers(2, vocabulary, elements).astype(np.uint32)
    return write_store(
        folder, [Document("text", "x")], lambda _: ids_N, vocab_size=vocabulary, unknown_id=1
    )


@torch.no_grad()
def bare(network: Network, rows: int, window: int, vocabulary: int, elements: int) -> float:
    """Seconds of plain forward passes over so many elements."""
    inputs = torch.randint(2, vocabulary, (rows, window))
    targets = torch.randint(2, vocabulary, (rows, window))
    most = max(1, (1 << 24) // (rows * vocabulary))
    state = network.model.init_state(rows)
    total = 0.0
    began = time.perf_counter()
    for _ in range(max(1, elements // (rows * window))):
        y_BTH, state = network.model(network.input(inputs), state)
        for start in range(0, window, most):
            some = slice(start, start + most)
            log_prob_BTV = network.head(y_BTH[:, some]).log_softmax(-1)
            total -= float(log_prob_BTV.gather(-1, targets[:, some, None]).sum())
    assert np.isfinite(total)
    return (time.perf_counter() - began) / (max(1, elements // (rows * window)) * rows * window)


def ours(predictor: Predictor, store: ElementStore) -> float:
    """Seconds an element of an evaluation."""
    counts_V = np.ones(predictor.vocab_size, dtype=np.int64)
    began = time.perf_counter()
    evaluate_store(predictor, store, counts_V, PROTOCOL, parse_context("carried"))
    return (time.perf_counter() - began) / len(store)


def speed(rounds: int) -> None:
    """The share for every case."""
    print("| network | vocabulary | elements | rows | bare, elements/s | evaluation | share |")
    print("|---|---|---|---|---|---|---|")
    for family, size, vocabulary, elements in CASES:
        network = network_of(family, size, vocabulary)
        predictor = torch_predictor(network, vocabulary, parse_context("carried"))
        with tempfile.TemporaryDirectory() as folder:
            store = store_of(elements, vocabulary, Path(folder) / "store")
            rows = sweep_lanes(len(store))
            bare(network, rows, 512, vocabulary, elements // 8)
            found = [
                (bare(network, rows, 512, vocabulary, elements), ours(predictor, store))
                for _ in range(rounds)
            ]
        raw = statistics.median(one for one, _ in found)
        whole = statistics.median(one for _, one in found)
        share = statistics.median(one / other for one, other in found)
        print(
            f"| {family} {size} | {vocabulary:,} | {elements:,} | {rows} | {1 / raw:,.0f} | "
            f"{1 / whole:,.0f} | {share:.1%} |"
        )


def memory() -> None:
    """Ten megabytes of words, 50,000 kinds."""
    vocabulary, elements = 50_000, 2_000_000
    network = network_of("lstm", 64, vocabulary)
    context = parse_context("carried")
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(elements, vocabulary, Path(folder) / "store")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        predictor = torch_predictor(network, vocabulary, context)
        evaluate_store(predictor, store, np.ones(vocabulary, dtype=np.int64), PROTOCOL, context)
        seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{elements:,} elements of {vocabulary:,} kinds: {seconds:.0f} s, {elements / seconds:,.0f} elements/s; "
        f"peak {after:,.0f} MB, {before:,.0f} MB before"
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("speed", "memory"))
    asked = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {"speed": lambda: speed(asked.rounds), "memory": memory}
    prepare_process()
    print(f"machine: {matmul_rates()} GFLOP/s; torch {torch.__version__}", file=sys.stderr)
    for name, part in parts.items():
        if asked.only in (None, name):
            part()


if __name__ == "__main__":
    main()
