"""Convert the golden models from format version 1 of model files to version 2. It was run once.

python convert.py FOLDER...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file

MOST_INSIDE = 16 << 20
PROVENANCE = (
    *("data_sha256", "documents", "copies", "characters", "series", "values", "test_share"),
    *("validation_share", "selected_on", "settings", "ancestors", "step", "validation_loss"),
    *("test", "text_index", "rhapsode"),
)


def read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata and arrays of a safetensors file."""
    with safe_open(path, framework="np") as file:
        names = list(file.keys())
        return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}


def ngram_part(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Numbers and arrays of the n-gram counts beside a model, where they are small."""
    if not path.exists():
        return None
    metadata, arrays = read(path)
    if sum(array.nbytes for array in arrays.values()) > MOST_INSIDE:
        return None
    chosen = json.loads(metadata["chosen"])
    numbers = {**json.loads(metadata["facts"]), "chosen": [chosen["order"], chosen["smoothing"]]}
    return numbers, arrays


def convert(path: Path) -> None:
    """Rewrite one model file; counts beside it move inside."""
    metadata, arrays = read(path)
    if metadata.get("format") != "rhapsode" or metadata.get("format_version") != "1":
        return
    provenance = json.loads(metadata["provenance"])
    series = json.loads(metadata["series"]) if "series" in metadata else None
    counts = arrays.pop("corpus.counts", None)
    made = {f"network.0.{name}": array for name, array in arrays.items()}
    facts: dict[str, Any] = {}
    if series is None:
        made["counts.elements"] = counts
        beside = path.parent / "ngram.safetensors"
        part = ngram_part(beside)
        if part is not None:
            facts["ngram"] = part[0]
            made |= {f"counts.ngram.{name}": array for name, array in part[1].items()}
            beside.unlink()
    else:
        facts = {**series, "templates": provenance.get("keepsakes")}
    mixture = provenance.get("mixture")
    entries = {
        "network": json.loads(metadata["config"]),
        "members": [1.0],
        "encoder": json.loads(metadata["encoder"]),
        "facts": facts,
        "calibration": {} if mixture is None else {"mixture": mixture},
        "provenance": {
            name: provenance[name] for name in PROVENANCE if provenance.get(name) is not None
        },
    }
    head = {
        "format": "rhapsode",
        "format_version": "2",
        "modality": "text.v1" if series is None else "series.v1",
    }
    save_file(made, path, metadata=head | {name: json.dumps(v) for name, v in entries.items()})


for folder in sys.argv[1:]:
    for file in sorted(Path(folder).rglob("model.safetensors")):
        convert(file)
