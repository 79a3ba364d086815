"""How fast text is written on one core: the compiled engine against torch loops, and against what the machine allows.

Run: python benchmarks/generation.py [--seconds 1.0] [--vocabulary 65]

Every way of a size is timed in turns in one process, three times over; the medians are told. Sampling is counted in:
one uniform an element, inverted through the whole distribution. The limits are those of one core: how fast the weights
can be read for one stream, how fast float32 products can be made for many.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import cast

import numba
import numpy as np
import torch
from torch import nn

from rhapsode.bundle import Component, IdBundle, Member, NetworkConfig, Predictor, StretchRequest
from rhapsode.bundle.network import build_network, network_arrays
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.config import GenerateSettings
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.engine.kernels.tiles import PANEL, matmul
from rhapsode.generation import Chain, Job, chain_of, generate_elements
from rhapsode.modalities.text.facts import TextFacts

EMBEDDING = 64
TURNS = 3
LENGTH = 1 << 20
"""Elements that no run writes to the end."""

FAMILIES: dict[str, tuple[str, dict[str, object]]] = {
    "lstm 1 x 128": ("lstm.v1", {"hidden_size": 128}),
    "lstm 1 x 256": ("lstm.v1", {"hidden_size": 256}),
    "lstm 1 x 512": ("lstm.v1", {"hidden_size": 512}),
    "lstm 2 x 512": ("lstm.v1", {"hidden_size": 512, "num_layers": 2}),
    "gru 1 x 512": ("gru.v1", {"hidden_size": 512}),
    "rnn 2 x 512": ("rnn.v1", {"hidden_size": 512, "num_layers": 2}),
    "tcn 6 x 128": ("tcn.v1", {"hidden_size": 128}),
    "transformer 4 x 128": ("transformer.v1", {"num_layers": 4, "window": 256}),
}


@cache
def reading() -> Callable[..., None]:
    """The compiled product as Python may call it."""

    @numba.njit
    def read(y, w, depth, panels, x):
        matmul(y, 0, 0, w, 0, PANEL * depth, depth, panels, x, 0, 0, 1)

    return cast("Callable[..., None]", read)


def memory_rate(floats: int) -> float:
    """GB/s at which a core reads so many weights over and over, as a product with one row does."""
    read = reading()
    depth = 512
    panels = max(4, floats // (PANEL * depth))
    w = np.ones(panels * PANEL * depth, dtype=np.float32)
    y, x = np.zeros(panels * PANEL, dtype=np.float32), np.ones(depth, dtype=np.float32)
    best = 1e9
    for _ in range(40):
        began = time.perf_counter()
        read(y, w, depth, panels, x)
        best = min(best, time.perf_counter() - began)
    return w.nbytes / best / 1e9


def product_rate() -> float:
    """GFLOP/s of a float32 product on one core."""
    a = torch.randn(1024, 1024)
    best = 1e9
    for _ in range(10):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return 2 * 1024**3 / best / 1e9


def bundle_of(family: str, vocabulary: int) -> tuple[IdBundle, TorchPredictor]:
    """A network with fresh weights, as a file would hold it and as torch runs it."""
    name, settings = FAMILIES[family]
    width = 128 if name == "transformer.v1" else EMBEDDING
    config = NetworkConfig(
        Component("table.v1", {"vocab_size": vocabulary, "embedding_size": width}),
        Component(name, settings),
        Component("categorical.v1", {"vocab_size": vocabulary}),
    )
    network = build_network(config).eval()
    letters = "".join(chr(0x4E00 + number) for number in range(vocabulary - 2))
    facts = TextFacts(np.ones(vocabulary, dtype=np.int64))
    encoder = CharacterEncoder.learn([letters], {})
    bundle = IdBundle(config, encoder, facts, (Member(network_arrays(network)),))
    return bundle, TorchPredictor(network, vocabulary)


def jobs_of(rows: int) -> list[Job]:
    return [Job(np.zeros(0, dtype=np.int64), row, LENGTH) for row in range(rows)]


def compiled_loop(predictor: Predictor, chain: Chain, rows: int) -> Iterator[int]:
    """How many elements each piece of work gave."""
    found = predictor.stretches(StretchRequest(jobs_of(rows), chain, 0, set()))
    assert found is not None
    return (len(one.elements) for one in found)


def numpy_loop(predictor: TorchPredictor, chain: Chain, rows: int) -> Iterator[int]:
    """This package's loop over torch."""
    return (1 for _ in generate_elements(predictor, jobs_of(rows), chain, seed=0))


