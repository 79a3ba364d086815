"""The stub of keywords is what the settings say."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "keyword_types.py"


def test_the_stub_is_up_to_date() -> None:
    script = runpy.run_path(str(SCRIPT))
    assert script["STUB"].read_text(encoding="utf-8") == script["stub"]()
