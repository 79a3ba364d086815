"""Two million elements in one call: how fast, and in how much memory, from beginning to end.

Run: python benchmarks/long_text.py MODEL [--length 2000000] [--weights int8] [--every 100000]

Runs `rhapsode generate MODEL --length N --min-length N` as a process of its own, reads what it prints as a pipe does, and tells for every
so many characters how many came a second and how much memory the process holds by then, and at its highest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path


def memory(process: int) -> tuple[float, float]:
    """MB that a process holds, and its most so far."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(found.get("VmRSS", 0)) / 1024, int(found.get("VmHWM", 0)) / 1024


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--length", type=int, default=2_000_000)
    parser.add_argument("--every", type=int, default=100_000)
    parser.add_argument("--weights", default="float32")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "rhapsode", "generate", asked.model, "--seed", "1"]
    command += ["--length", str(asked.length), "--min-length", str(asked.length)]
    command += ["--weights", asked.weights]
    print("characters | a second | MB now | MB at most")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        done, mark, began = 0, asked.every, time.perf_counter()
        while piece := process.stdout.read(4096):
            done += len(piece)
            if done >= mark:
                now = time.perf_counter()
                held, most = memory(process.pid)  # 0 where it has ended by then
                print(
                    f"{done:>10,} | {asked.every / (now - began):>8,.0f} | {held:>6.0f} | {most:>6.0f}",
                    flush=True,
                )
                mark, began = mark + asked.every, now
    print(f"{done:,} characters, exit {process.returncode}")


if __name__ == "__main__":
    main()
