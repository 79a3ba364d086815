"""What counts cost while writing: time an element by the network alone, with the counts, and adapting.

    rhapsode train corpus.txt -o runs/corpus
    python benchmarks/mixture_writing.py runs/corpus [--rounds 3]

The three write in turns in one process, on one core: 16 texts at once, and one alone. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"

import statistics
import time
from dataclasses import replace

import rhapsode as rh
from rhapsode.bundle import Calibration, Mixture

LENGTH = {16: 400, 1: 2000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    mixed = rh.load(asked.model)
    bundle = replace(
        mixed.bundle,
        facts=replace(mixed.bundle.facts, ngram=None),
        calibration=Calibration(Mixture(reason="the network alone is timed")),
    )
    alone = type(mixed)(mixed.path, bundle)
    ways = {
        "network alone": lambda seed, count: alone.generate("", **options(seed, count)),
        "with counts": lambda seed, count: mixed.generate("", **options(seed, count)),
        "adapting": lambda seed, count: mixed.generate("", adapt=True, **options(seed, count)),
    }

    def options(seed: int, count: int) -> dict[str, object]:
        return {"seed": seed, "count": count, "length": LENGTH[count], "threads": 1}

    print(f"{bundle.encoder.vocab_size:,} different elements")
    for count in LENGTH:
        for write in ways.values():
            write(99, count)  # compiled, caches warm
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for seed in range(asked.rounds):
            for way, write in ways.items():
                begin = time.perf_counter()
                written = write(seed, count)
                seconds = time.perf_counter() - begin
                texts = written if isinstance(written, list) else [written]
                elements = sum(len(text.elements) for text in texts)
                taken[way].append(1e6 * seconds / max(1, elements))
        for way, each in taken.items():
            print(f"{count:2d} at once, {way:13s} {statistics.median(each):8.1f} us an element")


if __name__ == "__main__":
    main()
