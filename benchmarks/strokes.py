"""Drawings and handwriting: nats a point beside baselines, ends of drawings, distance to an oracle.

    RHAPSODE_DATA=../shared/data python benchmarks/strokes.py [--budgets 180 600] [--sets omniglot unipen lines]

Every run is kept in `runs/strokes-*`; a set and budget that is there already is not trained again, so
that the benchmark goes on where it was stopped. Figures are of the test splits, swept once, in nats a
point with noise of one step of the grid, ends of drawings included. Drawings are then made by every
model, and counted by how they end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

import rhapsode as rh
from rhapsode.data.corpora.pen_lines import ORACLE

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
SETS = {
    "omniglot": DATA / "strokes" / "omniglot_stroke3.ndjson.gz",
    "unipen": DATA / "unipen_lines" / "stroke3.ndjson.gz",
    "lines": "lines",
}
BARS = {("omniglot", 180): 9.0, ("omniglot", 600): 8.8, ("unipen", 180): 8.2, ("unipen", 600): 8.0}
DRAWN = 100


def train(name: str, seconds: int, folder: Path, options: dict[str, object]) -> None:
    """Train a set for a budget, unless it was done."""
    if not (folder / "summary.json").exists():
        rh.train(str(SETS[name]), budget=f"{seconds}s", output=str(folder), **options)


def row(name: str, seconds: int, folder: Path) -> str:
    """A line of the table."""
    summary = json.loads((folder / "summary.json").read_text())
    baselines = summary["baselines"]
    best = min(baselines[each] for each in ("gaussian", "linear", "ngram"))
    cells = [
        name,
        f"{seconds} s",
        f"{summary['loss']:.3f}",
        f"{summary['offset']:.3f} + {summary['pen']:.3f}",
        f"{summary['nats_per_sequence']:.0f}",
        f"{best:.3f}",
    ]
    if name == "lines":
        cells.append(f"{summary['loss'] - ORACLE:+.3f} to the oracle {ORACLE:.3f}")
    else:
        bar = BARS.get((name, seconds))
        cells.append(
            "" if bar is None else f"{'reached' if summary['loss'] <= bar else 'missed'}: {bar}"
        )
    return " | ".join(cells)


def drawings(folder: Path) -> str:
    """How drawings of a model end, and how fast they are made."""
    model = rh.load(str(folder))
    began = time.perf_counter()
    drawn = model.continuations("", count=DRAWN, seed=1)
    seconds = time.perf_counter() - began
    lengths = np.array([len(one.chosen) for one in drawn])
    ended = sum(one.finish_reason == "stop" for one in drawn)
    return (
        f"{ended}/{DRAWN} ended by the pen, {np.median(lengths):.0f} points at the median (data "
        f"{model.bundle.facts.usual}), {lengths.sum() / seconds:,.0f} points/s for {DRAWN} at once"
    )


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budgets", type=int, nargs="+", default=[180, 600])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    asked = parser.parse_args()
    options: dict[str, dict[str, object]] = {}
    for setting in asked.set:
        key, _, value = setting.partition("=")
        section, _, field = key.partition(".")
        options.setdefault(section, {})[field] = json.loads(value)
    print("set | budget | nats a point | offset + pen | a drawing | best baseline | bar")
    for name in asked.sets:
        for seconds in asked.budgets:
            folder = Path(asked.runs) / f"strokes-{name}-{seconds}"
            train(name, seconds, folder, dict(options))
            print(row(name, seconds, folder), flush=True)
            print(f"    {drawings(folder)}", flush=True)


if __name__ == "__main__":
    main()
