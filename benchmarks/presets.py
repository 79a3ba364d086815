"""The classics' presets against the default settings, at equal time, on the same normalised text.

    python benchmarks/presets.py OUT.jsonl [--budget 3m] [PRESET ...]

A preset's normalisation (small letters, no marks, no tags) is applied to the text first, so that both learn from and are
scored on the very same characters; what compares them is bits per character of the test share, unknown elements charged with
their spelling. One seed each, one after another: the machine must do nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from rhapsode.config import SourceSettings, dump_toml, from_mapping, read_settings
from rhapsode.encoding import ENCODERS
from rhapsode.modalities.text.reading import prepare_texts

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
SOURCES = {
    "nietzsche-char-lstm": "nietzsche/nietzsche.txt",
    "recipes-word-lstm": "recipes_epicurious/epicurious_recipes.json.gz",
    "chinese-word-rnn": "chinese_novels/红楼梦.txt",
    "imdb-transformer": "aclImdb_subset/aclImdb_subset.tar.gz",
}


def normalised(preset: dict[str, Any], source: str) -> list[str]:
    """The documents as the preset's encoder reads them."""
    settings = from_mapping(SourceSettings, preset.get("source", {}), where="source")
    store = prepare_texts([str(DATA / source)], settings).store
    documents = [store.text(document) for document in range(len(store))]
    entry = ENCODERS.get(ENCODERS.full_name(preset["encoding"]))
    encoder = entry.learn(documents[:50], preset.get("encoder", {}))
    steps = Tokenizer.from_str(encoder.to_tokenizer_json()).normalizer
    return documents if steps is None else [steps.normalize_str(text) for text in documents]


def train(asked: list[str]) -> dict[str, Any]:
    """The summary of a run."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "rhapsode", "train", *asked, "-o", f"{scratch}/run"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        summary: dict[str, Any] = json.loads(Path(scratch, "run", "summary.json").read_text())
        return summary


def compare(name: str, budget: str) -> dict[str, Any]:
    """Both runs of one preset."""
    preset = read_settings(name)
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch, "text.jsonl")
        lines = [json.dumps({"text": text}) for text in normalised(preset, SOURCES[name])]
        text.write_text("\n".join(lines) + "\n")
        own = {key: value for key, value in preset.items() if key not in ("source", "epochs")}
        config = Path(scratch, "preset.toml")
        config.write_text(dump_toml(own))
        both = [str(text), "--field", "text", "--budget", budget]
        classic = train([*both, "--config", str(config)])
        ours = train(both)
    return {
        "preset": name,
        "budget": budget,
        **{
            f"{who}_{key}": summary[key]
            for who, summary in (("classic", classic), ("ours", ours))
            for key in ("bits_per_character", "loss", "unknown_rate", "epochs", "seconds")
        },
        "ours_network": ours["network"]["bits_per_character"],
        "ours_model": ours["plan"]["network"],
    }


def main() -> None:
    out, *rest = sys.argv[1:]
    budget = "3m"
    if "--budget" in rest:
        place = rest.index("--budget")
        budget = rest[place + 1]
        del rest[place : place + 2]
    for name in rest or SOURCES:
        found = compare(name, budget)
        with Path(out).open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(
            f"| {name} | {found['classic_bits_per_character']:.4f} ({found['classic_epochs']:.1f} passes, "
            f"{found['classic_unknown_rate']:.2%} unknown) | **{found['ours_bits_per_character']:.4f}** "
            f"({found['ours_epochs']:.1f} passes) | {found['ours_network']:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
