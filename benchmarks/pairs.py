"""Models of pairs on fixed tasks, in the time there is: error rates of answers on test parts.

    RHAPSODE_DATA=... python benchmarks/pairs.py --budget 3m --out runs/pairs-3m
    RHAPSODE_DATA=... python benchmarks/pairs.py --budget 10m --out runs/pairs-10m --seeds 0 1 2

Each case is trained by the command line with the default settings and evaluated once on its test part. Results are lines
of `results.jsonl` in the folder; a case that has one is not run again, so that an interrupted benchmark goes on.
`--report` prints the table. Cases: cmudict (spelling to phonemes, 11,994 test words), inflection in four languages (lemma
and features to form, 1,000 each), dates (generated, 10,000 new ones), copy, reverse and sort (letters, lengths 1 to 20 in
training, 1,000 tests of these lengths and 1,000 of length 40); dates-alone and cmudict-alone: the same pairs for a decoder
alone, `--prompt-field`, which reads the input as the beginning of its text (2,000 test inputs, greedy).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

import rhapsode as rh
from rhapsode.data.corpora.dates import date_pairs

LANGUAGES = ("finnish", "spanish", "turkish", "latin")
TOYS = ("copy", "reverse", "sort")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOY_PAIRS, TOY_TESTS, TRAINED_LENGTH, LONG = 20_000, 1000, 20, 40
# Pairs of these cases are divided by us; of the others the sources say what is tested.
ALONE = ["--prompt-field", "input", "--completion-field", "output", "--set", "data.split=documents"]
ALONE_TESTS = 2000
SPLIT = ("--set", "data.test_share=0.0", "--set", "data.validation_share=0.03")


def toy_pairs(kind: str, count: int, lengths: tuple[int, int], seed: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    answer = {"copy": lambda text: text, "reverse": lambda text: text[::-1]}.get(
        kind, lambda text: "".join(sorted(text))
    )
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        letters = random.integers(26, size=int(random.integers(lengths[0], lengths[1] + 1)))
        text = "".join(LETTERS[letter] for letter in letters)
        pairs[text] = answer(text)
    return list(pairs.items())


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    return path


def cases(folder: Path) -> Iterator[tuple[str, list[Path], dict[str, Path], list[str]]]:
    """Name, training files, test files by name, and flags of each case."""
    data = Path(os.environ["RHAPSODE_DATA"])
    words = data / "cmudict_g2p"
    spelled = [words / "train.tsv"], {"test": words / "test.tsv"}
    yield "cmudict", *spelled, []
    yield "cmudict-dot", *spelled, ["--set", "pairs.attention=dot"]
    for language in LANGUAGES:
        place = data / "inflection" / "conll2018"
        train, test = (place / f"{language}-{part}.tsv" for part in ("train-high", "test"))
        yield f"inflection-{language}", [train], {"test": test}, ["--pairs", "0+2:1"]
    both = date_pairs(30_000)
    train = write_pairs(folder / "dates.tsv", both[:20_000])
    dates = {"test": write_pairs(folder / "dates-test.tsv", both[20_000:])}
    yield "dates", [train], dates, []
    for name, file, tests in (
        ("dates", train, dates), ("cmudict", words / "train.tsv", {"test": words / "test.tsv"})
    ):  # fmt: skip
        headed = folder / f"{name}-headed.tsv"
        headed.write_text("input\toutput\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
        yield f"{name}-alone", [headed], tests, ALONE
    for kind in TOYS:
        lengths = (1, TRAINED_LENGTH)
        both = toy_pairs(kind, TOY_PAIRS + TOY_TESTS, lengths, seed=1)
        train = write_pairs(folder / f"{kind}.tsv", both[:TOY_PAIRS])
        tests = {
            "trained lengths": write_pairs(folder / f"{kind}-test.tsv", both[TOY_PAIRS:]),
            "twice the length": write_pairs(
                folder / f"{kind}-long.tsv", toy_pairs(kind, TOY_TESTS, (LONG, LONG), seed=2)
            ),
        }
        attentions = ("dot",) if kind == "sort" else ("dot", "location", "gaussian_window")
        for attention in attentions:
            yield f"{kind}-{attention}", [train], tests, ["--set", f"pairs.attention={attention}"]


def rhapsode(*words: str) -> str:
    command = [sys.executable, "-m", "rhapsode", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(
    name: str,
    train: list[Path],
    tests: dict[str, Path],
    flags: list[str],
    *,
    options: argparse.Namespace,
    seed: int,
) -> None:
    run = options.out / f"{name}-{seed}"
    limit = ["--steps", str(options.steps)] if options.steps else ["--budget", options.budget]
    resume = ["--resume"] if (run / "checkpoints").exists() else []
    sources = [] if resume else list(map(str, train))
    alone = flags is ALONE
    flags = flags if alone or "--pairs" in flags else ["--pairs", "0:1", *flags]
    further = [word for each in options.set for word in ("--set", each)]
    asked = [] if resume else [*SPLIT, *flags, *further, "--seed", str(seed)]
    rhapsode("train", *sources, "-o", str(run), *limit, *asked, *resume)
    summary = json.loads((run / "summary.json").read_text())
    for part, file in tests.items():
        for beams in [1] if alone else options.beams:
            began = time.monotonic()
            found = answers_alone(run, file) if alone else json.loads(
                rhapsode("evaluate", str(run), str(file), "--beams", str(beams), "--json")
            )  # fmt: skip
            names = ("error_rate", "symbol_error_rate", "inputs", "loss", "unfinished")
            entry = {
                "case": name, "seed": seed, "part": part, "beams": beams,
                "limit": limit[1], **{key: found.get(key) for key in names},
                "steps": summary["steps"], "elements_per_second": summary["elements_per_second"],
                "parameters": summary["parameters"],
                "evaluation_seconds": round(time.monotonic() - began, 1),
            }  # fmt: skip
            with (options.out / "results.jsonl").open("a", encoding="utf-8") as results:
                results.write(json.dumps(entry) + "\n")


def answers_alone(run: Path, file: Path) -> dict[str, float]:
    """The error rate of a model that goes on from an input."""
    known: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        text, answer = line.split("\t")
        known.setdefault(text, []).append(answer)
    inputs = list(known)[:: max(1, len(known) // ALONE_TESTS)]
    model = rh.load(run)
    wrong = 0
    for text in inputs:
        written = model.generate(text, temperature=0.0, length=100)
        wrong += written.partition("\n")[2] not in known[text]
    return {"error_rate": wrong / len(inputs), "inputs": len(inputs)}


def results(folder: Path) -> list[dict]:
    file = folder / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def report(folder: Path) -> None:
    print("| case | part | beams | seeds | error rate | symbol error rate | steps | parameters |")
    print("|---|---|---|---|---|---|---|---|")
    groups: dict[tuple, list[dict]] = {}
    for entry in results(folder):
        groups.setdefault((entry["case"], entry["part"], entry["beams"]), []).append(entry)
    for (case, part, beams), entries in groups.items():
        rates = [entry["error_rate"] for entry in entries]
        symbols = [entry["symbol_error_rate"] for entry in entries]
        symbol = "-" if None in symbols else f"{np.mean(symbols):.2%}"
        spread = f" ({min(rates):.2%} to {max(rates):.2%})" if len(rates) > 1 else ""
        print(f"| {case} | {part} | {beams} | {len(rates)} | {np.mean(rates):.2%}{spread} | "
              f"{symbol} | {entries[0]['steps']:,} | {entries[0]['parameters']:,} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--only", nargs="+", help="names of cases; * stands for the rest of a name")
    parser.add_argument("--set", action="append", default=[], help="section.key=value of train")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.report:
        report(options.out)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    done = {(entry["case"], entry["seed"]) for entry in results(options.out)}
    for name, train, tests, flags in cases(options.out / "data"):
        if options.only and not any(fnmatchcase(name, pattern) for pattern in options.only):
            continue
        for seed in options.seeds:
            if (name, seed) not in done:
                measure(name, train, tests, flags, options=options, seed=seed)
    report(options.out)


if __name__ == "__main__":
    main()
