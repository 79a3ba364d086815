"""What share of a bare loop's speed the training loop keeps.

The bare loop is embedding, LSTM, head, loss, backward, clipping and AdamW, written out with nothing else, at the shape
and in the precision in use. Both run in turns in one process; the figure is the median of the rounds' ratios.

    python benchmarks/train_share.py [--rounds 5] [--steps 120] [SOURCE]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rhapsode.bundle.network import build_network
from rhapsode.config import from_mapping
from rhapsode.data import CarriedStream, read_pieces
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.modalities.ids.components import network_config
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.training import LoopHooks, StepClock, TrainingLoop, matmul_rates, prepare_process
from rhapsode.training.threads.thread_choice import TrainingThreads

BATCH, WINDOW, EMBEDDING, HIDDEN, DROPOUT, RATE = 16, 64, 64, 512, 0.09, 3e-3


def bare_loop(ids_N: np.ndarray, vocabulary: int) -> Callable[[int], None]:
    """Steps of the bare loop."""
    table = nn.Embedding(vocabulary, EMBEDDING)
    lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
    head = nn.Linear(HIDDEN, vocabulary)
    parameters = [*table.parameters(), *lstm.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), fused=True)
    lanes_BN = torch.from_numpy(ids_N[: len(ids_N) // BATCH * BATCH].astype(np.int64)).view(
        BATCH, -1
    )
    state = None
    at = 0

    def steps(count: int) -> None:
        nonlocal state, at
        for _ in range(count):
            if at + WINDOW + 1 > lanes_BN.shape[1]:
                at = 0
            window = lanes_BN[:, at : at + WINDOW + 1]
            at += WINDOW
            with torch.autocast("cpu", torch.bfloat16):
                features, state = lstm(table(window[:, :-1]), state)
                logits = head(features)
                loss = functional.cross_entropy(
                    logits.flatten(0, 1).float(), window[:, 1:].flatten()
                )
            state = tuple(part.detach() for part in state)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()

    return steps


def our_loop(
    ids_N: np.ndarray, vocabulary: int, *, threads: TrainingThreads | None = None
) -> Callable[[int], None]:
    """Steps of the training loop, without evaluation, samples and files."""
    settings = from_mapping(
        TrainSettings,
        {
            "model": "lstm.v1",
            "network": {
                "embedding_size": EMBEDDING,
                "hidden_size": HIDDEN,
                "dropout": DROPOUT,
            },
            "training": {
                "batch_size": BATCH,
                "window": WINDOW,
                "learning_rate": RATE,
                "precision": "bfloat16",
                "averaging": 0.0,
                "evaluations": 1,
            },
        },
        where="benchmark",
    )
    loop = TrainingLoop(
        build_network(network_config(settings, vocabulary)),
        CarriedStream(ids_N, batch_size=BATCH, window=WINDOW),
        StepClock(10**9),
        settings.training,
        LoopHooks(evaluate=None, sample=tuple, keep_best=lambda step, loss: None),
        threads=threads,
    )
    events = loop.run()

    def steps(count: int) -> None:
        for _ in range(count):
            next(events)

    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="python-docs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    prepare_process()
    text = "".join(piece.text for piece in read_pieces([options.source]))
    encoder = CharacterEncoder.learn([text], {})
    ids_N = encoder.encode(text)
    torch.manual_seed(0)
    loops = {
        "bare": bare_loop(ids_N, encoder.vocab_size),
        "ours": our_loop(ids_N, encoder.vocab_size),
    }
    for steps in loops.values():
        steps(20)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, steps in loops.items():
            began = time.perf_counter()
            steps(options.steps)
            elements = options.steps * BATCH * WINDOW
            rates[name].append(elements / (time.perf_counter() - began))
    ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True)]
    machine = matmul_rates(2048)
    flops = 6 * (4 * HIDDEN * (HIDDEN + EMBEDDING) + HIDDEN * encoder.vocab_size)
    ours = statistics.median(rates["ours"])
    print(
        f"matrix product: {machine['float32']:.0f} GFLOP/s float32, {machine['bfloat16']:.0f} bfloat16"
    )
    for name, values in rates.items():
        print(
            f"{name}: {statistics.median(values):,.0f} elements/s  ({min(values):,.0f} to {max(values):,.0f})"
        )
    print(
        f"share of the bare loop: {statistics.median(ratios):.1%}  ({min(ratios):.1%} to {max(ratios):.1%})"
    )
    print(
        f"share of the bfloat16 matrix product rate: {ours * flops / machine['bfloat16'] / 1e9:.0%}"
    )


if __name__ == "__main__":
    main()
