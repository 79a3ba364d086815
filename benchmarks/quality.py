"""How good a run is in the time it had: default settings, the test share swept once, beside what counting alone gives.

    python benchmarks/quality.py OUT.jsonl [CASE ...]      # runs what OUT.jsonl lacks; cases as below, all by default
                                           [--seeds 1 2]
    python benchmarks/quality.py OUT.jsonl --table         # prints it

Every run is `rhapsode train`, in a process of its own, one after another, seeds 0 to 2. Budgets rule, so the machine
must do nothing else meanwhile; a run's elements a second tell whether it did.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Arguments:
        name: what it is called.
        source: below the data folder.
        budget: as on the command line.
        flags: more of them.
        test: a file that is scored in place of the test share.
        unit: of the loss.
    """

    name: str
    source: str
    budget: str
    flags: tuple[str, ...] = ()
    test: str | None = None
    unit: str = "nats/character"


PTB = ("--encoding", "words", "--set", "encoder.split=whitespace", "--set", "data.test_share=0")
CASES = (
    *(
        Case(f"tinyshakespeare-{budget}", "tinyshakespeare/input.txt", budget)
        for budget in ("1m", "3m", "10m")
    ),
    Case("nietzsche-3m", "nietzsche/nietzsche.txt", "3m"),
    Case("hongloumeng-3m", "chinese_novels/红楼梦.txt", "3m"),
    Case(
        "ptb-10m",
        "ptb_word/ptb.train.txt.gz",
        "10m",
        PTB,
        "ptb_word/ptb.test.txt",
        "nats/word",
    ),
)


def rhapsode(*arguments: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "rhapsode", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


def run(case: Case, seed: int) -> dict[str, Any]:
    """One run and its figures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/run"
        source = str(DATA / case.source)
        asked = [source, "--budget", case.budget, *case.flags, "--seed", str(seed)]
        rhapsode("train", *asked, "-o", folder)
        summary = json.loads(Path(folder, "summary.json").read_text())
        figures = summary
        part = ["--split", "test"] if case.test is None else [str(DATA / case.test)]
        scored = json.loads(rhapsode("evaluate", folder, *part, "--adapt", "--json"))
        if case.test is not None:
            figures = scored
    network = figures.get("network") or {"loss": figures["loss"]}
    return {
        "case": case.name,
        "seed": seed,
        "command": f"rhapsode train {case.source} {' '.join(asked[1:])}",
        "loss": figures["loss"],
        "network": network["loss"],
        "adapting": scored["adapting"]["loss"],
        "elements": figures["elements"],
        "ngram": figures["baselines"]["ngram"],
        "uniform": figures["baselines"]["uniform"],
        "unigram": figures["baselines"]["unigram"],
        "validation": summary["validation_loss"],
        "weights": (summary.get("mixture") or {}).get("weights"),
        **{
            name: summary[name]
            for name in (
                "steps",
                "ended",
                "seconds",
                "elements_per_second",
                "epochs",
                "finishing_seconds",
                "parameters",
                "machine",
            )
        },
        "hidden": summary["plan"]["network"].get("hidden_size"),
        "dropout": summary["plan"]["network"].get("dropout"),
    }


def table(lines: list[dict[str, Any]]) -> None:
    """Medians, with every seed beside them."""
    print(
        "| | loss, median (seeds) | adapting | network alone | n-gram alone | uniform / unigram | seconds "
        "| elements/s | passes |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        own = sorted((each for each in lines if each["case"] == case.name), key=lambda e: e["seed"])
        if not own:
            continue

        def median(name: str, own: list[dict[str, Any]] = own) -> float:
            return statistics.median(each[name] for each in own)

        seeds = " ".join(f"{each['loss']:.4f}" for each in own)
        alone = " ".join(f"{each['network']:.4f}" for each in own)
        print(
            f"| {case.name} | **{median('loss'):.4f}** ({seeds}) | {median('adapting'):.4f} "
            f"| {median('network'):.4f} ({alone}) "
            f"| {own[0]['ngram']:.4f} | {own[0]['uniform']:.3f} / {own[0]['unigram']:.3f} "
            f"| {' '.join(format(each['seconds'], '.1f') for each in own)} "
            f"| {median('elements_per_second'):,.0f} | {median('epochs'):.1f} |"
        )


def main() -> None:
    out, *rest = sys.argv[1:]
    path = Path(out)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if rest == ["--table"]:
        table(lines)
        return
    seeds: tuple[int, ...] = SEEDS
    if "--seeds" in rest:
        at = rest.index("--seeds")
        rest, seeds = rest[:at], tuple(int(each) for each in rest[at + 1 :])
    done = {(each["case"], each["seed"]) for each in lines}
    wanted = [case for case in CASES if not rest or case.name in rest]
    for seed in seeds:
        for case in wanted:
            if (case.name, seed) in done:
                continue
            found = run(case, seed)
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(
                f"{case.name} seed {seed}: {found['loss']:.4f}, network {found['network']:.4f}, "
                f"n-gram {found['ngram']:.4f}; {found['seconds']:.1f} s, "
                f"{found['elements_per_second']:,.0f} elements/s",
                flush=True,
            )


if __name__ == "__main__":
    main()
