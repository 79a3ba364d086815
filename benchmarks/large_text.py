"""A text of gigabytes: encoded, trained on, started again; peak memory of all processes.

    python benchmarks/large_text.py --gigabytes 2 --seed-text corpus.txt --folder /tmp/large

Writes one text (lines of the seed text in random order, with numbers that vary), trains on it with the defaults, and
starts a second time on what is cached. Memory is the sum over the process tree of proportional set sizes, five times a
second; pages of mapped files, which the system takes back when it needs them, are shown apart.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def write_text(path: Path, size: int, seed_text: str) -> None:
    lines = [line for line in Path(seed_text).read_text(encoding="utf-8").split("\n") if line]
    generator = np.random.default_rng(0)
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            order = generator.integers(len(lines), size=20_000)
            numbers = generator.integers(1, 10**6, size=20_000)
            part = "".join(
                f"{lines[line]} {number}\n" if number % 5 == 0 else f"{lines[line]}\n"
                for line, number in zip(order.tolist(), numbers.tolist(), strict=True)
            )
            file.write(part)
            written += len(part.encode())


def tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += tree(int(child))
        except OSError:
            continue
    return found


def memory(pid: int) -> tuple[int, int]:
    """Kilobytes of the tree: all, and without pages of files."""
    whole = anonymous = 0
    for each in tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        facts = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
        whole += int(facts["Pss"])
        anonymous += int(facts.get("Pss_Anon", 0)) + int(facts.get("Pss_Shmem", 0))
    return whole, anonymous


def run(arguments: list[str], environment: dict[str, str]) -> tuple[float, int, int]:
    """Seconds, and the peaks of `memory`."""
    began = time.monotonic()
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
    peak = peak_anonymous = 0
    while process.poll() is None:
        now, anonymous = memory(process.pid)
        peak, peak_anonymous = max(peak, now), max(peak_anonymous, anonymous)
        time.sleep(0.2)
    assert process.stderr is not None
    told = process.stderr.read()
    if process.returncode:
        sys.exit(told)
    return time.monotonic() - began, peak, peak_anonymous


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--seed-text", required=True)
    parser.add_argument("--folder", default="/tmp/rhapsode-large")
    parser.add_argument("--budget", default="8m")
    parser.add_argument("--encoding", default="auto")
    asked = parser.parse_args()
    folder = Path(asked.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = folder / "large.txt"
    write_text(text, int(asked.gigabytes * 1e9), asked.seed_text)
    time.sleep(3)
    environment = {**os.environ, "RHAPSODE_CACHE": str(folder / "cache")}
    for name, budget in (("first", asked.budget), ("second", "30s")):
        train = [sys.executable, "-m", "rhapsode", "train", str(text), "--budget", budget]
        train += ["--encoding", asked.encoding, "-o", str(folder / name)]
        took, peak, anonymous = run(train, environment)
        steps = [
            json.loads(line)
            for line in (folder / name / "metrics.jsonl").read_text().splitlines()
            if '"step"' in line
        ]
        first = next(line for line in steps if line["event"] == "step")
        summary = json.loads((folder / name / "summary.json").read_text())
        print(
            f"{name}: {took:.1f} s, first update after {first['elapsed']:.1f} s, {summary['steps']:,} updates, "
            f"loss {summary['loss']:.3f}; peak {peak / 1e6:.2f} GB, without pages of files {anonymous / 1e6:.2f} GB",
            flush=True,
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
