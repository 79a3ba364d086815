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


def anomalies(path: Path) -> None:
    """What `rhapsode evaluate --anomalies --plot` draws of an hourly series with three planted anomalies.

    They are a single value, a day at the level of its night, and a day whose wave comes six hours late.
    """
    import tempfile

    import numpy as np

    import rhapsode as rh

    random, hours = np.random.default_rng(4), np.arange(24 * 7 * 14)
    noise = random.normal(size=len(hours))
    for hour in hours[1:]:
        noise[hour] += 0.6 * noise[hour - 1]
    wave = 100 + 30 * np.sin(2 * np.pi * hours / 24) + 8 * np.sin(4 * np.pi * hours / 24)
    values = wave + 2 * noise
    last = len(hours) - 24 * 14  # two weeks are scored
    values[last + 92] += 20
    quiet = slice(last + 24 * 7, last + 24 * 8)
    values[quiet] = wave[quiet].min() + 2 * noise[quiet]
    late = slice(last + 24 * 11, last + 24 * 12)
    values[late] += wave[late.start - 6 : late.stop - 6] - wave[late]
    times = np.datetime64("2031-03-03T00", "h") + hours
    rows = [f"{time}:00,{value:.2f}\n" for time, value in zip(times, values, strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        learnt, later = Path(scratch, "learnt.csv"), Path(scratch, "later.csv")
        learnt.write_text("time,visitors\n" + "".join(rows[:last]))
        later.write_text("time,visitors\n" + "".join(rows[last - 24 * 3 :]))
        model = rh.train(str(learnt), output=f"{scratch}/run", steps=600, seed=0)
        model.anomalies(str(later)).plot(path)


def run(path: Path) -> None:
    """The curve of three minutes on tinyshakespeare, in two threads."""
    import shutil
    import tempfile

    import rhapsode as rh

    with tempfile.TemporaryDirectory() as scratch:
        model = rh.train("tinyshakespeare", output=f"{scratch}/tinyshakespeare", budget="3m")
        shutil.copy(model.folder / "curve.svg", path)


PICTURES: dict[str, Callable[[Path], None]] = {
    "anomalies.svg": anomalies,
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
