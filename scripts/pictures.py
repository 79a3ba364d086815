"""Draws the pictures of the documentation into docs/pictures; --only NAME draws one of them.

They are made of our own and of public-domain data only, so that they may travel with the package.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"


def data_info_kitchen(path: Path) -> None:
    """What `rhapsode data info kitchen --plot` draws."""
    import rhapsode as rh

    rh.describe("kitchen").plot(path)


def forecast(path: Path) -> None:
    """What `rhapsode forecast --plot` draws of the last two years of `airline`, the years before known."""
    import tempfile
    from dataclasses import replace

    from rhapsode.data.tables import read_series
    from rhapsode.modalities.series.reports import write_chart
    from rhapsode.workflows.runs.run import train

    whole = read_series("airline")
    known = whole.cut(whole.offsets[:-1], whole.offsets[1:] - 24)
    with tempfile.TemporaryDirectory() as scratch:
        model = train(
            known, output=f"{scratch}/run", data={"test_share": 0.0, "horizon": 24}, steps=500
        )
        found = replace(model.forecast(known, horizon=24, samples=1000), given=whole)
    write_chart(path, found, title="Two years ahead, 1,000 paths", actual=whole)


def run(path: Path) -> None:
    """The curve of three minutes on tinyshakespeare, in two threads."""
    import shutil
    import tempfile

    import rhapsode as rh

    with tempfile.TemporaryDirectory() as scratch:
        model = rh.train("tinyshakespeare", output=f"{scratch}/tinyshakespeare", budget="3m")
        shutil.copy(model.folder / "curve.svg", path)


PICTURES: dict[str, Callable[[Path], None]] = {
    "data-info-kitchen.png": data_info_kitchen,
    "forecast.svg": forecast,
    "run.svg": run,
}


def main() -> int:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=sorted(PICTURES), help="draw this one")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        if arguments.only in (None, name):
            draw(FOLDER / name)
            sys.stdout.write(f"{FOLDER / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
