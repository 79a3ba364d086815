"""What counting takes and tells: n-gram models of real corpora, their losses, seconds and memory.

    RHAPSODE_DATA=folder python benchmarks/counting.py [--only words|characters|choice|large]

Learning and scoring are timed as medians of three, compiled code being there; a first pass over a short text compiles it
and is printed apart. Corpora are looked for in the folder that RHAPSODE_DATA names.
"""

import argparse
import gzip
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rhapsode.counts import SMOOTHINGS, NGramModel, best_ngram

DATA = Path(os.environ.get("RHAPSODE_DATA", "."))
PUBLISHED = 141


def characters(text: str) -> tuple[np.ndarray, int]:
    """Ids by order of code points, and how many there are."""
    points_N = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    kinds, ids_N = np.unique(points_N, return_inverse=True)
    wide = np.uint8 if len(kinds) <= 256 else np.uint16
    return ids_N.astype(wide), len(kinds)


def words() -> tuple[dict[str, list[list[int]]], int]:
    """Sentences of word ids by share; 0 ends a sentence."""
    folder = DATA / "ptb_word"
    texts = {
        "train": gzip.decompress((folder / "ptb.train.txt.gz").read_bytes()).decode(),
        "valid": (folder / "ptb.valid.txt").read_text(),
        "test": (folder / "ptb.test.txt").read_text(),
    }
    ids: dict[str, int] = {"\n": 0}
    shares = {
        share: [
            [ids.setdefault(word, len(ids)) for word in line.split()] + [0]
            for line in text.splitlines()
        ]
        for share, text in texts.items()
    }
    return shares, len(ids)


def joined(sentences: list[list[int]]) -> np.ndarray:
    return np.concatenate([np.array(sentence, dtype=np.uint16) for sentence in sentences])


def begins(sentences: list[list[int]]) -> np.ndarray:
    """Where sentences begin when they are joined."""
    lengths = np.array([len(sentence) for sentence in sentences])
    return np.cumsum(lengths) - lengths


def timed(work, rounds: int = 3):
    """The result and the median of the seconds."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return result, statistics.median(seconds)


def warm() -> None:
    began = time.perf_counter()
    random = np.random.default_rng(0)
    ids_N = random.integers(9, size=3000)
    best_ngram(ids_N, ids_N, 9, most_order=3, most_nodes=500)
    wide_N = random.integers(2**20, size=300)
    NGramModel.learn(wide_N, 2**20, order=8).log_prob(wide_N, [5])
    print(f"compiling, or reading what was compiled: {time.perf_counter() - began:.1f} s\n")


def megabytes(model: NGramModel) -> float:
    return sum(array.nbytes for array in model.to_arrays()[1].values()) / 1e6


def of_words() -> None:
    shares, vocab_size = words()
    train_N, test_N = joined(shares["train"]), joined(shares["test"])
    print(
        f"PTB words: {len(train_N):,} to learn, {len(test_N):,} to predict, {vocab_size:,} elements"
    )
    model, learning = timed(lambda: NGramModel.learn(train_N, vocab_size, order=6))
    print(
        f"  learning order 6: {learning:.2f} s, {len(model.trie):,} nodes, {megabytes(model):.0f} MB"
    )
    print("  perplexity, history carried through sentences:")
    for order in range(2, 7):
        told = [f"{s} {math.exp(model.view(order, s).loss(test_N)):.2f}" for s in SMOOTHINGS]
        print(f"    order {order}: {', '.join(told)}")
    starts, test_starts = begins(shares["train"]), begins(shares["test"])
    for told, opening in (
        ("behind an end of sentence that is not scored", 0),
        ("from nothing", None),
    ):
        model = NGramModel.learn(train_N, vocab_size, order=5, starts=starts, opening=opening)
        print(f"  perplexity, every sentence {told}:")
        for order in range(2, 6):
            views = [model.view(order, smoothing) for smoothing in SMOOTHINGS]
            losses = [f"{v.smoothing} {math.exp(v.loss(test_N, test_starts)):.2f}" for v in views]
            print(f"    order {order}: {', '.join(losses)}")
    print(f"  published for order 5, modified Kneser-Ney: {PUBLISHED}")
    print()


def of_characters() -> None:
    text = (DATA / "tinyshakespeare" / "input.txt").read_text()
    ids_N, vocab_size = characters(text)
    cut = len(ids_N) * 9 // 10
    train_N, test_N = ids_N[:cut], ids_N[cut:]
    print(
        f"tinyshakespeare: {len(train_N):,} to learn, {len(test_N):,} to predict, {vocab_size} elements"
    )
    for order in (4, 6):
        model, learning = timed(
            lambda order=order: NGramModel.learn(
                train_N, vocab_size, order=order, smoothing="absolute"
            )
        )
        loss, scoring = timed(lambda model=model: model.loss(test_N))
        print(
            f"  order {order} absolute: {loss:.4f} nats; kneser_ney {model.view(order, 'kneser_ney').loss(test_N):.4f}; "
            f"learning {learning:.3f} s ({len(train_N) / learning / 1e6:.1f} M elements/s), "
            f"scoring {scoring:.4f} s ({len(test_N) / scoring / 1e6:.1f} M elements/s), {len(model.trie):,} nodes"
        )
    print()


def choice() -> None:
    shakespeare = characters((DATA / "tinyshakespeare" / "input.txt").read_text())
    novel = characters((DATA / "chinese_novels" / "红楼梦.txt").read_text(encoding="utf-8"))
    shares, vocab_size = words()
    both_N = np.concatenate((joined(shares["train"]), joined(shares["test"])))
    cut = len(both_N) - len(joined(shares["test"]))
    corpora = {
        "tinyshakespeare": (*shakespeare, len(shakespeare[0]) * 9 // 10),
        "红楼梦": (*novel, len(novel[0]) * 9 // 10),
        "PTB words": (both_N, vocab_size, cut),
    }
    for name, (ids_N, size, end) in corpora.items():
        begin = end * 19 // 20
        (model, tried), seconds = timed(
            lambda ids_N=ids_N, size=size, begin=begin, end=end: best_ngram(
                ids_N[:begin], ids_N[begin:end], size
            )
        )
        best = min(one.loss for one in tried)
        print(
            f"{name}: order {model.order} {model.smoothing}, validation {best:.4f}, test {model.loss(ids_N[end:]):.4f} "
            f"nats ({len(ids_N) - end:,} predictions); {seconds:.2f} s to count {begin:,} and choose by {end - begin:,}"
        )
        for one in tried:
            print(f"    order {one.order} {one.smoothing}: {one.loss:.4f}")
    print()


def large_text(size: int) -> str:
    """Shakespeare's, reviews' and recipes' characters, as many as asked for."""
    import tarfile

    pieces, total = [(DATA / "tinyshakespeare" / "input.txt").read_text()], 0
    with tarfile.open(DATA / "aclImdb_subset" / "aclImdb_subset.tar.gz") as archive:
        for member in archive:
            if total > size:
                break
            if member.name.endswith(".txt"):
                stream = archive.extractfile(member)
                assert stream is not None
                pieces.append(stream.read().decode("utf-8"))
                total += len(pieces[-1])
    return "\n".join(pieces)[:size]


