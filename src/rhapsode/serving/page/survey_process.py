"""Facts of `rhapsode data info`, with the kind of view, as JSON.

`python -m rhapsode.serving.page.survey_process SOURCE` prints one object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from rhapsode.errors import RhapsodeError


def survey(source: str) -> dict[str, Any]:
    """Describe a source, with the view of its models as "kind".

    Raises:
        RhapsodeError: it cannot be read.
    """
    import rhapsode as rh
    from rhapsode.data import CATALOGUE

    found = rh.describe(source)
    paired = source in CATALOGUE and CATALOGUE[source].pairs
    kind = "pairs" if paired else found.modality.name.partition(".")[0]
    return {**found.to_mapping(), "kind": kind}


def main(source: str) -> int:
    """Print the facts of a source; its exit status."""
    try:
        facts = survey(source)
    except RhapsodeError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(json.dumps(facts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
