"""Draws the pictures of the documentation into docs/pictures; --only NAME draws one of them.

They are made of our own and of public-domain data only, so that they may travel with the package.
"""

import argparse
import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rhapsode.views.pictures.mixture_picture import Mark

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


def alignment(path: Path) -> None:
    """What `rhapsode evaluate --alignment` draws of three written dates."""
    import tempfile

    import rhapsode as rh

    dates = [
        ("Freitag, 19. Juni 2015", "2015-06-19"),
        ("7 de marzo de 1984", "1984-03-07"),
        ("11/23/2031", "2031-11-23"),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        model = rh.train("dates", output=f"{scratch}/run", steps=1200, seed=0)
        table = Path(scratch, "dates.tsv")
        table.write_text("".join(f"{one}\t{other}\n" for one, other in dates), encoding="utf-8")
        model.evaluate(str(table), pairs="0:1", alignment=str(path))


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


# From the part of tinyshakespeare that no model trains on, with the lines before it.
BEFORE = """\
Good morrow, Kate; for that's your name, I hear.

KATHARINA:
Well have you heard, but something hard of hearing:
They call me Katharina that do talk of me.

"""
PASSAGE = """\
PETRUCHIO:
You lie, in faith; for you are call'd plain Kate,
And bonny Kate and sometimes Kate the curst;
But Kate, the prettiest Kate in Christendom
Kate of Kate Hall, my super-dainty Kate,
"""
# The network alone is shown, too, so that it learns without the counts.
APART = {"beside_counts": "off"}
# Seconds of training.
BUDGETS = (5, 10, 20, 40, 80)


@functools.cache
def marks(*, adapt: bool = False) -> list["Mark"]:
    """The passage, as a model of forty seconds predicts it."""
    import rhapsode as rh
    from rhapsode.config import GenerateSettings
    from rhapsode.views.pictures.mixture_picture import Mark

    with tempfile.TemporaryDirectory() as scratch:
        folder = os.environ.get("RHAPSODE_PICTURES_RUN") or f"{scratch}/run"
        if not Path(folder).exists():
            rh.train("tinyshakespeare", output=folder, budget="40s", seed=0, training=APART)
        session = rh.Session(rh.load(folder), GenerateSettings(seed=0, adapt=adapt))
        session.add(BEFORE + PASSAGE)
        found = []
        for number, letter in enumerate(PASSAGE, len(BEFORE) + 1):
            one = session.why(number).choice.trace.contribution
            found.append(Mark(letter, one.network, one.counts, one.mixture, one.nats))
    return found


def network_and_counts(path: Path) -> None:
    """Who was right about each character of a passage."""
    from rhapsode.views.pictures.mixture_picture import draw_marks

    title = "Who was right? Held-out lines of Shakespeare, after 40 seconds of training"
    path.write_text(draw_marks(marks(), title=title), encoding="utf-8")


def contributions(path: Path) -> None:
    """What the groups of experts add to one line of the passage."""
    from rhapsode.views.pictures.mixture_picture import draw_contributions

    first = PASSAGE.index("And bonny")
    title = "What the counts add to the network, character by character"
    line = marks()[first : PASSAGE.index("\n", first)]
    path.write_text(draw_contributions(line, title=title), encoding="utf-8")


def adapting(path: Path) -> None:
    """The same of a later line, with counts that adapt."""
    from rhapsode.views.pictures.mixture_picture import draw_contributions

    first = PASSAGE.index("Kate of")
    title = "Two lines later, with counts that adapt: the name is known by now"
    line = marks(adapt=True)[first : PASSAGE.index("\n", first)]
    path.write_text(draw_contributions(line, title=title), encoding="utf-8")


def losses_by_time(path: Path) -> None:
    """Losses of network, counts and mixture after trainings of several lengths."""
    import rhapsode as rh
    from rhapsode.views.pictures.mixture_picture import Line, draw_losses

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seconds in BUDGETS:
            folder = Path(scratch, f"{seconds}")
            rh.train("tinyshakespeare", output=folder, budget=f"{seconds}s", seed=0, training=APART)
            found = json.loads((folder / "summary.json").read_text())
            rows.append((found["network"]["loss"], found["baselines"]["ngram"], found["loss"]))
    network, counts, both = zip(*rows, strict=True)
    lines = [
        Line("network", "network alone", network),
        Line("counts", "counts alone", counts),
        Line("both", "both", both),
    ]
    drawn = draw_losses(
        BUDGETS,
        [f"{seconds} s" for seconds in BUDGETS],
        lines,
        title="tinyshakespeare: losses by time of training, on one core",
        axis="time of training, logarithmic",
    )
    path.write_text(drawn, encoding="utf-8")


def _band() -> Any:
    """The tune of docs/rendering.md with chords, a bass and drums."""
    import numpy as np

    from rhapsode.encoding.music.score import Key, Metre, Notes, Score, Tempo, Track

    first = (
        (66, 1),
        (66, 1),
        (67, 1),
        (69, 1),
        (69, 1),
        (67, 1),
        (66, 1),
        (64, 1),
        (62, 1),
        (62, 1),
        (64, 1),
        (66, 1),
    )
    half = (*first, (66, 1.5), (64, 0.5), (64, 2))
    end = (*first, (64, 1.5), (62, 0.5), (62, 2))
    middle = (
        (64, 1), (64, 1), (66, 1), (62, 1), (64, 1), (66, 0.5), (67, 0.5), (66, 1), (62, 1),
        (64, 1), (66, 0.5), (67, 0.5), (66, 1), (64, 1), (62, 1), (64, 1), (57, 2),
    )  # fmt: skip
    roots = (50, 45, 50, 45, 50, 45, 47, 50, 45, 50, 45, 45, 50, 45, 47, 50)
    rows, at = [], 0.0
    for place, (pitch, length) in enumerate((*half, *end, *middle, *end)):
        rows.append((at, length * 0.94, pitch + 12, 74 + 16 * (at % 4 == 0) + 5 * (place % 3), 0))
        at += length
    for bar, root in enumerate(roots):
        minor = root == 47
        rows += [(4 * bar, 3.9, root + 12 + step, 52, 1) for step in (0, 3 if minor else 4, 7)]
        rows += [
            (4 * bar + beat, 0.9, root - 12 + 7 * (beat == 2), 84 - 8 * beat, 2)
            for beat in (0, 2, 3)
        ]
        rows += [(4 * bar + beat, 0.1, (36, 38)[beat % 2], 100, 3) for beat in range(4)]
        rows += [(4 * bar + half / 2, 0.1, 42, 80 - 30 * (half % 2), 3) for half in range(8)]
        rows += [(4 * bar, 0.1, 49, 90, 3)] * (bar % 8 == 0)
    table = np.array(rows)
    return Score(
        ticks=480,
        notes=Notes.of(table[:, 0] * 480, table[:, 1] * 480, *table[:, 2:].T),
        tracks=(Track(73), Track(0), Track(33), Track(0, drums=True)),
        tempos=(Tempo(0, 132.0),),
        metres=(Metre(0, 4, 4),),
        keys=(Key(0, 2),),
        title="Ode to Joy",
    )


def roll(path: Path) -> None:
    """What `rhapsode render -o roll.svg` draws of a tune in the public domain."""
    from rhapsode.modalities.music.drawing.rolls import roll_svg

    path.write_text(roll_svg(_band(), seed_end=4 * 4 * 480), encoding="utf-8", newline="\n")


def score(path: Path) -> None:
    """What `rhapsode render --as score` draws of it."""
    import rhapsode as rh

    rh.render(_band(), path, as_="score")


PICTURES: dict[str, Callable[[Path], None]] = {
    "adapting.svg": adapting,
    "alignment.svg": alignment,
    "anomalies.svg": anomalies,
    "contributions.svg": contributions,
    "data-info-kitchen.png": data_info_kitchen,
    "forecast.svg": forecast,
    "losses-by-time.svg": losses_by_time,
    "network-and-counts.svg": network_and_counts,
    "roll.svg": roll,
    "run.svg": run,
    "score.svg": score,
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
