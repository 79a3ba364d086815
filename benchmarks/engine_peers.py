"""How fast text is written, against loops of torch, onnxruntime, transformers and llama.cpp in environments of their own.

Run: python benchmarks/engine_peers.py [--peers /tmp/peers] [--seconds 1.0] [--only NAME ...] [--rows 1 64] [--threads 1 2]

benchmarks/peers/README.md says how the environments are made. All ways of a size are timed in turns, three times over, each
in a process of its own that waits while the others work; the medians are told, as a share of what the machine allows:
reading the weights once an element for one stream, making the products for many. Both limits are measured in the same
turns, on one core, and are taken twice for two. Sampling is counted in. Before anything is timed, the transformer's logits
are compared: transformers and llama.cpp must give ours from the same weights.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import statistics
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from generation import compiled_loop, memory_rate, product_rate, rate
from rhapsode.bundle import Component, IdBundle, Member, NetworkConfig, Predictor, StretchRequest
from rhapsode.bundle.network import build_network, network_arrays
from rhapsode.config import GenerateSettings
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.generation import Chain, Job, chain_of
from rhapsode.modalities.text.facts import TextFacts

HERE = Path(__file__).parent
TURNS = 3
WRITTEN = 256
HEADS = 6
LSTM_WAYS = {"onnxruntime": ("torch", "torch oneDNN", "onnxruntime", "onnxruntime LSTM")}
TRANSFORMER_WAYS = {
    "transformers": ("transformers", "transformers bf16"),
    "llama": ("llama.cpp f16", "llama.cpp q8_0"),
}
"""What the peers, each a script and an environment of that name, can time."""
ONE_ROW = ("llama",)
KINDS = ("float32", "bf16", "int8")


@dataclass(frozen=True)
class Size:
    """What is measured: embeddings as wide as the hidden layer, as the peers' figures have them."""

    model: str
    settings: dict[str, int]
    width: int
    vocab: int


SIZES = {
    "lstm 1 x 128, 65": Size("lstm.v1", {"hidden_size": 128}, 128, 65),
    "lstm 1 x 256, 65": Size("lstm.v1", {"hidden_size": 256}, 256, 65),
    "lstm 1 x 512, 65": Size("lstm.v1", {"hidden_size": 512}, 512, 65),
    "lstm 1 x 1024, 65": Size("lstm.v1", {"hidden_size": 1024}, 1024, 65),
    "lstm 2 x 512, 10,000": Size("lstm.v1", {"hidden_size": 512, "num_layers": 2}, 512, 10_000),
    "transformer 6 x 288, 32,000": Size(
        "transformer.v1",
        {"num_layers": 6, "num_heads": HEADS, "window": WRITTEN + 1},
        288,
        32_000,
    ),
}


def bundle_of(size: Size) -> IdBundle:
    """A network with fresh weights."""
    config = NetworkConfig(
        Component("table.v1", {"vocab_size": size.vocab, "embedding_size": size.width}),
        Component(size.model, dict(size.settings)),
        Component("categorical.v1", {"vocab_size": size.vocab, "bias": size.model == "lstm.v1"}),
    )
    letters = "".join(chr(0x4E00 + number) for number in range(size.vocab - 2))
    facts = TextFacts(np.ones(size.vocab, dtype=np.int64))
    network = build_network(config).eval()
    encoder = CharacterEncoder.learn([letters], {})
    return IdBundle(config, encoder, facts, (Member(network_arrays(network)),))