def peak() -> float:
    """Megabytes resident at the most since the last call."""
    facts = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    Path("/proc/self/clear_refs").write_text("5")
    return int(facts["VmHWM"].split()[0]) / 1e3


def large(path: str) -> None:
    """Count a large text in this process, which has done nothing else."""
    (vocab_size,) = json.loads(Path(path).with_suffix(".json").read_text())
    ids_N = np.load(path, mmap_mode="r")
    warm()
    peak()
    before = peak()
    began = time.perf_counter()
    model = NGramModel.learn(ids_N, vocab_size, order=6)
    learning = time.perf_counter() - began
    most = peak()
    began = time.perf_counter()
    model.log_prob(ids_N[: 1 << 20])
    scoring = time.perf_counter() - began
    began = time.perf_counter()
    model.view(6, "absolute")
    viewing = time.perf_counter() - began
    print(
        f"{len(ids_N) / 1e6:.1f} M characters of {vocab_size}, order 6: learning {learning:.2f} s, "
        f"{len(model.trie):,} nodes, {megabytes(model):.0f} MB of counts; another view {viewing:.2f} s; "
        f"scoring {(1 << 20) / scoring / 1e6:.1f} M elements/s; resident before {before:.0f} MB, peak {most:.0f} MB; "
        f"order {model.order}, {model.trie.once} sequences that occur once left out"
    )


def large_in_another_process() -> None:
    ids_N, vocab_size = characters(large_text(10_000_000))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids.npy"
        np.save(path, ids_N)
        path.with_suffix(".json").write_text(json.dumps([vocab_size]))
        subprocess.run([sys.executable, __file__, "--counted", str(path)], check=True)


PARTS = {
    "words": of_words,
    "characters": of_characters,
    "choice": choice,
    "large": large_in_another_process,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--counted", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.counted:
        large(asked.counted)
        return
    if asked.only != "large":
        warm()
    for name, part in PARTS.items():
        if asked.only in (None, name):
            part()


if __name__ == "__main__":
    main()