@torch.no_grad()
def eager_loop(bundle: IdBundle, rows: int, *, fused: bool) -> Iterator[int]:
    """The loop of a tutorial: nn.LSTM, nn.Linear, softmax, multinomial."""
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in bundle.arrays.items()}
    settings = bundle.config.model.settings
    layers, size = int(settings.get("num_layers", 1)), int(settings["hidden_size"])
    kind = {"lstm.v1": nn.LSTM, "gru.v1": nn.GRU, "rnn.v1": nn.RNN}[bundle.config.model.name]
    network = kind(EMBEDDING, size, layers, batch_first=True)
    own = {k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")}
    network.load_state_dict(own)
    table, weight, bias = (arrays[key] for key in ("input.weight", "head.weight", "head.bias"))
    elements_B1, state = torch.zeros(rows, 1, dtype=torch.int64), None
    with torch.backends.mkldnn.flags(enabled=fused):
        while True:
            y_B1H, state = network(table[elements_B1], state)
            share_BV = torch.softmax(nn.functional.linear(y_B1H[:, 0], weight, bias), dim=-1)
            elements_B1 = torch.multinomial(share_BV, 1)
            yield rows


def rate(loop: Iterator[int], seconds: float, pieces: int = 1) -> float:
    """Elements a second, the first calls left out.

    Whole calls are timed: the pieces of one come together, and a call of many rows may take longer than `seconds`.
    """
    for _ in islice(loop, -(-4 // pieces) * pieces):
        pass
    done, began, ended = 0, time.perf_counter(), 0.0
    while ended - began < seconds:
        done += sum(islice(loop, pieces))
        ended = time.perf_counter()
    return done / (ended - began)


def measure(family: str, vocabulary: int, rows: int, seconds: float) -> str:
    """One row of the table."""
    bundle, torchs = bundle_of(family, vocabulary)
    ours = compiled_predictor(bundle, threads=1)
    plain, usual = (
        chain_of(GenerateSettings(**asked), vocab_size=vocabulary, suppressed=(0, 1))
        for asked in ({}, {"temperature": 0.8, "top_k": 40, "top_p": 0.95})
    )
    ways: dict[str, Callable[[], Iterator[int]]] = {
        "compiled": lambda: compiled_loop(ours, plain, rows),
        "with filters": lambda: compiled_loop(ours, usual, rows),
        "numpy loop": lambda: numpy_loop(torchs, plain, rows),
    }
    if bundle.config.model.name in ("lstm.v1", "gru.v1", "rnn.v1"):
        ways["eager"] = lambda: eager_loop(bundle, rows, fused=False)
    if bundle.config.model.name == "lstm.v1":
        ways["eager oneDNN"] = lambda: eager_loop(bundle, rows, fused=True)
    # What must be read, or multiplied, for an element: all but the table that an element is looked up in.
    weights = sum(array.size for name, array in bundle.arrays.items() if name != "input.weight")
    if "eager" in ways:
        weights -= EMBEDDING * len(bundle.arrays["model.weight_ih_l0"])  # in the table
    found: dict[str, list[float]] = {name: [] for name in ways}
    limits: list[float] = []
    for _ in range(TURNS):
        # The limits in the same turns: a machine that is shared changes by the second.
        limits.append(
            memory_rate(weights) * 1e9 / (4 * weights)
            if rows == 1
            else product_rate() * 1e9 / (2 * weights)
        )
        for name, way in ways.items():
            found[name].append(
                rate(way(), seconds, rows if name.startswith(("comp", "with")) else 1)
            )
    middle = {name: statistics.median(values) for name, values in found.items()}
    others = [middle[name] for name in ("eager", "eager oneDNN", "numpy loop") if name in middle]
    return (
        f"{family:<20} {rows:>3} | "
        + " | ".join(f"{middle.get(name, float('nan')):>9,.0f}" for name in COLUMNS)
        + f" | {middle['compiled'] / max(others):>5.1f} | {middle['compiled'] / statistics.median(limits):>5.0%}"
    )


COLUMNS = ("compiled", "with filters", "numpy loop", "eager", "eager oneDNN")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each timing")
    parser.add_argument("--vocabulary", type=int, default=65)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", message="TF32")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    flops = product_rate()
    print(
        f"one core: {flops:.0f} GFLOP/s float32; reading 1 MB, 4 MB, 16 MB, 64 MB of weights: ",
        end="",
    )
    print(", ".join(f"{memory_rate(mb << 18):.0f}" for mb in (1, 4, 16, 64)), "GB/s")
    print(f"vocabulary {asked.vocabulary}; elements a second, medians of {TURNS}")
    print(
        f"{'':<20} {'B':>3} | "
        + " | ".join(f"{name[:9]:>9}" for name in COLUMNS)
        + " |  x   | of limit"
    )
    for rows in asked.rows:
        for family in asked.families:
            print(measure(family, asked.vocabulary, rows, asked.seconds), flush=True)


if __name__ == "__main__":
    main()