class Peer:
    """A process in another environment that times what it is asked to."""

    def __init__(self, python: Path, script: Path, weights: Path, asked: dict[str, object]) -> None:
        self._process = subprocess.Popen(
            [str(python), str(script), str(weights), json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ""},
            text=True,
        )

    def ask(self, way: str, seconds: float) -> float:
        """Elements a second; NaN where it could not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{way} {seconds}\n")
            self._process.stdin.flush()
            return float(self._process.stdout.readline())
        except (ValueError, OSError):
            return math.nan

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        one: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it may have ended long ago
            self._process.stdin.close()
        self._process.wait()


def texts_loop(predictor: Predictor, chain: Chain, rows: int) -> Iterator[int]:
    """Texts of so many elements, as those of the transformers."""
    seed = 0
    while True:
        seed += 1
        jobs = [Job(np.zeros(0, dtype=np.int64), row, WRITTEN) for row in range(rows)]
        found = predictor.stretches(StretchRequest(jobs, chain, seed, set()))
        assert found is not None
        yield from (len(one.elements) for one in found)


def agreement(bundle: IdBundle, weights: Path, peers: dict[str, Peer]) -> None:
    """The largest difference of logits from ours, over some ids."""
    ids_BT = np.random.default_rng(0).integers(3, bundle.encoder.vocab_size, size=(1, 48))
    np.save(weights.with_suffix(".ids.npy"), ids_BT)
    ours = compiled_predictor(bundle)
    state, found = ours.start(1), []
    for t in range(ids_BT.shape[1]):
        following, state = ours.advance(ids_BT[:, t : t + 1], state)
        found.append(following.logits_BV)
    ours_TV = np.concatenate(found)
    for name, peer in peers.items():
        peer.ask("logits", 0)
        path = weights.with_suffix(".logits.npy")
        if not path.exists():
            print(f"  {name}: no logits")
            continue
        theirs_TV = np.load(path)[0]
        path.unlink()
        apart = np.abs(ours_TV - theirs_TV).max()
        print(f"  {name}: logits within {apart:.1e} of ours, which span {np.ptp(ours_TV):.1f}")


def weights_of(bundle: IdBundle) -> int:
    """What must be read, or multiplied, for an element: all but the table an element is looked up in."""
    left = {name: array for name, array in bundle.arrays.items() if name != "input.weight"}
    left.pop("model.weight_ih_l0", None)  # in the table
    return sum(array.size for array in left.values() if array.ndim > 1)


def measure(  # noqa: PLR0917
    name: str, rows: int, threads: int, seconds: float, venvs: Path, folder: Path
) -> None:
    """The lines of one size."""
    size = SIZES[name]
    bundle = bundle_of(size)
    weights = folder / "weights.npz"
    np.savez(weights, **bundle.arrays)
    chain = chain_of(GenerateSettings(), vocab_size=size.vocab, suppressed=(0, 1))
    lstm = size.model == "lstm.v1"
    every: dict[str, tuple[str, ...]] = LSTM_WAYS if lstm else TRANSFORMER_WAYS
    ways = {peer: own for peer, own in every.items() if rows == 1 or peer not in ONE_ROW}
    asked = {"rows": rows, "threads": threads, "heads": HEADS, "written": WRITTEN}
    pythons = {peer: venvs / peer / "bin" / "python" for peer in ways}
    peers = {
        peer: Peer(python, HERE / "peers" / f"{peer}_loop.py", weights, asked)
        for peer, python in pythons.items()
        if python.exists()
    }
    print(
        f"\n{name}; {rows} row{'s' * (rows > 1)}, {threads} thread{'s' * (threads > 1)}", flush=True
    )
    if not lstm and rows == 1:
        agreement(bundle, weights, peers)
    ours = {kind: compiled_predictor(bundle, weights=kind, threads=threads) for kind in KINDS}
    loop = (
        (lambda p: compiled_loop(p, chain, rows))
        if lstm
        else (lambda p: texts_loop(p, chain, rows))
    )
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    found |= {way: [] for peer in peers for way in ways[peer]}
    count = weights_of(bundle)
    bits = {"float32": 32, "bf16": 16, "int8": 8.5}
    limits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(TURNS):
        for kind in KINDS:
            size_bytes = count * bits[kind] / 8
            limits[kind].append(
                threads * memory_rate(int(size_bytes / 4)) * 1e9 / size_bytes
                if rows == 1
                else threads * product_rate() * 1e9 / (2 * count)
            )
            found[kind].append(rate(loop(ours[kind]), seconds, rows))
        for peer, process in peers.items():
            for way in ways[peer]:
                found[way].append(process.ask(way, seconds))
    for process in peers.values():
        process.__exit__(None, None, None)
    middle = {
        way: math.nan if any(map(math.isnan, values)) else statistics.median(values)
        for way, values in found.items()
    }
    theirs = {
        way: value for way, value in middle.items() if way not in KINDS and not math.isnan(value)
    }
    exact = max((value for way, value in theirs.items() if "q8" not in way), default=0.0)
    for way, value in middle.items():
        told = f"  {way:<18} {value:>10,.0f}"
        if way in KINDS:
            share = value / statistics.median(limits[way])
            against = f", {value / exact:>5.2f} x the best peer" if exact else ""
            told += (
                f"   {share:>4.0%} of the limit{against}, {value / middle['float32']:.2f} x float32"
            )
            if way == "int8" and "llama.cpp q8_0" in theirs:
                told += f", {value / theirs['llama.cpp q8_0']:.2f} x llama.cpp q8_0"
        print(told, flush=True)
    missing = [peer for peer in ways if peer not in peers]
    if missing:
        print(f"  not there: {', '.join(missing)}")


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each timing")
    parser.add_argument("--only", nargs="*", default=list(SIZES))
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", message="TF32")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"one core: {product_rate():.0f} GFLOP/s float32; reading 1, 4, 16, 64 MB: ", end="")
    print(", ".join(f"{memory_rate(mb << 18):.0f}" for mb in (1, 4, 16, 64)), "GB/s")
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only:
            for rows in asked.rows:
                few = 16 if name.startswith("transformer") and rows > 16 else rows
                for threads in asked.threads:
                    measure(name, few, threads, asked.seconds, asked.peers, Path(folder))


if __name__ == "__main__":
    main()
