"""Every family for a minute on prose by characters and on `kitchen` by words, with what is planned for it.

    python benchmarks/families.py --budget 60s

One run after the other, nothing else on the machine; prints a table of losses on the test share.
"""

import argparse
import json
import tempfile
from pathlib import Path

import rhapsode

FAMILIES = ("lstm", "gru", "rnn", "tcn", "transformer", "transformer_classic")
TASKS = (("tinyshakespeare", "characters"), ("kitchen", "words"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    asked = parser.parse_args()
    print("| corpus | family | parameters | context | elements/s | loss (nats/element) |")
    print("|---|---|---|---|---|---|")
    for source, encoding in TASKS:
        for family in asked.families:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "run"
                rhapsode.train(
                    source,
                    output=str(folder),
                    budget=asked.budget,
                    model=family,
                    encoding=encoding,
                )
                figures = json.loads((folder / "summary.json").read_text())
                context = figures["protocol"]["context"]
            print(
                f"| {source}, {encoding} | {family} | {figures['parameters']:,} | {context} "
                f"| {figures['elements_per_second']:,.0f} | {figures['loss']:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
