"""Encoding throughput against the bare library on the same text, in one run, medians of three, alternating.

    python benchmarks/encoding.py corpus.txt chinese.txt

Subwords: `encoder.encode` against `tokenizers.Tokenizer.encode_batch_fast` over the lines of the same text, grouped as
the encoder groups them, both on all cores. jieba: one process against one a core, both with the dictionary loaded.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from rhapsode.data import Document
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.contract import line_chunks
from rhapsode.modalities.text import reading as processes

LEAST = 6_000_000
ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, taken in turn."""
    one(), other()
    pairs = [(seconds(one), seconds(other)) for _ in range(ROUNDS)]
    return tuple(statistics.median(column) for column in zip(*pairs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+")
    print("| text | encoding | MB | bare library, MB/s | ours, MB/s | share |")
    print("|---|---|---|---|---|---|")
    for name in parser.parse_args().texts:
        text = Path(name).read_text(encoding="utf-8").replace("\r\n", "\n")
        long = text * max(1, -(-LEAST // len(text.encode())))
        size = len(long.encode()) / 1e6
        for kind in ("bpe.v1", "wordpiece.v1"):
            encoder = ENCODERS.get(kind).learn([text], {})
            bare = Tokenizer.from_str(encoder.to_tokenizer_json())
            chunks = list(line_chunks(long))
            theirs, ours = compare(
                lambda bare=bare, chunks=chunks: [
                    found.ids
                    for at in range(0, len(chunks), 256)
                    for found in bare.encode_batch_fast(
                        chunks[at : at + 256], add_special_tokens=False
                    )
                ],
                lambda encoder=encoder, long=long: encoder.encode(long),
            )
            row = f"{size / theirs:.2f} | {size / ours:.2f} | {theirs / ours:.0%} |"
            print(f"| {Path(name).name} | {kind} | {size:.1f} | {row}", flush=True)
        if not any("\u4e00" <= character <= "\u9fff" for character in text[:10_000]):
            continue
        encoder = ENCODERS.get("jieba.v1").learn([text[:200_000]], {})
        pieces = [Document(part, "a") for part in line_chunks(text)]
        many = processes.encoded(encoder, len(text))
        assert many is not None, "one core only"
        alone, shared = compare(
            lambda encoder=encoder, pieces=pieces: [encoder.encode(p.text) for p in pieces],
            lambda many=many, pieces=pieces: list(many(iter(pieces))),
        )
        size = len(text.encode()) / 1e6
        row = f"{size / alone:.2f} (one process) | {size / shared:.2f} | {alone / shared:.2f} x |"
        print(
            f"| {Path(name).name} | jieba.v1, {processes.workers()} processes | {size:.1f} | {row}"
        )


if __name__ == "__main__":
    main()
