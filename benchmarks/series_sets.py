"""Forecasts of sets that were fixed before any run, told nothing, beside seasonal naive, ETS, Theta and ARIMA.

    pip download --no-deps -d WHEELS darts sktime statsmodels
    python benchmarks/series_sets.py list WHEELS
    python benchmarks/series_sets.py sets OUT.jsonl --wheels WHEELS [--budget 60s] [--seeds N] [--only SET ...]
                                                     [--ways WAY ...] [--set KEY=VALUE ...] [--peers FOLDER]
    python benchmarks/series_sets.py m4 OUT.jsonl [--budget 60s] [--seeds N]
    python benchmarks/series_sets.py table OUT.jsonl [--budget 60s] [--code CODE]

The rule, written down before the first run: every univariate or small set under 5 MB that the current releases of darts, sktime
and statsmodels ship inside their packages, in alphabetical order, the first 24, none skipped. In detail:

- A set is a folder of a `datasets` folder of a package (of `brockwell_davis_2002` and `segmentation`: a file), with the sum of
  its files under 5 MB. darts ships none: its sets are downloaded. The alphabet ignores case; a set that two packages ship is one.
- Left out for one reason alone: the values have no order in time (tables of persons, states and countries; outlines, where the
  order is an angle; spectra, where it is a wavelength). Labelled collections of sequences in time are series like others.
- The values are all numbers that the set measures. Labels, and columns that count the rows or repeat the time, stay in the file
  where they are part of a shipped CSV, and are not scored.
- A CSV is handed over as it is shipped. A collection of one variable becomes a table with one series in each row, one of several
  variables a long table; a list of numbers in a module one column. Parts for training and testing of classifiers stand together.

The protocol: a season and a horizon for each set, by its sampling: 12 monthly, 8 quarterly, 6 yearly, 13 weekly, 14 daily, 10 on
business days, 6 of a day of hours, 12 without times, and at most a quarter of the (median) length. At most 10 origins, at
most 400 forecasts, and at most the last 30 % of each series held out; a forecast needs 4 rows before it. `rhapsode train FILE
--budget B --set data.horizon=H` learns once from a file that ends at the first origin, and forecasts from every origin with a
file that ends there, 200 paths; the season is told to no one but the others. Statistical methods are fitted anew at every
origin, to the last 1,000 values. All are scored by the same code:

- MASE over all points, with the error of the season's naive forecast in each history.
- WQL and CRPS over all points of each variable; of several variables the geometric mean, since they have several units.
- Coverage over all points, and the mean width of the 80 % interval in units of the same naive error (sharpness).
- Raw paths: how far a mean moves without the most extreme of 200 paths, in widths of the 80 % interval (at most 0.1; where more
  than half of a history or of the paths are one value, in standard errors, at most 3, that take no spread below the
  history's), and paths that leave the history by more than ten of its ranges and go further than the values held out.

M4 hourly is forecast as its competition did: the training file as it is, told nothing but 48 steps, against the test file.

A line is kept for what is unchanged: the code of the package without the rooms of other modalities, and the settings. `sets`
prints no figures of the test parts; `table` does.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import importlib.util
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rhapsode as rh
from rhapsode.evaluation import (
    forecast_figures,
    forecast_of_samples,
    score_forecast,
    seasonal_naive,
)
from rhapsode.evaluation.forecasts import Forecast, seasonal_error

HERE = Path(__file__).parent
SAMPLES = 200
ORIGINS, FORECASTS, HELD, FEWEST = 10, 400, 0.3, 4
LONGEST_FIT = 1_000
STATISTICAL = ("ets", "theta", "arima")
WAYS = ("rhapsode", "seasonal naive", *STATISTICAL)
PROTOCOL = 1
OTHER_ROOMS = ("cli", "views", "export", "serving", "counts", "engine", "configs",
               *(f"{room}/{name}" for room in ("modalities", "encoding")
                 for name in ("text", "music", "strokes", "sound")))  # fmt: skip
"""Rooms that no forecast of a series depends on."""


@dataclass(frozen=True)
class Table:
    """A file as a user hands it over, and what it measures.

    Arguments:
        series: values of each scored series, by the name that a forecast has.
        units: the variable of each, whose values share a unit.
        written: the text of the file with so many first values of each series.
    """

    series: dict[str, np.ndarray]
    units: list[str]
    written: Callable[[Sequence[int]], str]


def _number(cell: str) -> float:
    return float(cell) if cell.strip() not in ("", "nan", "NaN") else math.nan


def _joined(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def wide(text: str, columns: Sequence[str], *, header: int = 1) -> Table:
    """A column for each series; `columns` are scored, or their numbers ("column 2") without a header."""
    lines = text.splitlines(keepends=True)
    rows = list(csv.reader(lines[header:]))
    names = (
        next(csv.reader(lines[:1])) if header else [f"column {n + 1}" for n in range(len(rows[0]))]
    )
    names = [name.lstrip("\ufeff") for name in names]
    found = {c: np.array([_number(row[names.index(c)]) for row in rows]) for c in columns}
    return Table(found, list(columns), lambda known: "".join(lines[: header + max(known)]))


def long(rows: list[list[str]], id_column: int, columns: Sequence[int]) -> Table:
    """Series below one another, told apart by a column, their rows together."""
    head, *body = rows
    parts: dict[str, list[list[str]]] = {}
    for row in body:
        parts.setdefault(row[id_column], []).append(row)
    found = {f"{name}/{head[c]}": np.array([_number(row[c]) for row in part])
             for name, part in parts.items() for c in columns}  # fmt: skip

    def written(known: Sequence[int]) -> str:
        counts = known[:: len(columns)]
        kept = zip(parts.values(), counts, strict=True)
        return _joined([head, *(row for part, count in kept for row in part[:count])])

    return Table(found, [head[c] for c in columns] * len(parts), written)


def rows(table: list[list[str]], first: int) -> Table:
    """A series in each row, its name in the first column, its values from column `first` on."""
    head, *body = table
    values = [np.array([_number(cell) for cell in row[first:]]) for row in body]
    named = {row[0]: v[: np.flatnonzero(np.isfinite(v))[-1] + 1] for row, v in
             zip(body, values, strict=True) if np.isfinite(v).any()}  # fmt: skip
    places = {name: place for place, name in enumerate(named)}

    def written(known: Sequence[int]) -> str:
        cut = [[*row[:first], *(cell if t < known[places[row[0]]] else ""
                                for t, cell in enumerate(row[first:]))]
               for row in body if row[0] in places]  # fmt: skip
        return _joined([head, *cut])

    return Table(named, ["value"] * len(named), written)


def grid(text: str) -> Table:
    """One series whose times go on from row to row: a year in each, a column for each month."""
    head, *body = list(csv.reader(text.splitlines()))
    per = len(head) - 1
    values = np.array([_number(cell) for row in body for cell in row[1:]])

    def written(known: Sequence[int]) -> str:
        whole, rest = divmod(known[0], per)
        part = [[*body[whole][: 1 + rest], *[""] * (per - rest)]] if rest else []
        return _joined([head, *body[:whole], *part])

    return Table({"value": values}, ["value"], written)


def collection(*texts: str) -> Table:
    """Labelled sequences in the format of sktime, without their labels."""
    cases = [line.split(":")[:-1] for text in texts for line in text.splitlines()
             if line.strip() and line[0] not in "@#%"]  # fmt: skip
    split = [[dimension.split(",") for dimension in case] for case in cases]
    if len(split[0]) == 1:
        longest = max(len(case[0]) for case in split)
        table = [["series", *(f"V{t + 1}" for t in range(longest))]]
        table += [[f"case {n + 1}", *case[0], *[""] * (longest - len(case[0]))]
                  for n, case in enumerate(split)]  # fmt: skip
        return rows(table, 1)
    head = ["series", *(f"dimension {d + 1}" for d in range(len(split[0])))]
    body = [[f"case {n + 1}", *values] for n, case in enumerate(split)
            for values in zip(*case, strict=True)]  # fmt: skip
    return long([head, *body], 0, range(1, len(head)))


def listed(text: str) -> Table:
    """The numbers of a module that holds one pandas.Series: one column."""
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
               and isinstance(node.func, ast.Attribute) and node.func.attr == "Series")  # fmt: skip
    values = ast.literal_eval(call.args[0])
    return wide("value\n" + "".join(f"{value}\n" for value in values), ["value"])


def _csv_rows(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


SKTIME, STATSMODELS = "sktime/datasets/data", "statsmodels/datasets"
DAVIS = "statsmodels/tsa/arima/datasets/brockwell_davis_2002/data"


@dataclass(frozen=True)
class Set:
    """A set of the list.

    Arguments:
        files: in its package.
        read: makes the table of their texts.
        season: values to a season, told to the statistical methods.
        horizon: steps ahead, before a quarter of the length bounds it.
        what: it is.
    """

    files: tuple[str, ...]
    read: Callable[..., Table]
    season: int
    horizon: int
    what: str


def _parts(name: str) -> tuple[str, ...]:
    return tuple(f"{SKTIME}/{name}/{name}_{part}.ts" for part in ("TRAIN", "TEST"))


SETS = {
    "ACSF1": Set(_parts("ACSF1"), collection, 1, 12,
                 "power of 200 appliances, 1,460 values each, every 10 s, standardised"),
    "Airline": Set((f"{SKTIME}/Airline/Airline.csv",), lambda text: wide(text, ["Passengers"]),
                   12, 12, "passengers, monthly, 144"),
    "BasicMotions": Set(_parts("BasicMotions"), collection, 1, 12,
                        "80 recordings of a watch, 6 variables, 100 values each, 10 a second"),
    "co2": Set((f"{STATSMODELS}/co2/co2.csv",), lambda text: wide(text, ["co2"]), 52, 13,
               "carbon dioxide at Mauna Loa, weekly, 2,284, 59 missing"),
    "copper": Set((f"{STATSMODELS}/copper/copper.csv",),
                  lambda text: wide(text, ["WORLDCONSUMPTION", "COPPERPRICE", "INCOMEINDEX",
                                           "ALUMPRICE", "INVENTORYINDEX"]),
                  1, 6, "market of copper, 5 variables, yearly, 25"),
    "Covid3Month": Set(_parts("Covid3Month"), collection, 7, 14,
                       "confirmed cases of 201 countries, daily, 84 each, no dates"),
    "danish_data": Set((f"{STATSMODELS}/danish_data/data.csv",),
                       lambda text: wide(text, ["lrm", "lry", "lpy", "ibo", "ide"]), 4, 8,
                       "money and income of Denmark, 5 variables, quarterly, 55"),
    "dowj": Set((f"{DAVIS}/dowj.py",), listed, 5, 10,
                "Dow Jones utilities, business days, 78, no dates"),
    "elec_equip": Set((f"{STATSMODELS}/elec_equip/elec_equip.csv",),
                      lambda text: wide(text, ["STS.M.I7.W.TOVT.NS0016.4.000"]), 12, 12,
                      "turnover of electrical equipment, monthly, 257"),
    "ElectricDevices": Set((f"{SKTIME}/segmentation/ElectricDevices.csv",),
                           lambda text: wide(text, ["column 2"], header=0), 1, 12,
                           "joined recordings of appliances, 11,532, no times"),
    "elnino": Set((f"{STATSMODELS}/elnino/elnino.csv",), grid, 12, 12,
                  "temperature of the sea, a row a year, a column a month, 732"),
    "fertility": Set((f"{STATSMODELS}/fertility/fertility.csv",),
                     lambda text: rows(_csv_rows(text), 4), 1, 6,
                     "births per woman of 210 countries, yearly, a row each, up to 52"),
    "grunfeld": Set((f"{STATSMODELS}/grunfeld/grunfeld.csv",),
                    lambda text: long(_csv_rows(text), 3, (0, 1, 2)), 1, 6,
                    "investment of 11 firms, 3 variables, yearly, 20 each"),
    "GunPoint": Set(_parts("GunPoint"), collection, 1, 12,
                    "200 gestures, 150 values each, 30 a second, standardised"),
    "GunPoint (segmentation)": Set((f"{SKTIME}/segmentation/GunPoint.csv",),
                                   lambda text: wide(text, ["column 2"], header=0), 1, 12,
                                   "joined gestures, 1,875, no times"),
    "interest_inflation": Set((f"{STATSMODELS}/interest_inflation/E6.csv",),
                              lambda text: wide(text, ["Dp", "R"]), 4, 8,
                              "interest and inflation of Germany, quarterly, 107"),
    "ItalyPowerDemand": Set(_parts("ItalyPowerDemand"), collection, 24, 24,
                            "demand on 1,096 days, 24 hours each, standardised"),
    "JapaneseVowels": Set(_parts("JapaneseVowels"), collection, 1, 12,
                          "640 spoken vowels, 12 coefficients, 7 to 29 frames"),
    "lake": Set((f"{DAVIS}/lake.py",), listed, 1, 6, "level of Lake Huron, yearly, 98, no years"),
    "Longley": Set((f"{SKTIME}/Longley/Longley.csv",),
                   lambda text: wide(text, ["TOTEMP", "GNPDEFL", "GNP", "UNEMP", "ARMED", "POP"]),
                   1, 6, "employment in the USA, 6 variables, yearly, 16"),
    "Lynx": Set((f"{SKTIME}/Lynx/Lynx.csv",), lambda text: wide(text, ["0"]), 1, 6,
                "lynx trapped in Canada, yearly, 114"),
    "macrodata": Set((f"{STATSMODELS}/macrodata/macrodata.csv",),
                     lambda text: wide(text, ["realgdp", "realcons", "realinv", "realgovt",
                                              "realdpi", "cpi", "m1", "tbilrate", "unemp", "pop",
                                              "infl", "realint"]),
                     4, 8, "economy of the USA, 12 variables, quarterly, 203"),
    "mitdb": Set((f"{SKTIME}/mitdb/mitdb.csv",), lambda text: wide(text, ["data"]), 1, 12,
                 "electrocardiogram, 7,500, no times"),
    "nile": Set((f"{STATSMODELS}/nile/nile.csv",), lambda text: wide(text, ["volume"]), 1, 6,
                "flow of the Nile, yearly, 100"),
}  # fmt: skip
"""The first 24, in alphabetical order."""

AFTER_24 = ("oshorts", "PBS_dataset", "PLAID", "sbl", "seatbelts", "ShampooSales", "solar",
            "sunspots", "UnitTest", "Uschange", "yahoo")  # fmt: skip
NO_TIME = {
    **dict.fromkeys(("ArrowHead", "OSULeaf"), "outlines of shapes"),
    "Tecator": "spectra",
    **dict.fromkeys(("anes96", "ccard", "fair", "heart", "modechoice", "randhie", "engel"),
                    "persons or households"),
    **dict.fromkeys(("cancer", "china_smoking", "cpunish", "scotland", "statecrime", "star98"),
                    "places"),
    **dict.fromkeys(("committee", "spector", "strikes"), "committees, pupils, strikes"),
    "stackloss": "21 observations of a plant, published as a regression",
}  # fmt: skip


class Packages:
    """Files of packages, in wheels or installed below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, int] = {}
        self.where: dict[str, Path] = {}
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for one in archive.infolist():
                    if not one.is_dir():
                        self.sizes[one.filename], self.where[one.filename] = one.file_size, wheel
        for package in () if self.where else ("darts", "sktime", "statsmodels"):
            for path in (folder / package).rglob("*"):
                if path.is_file():
                    self.sizes[str(path.relative_to(folder))] = path.stat().st_size

    def text(self, name: str) -> str:
        if name in self.where:
            with zipfile.ZipFile(self.where[name]) as archive:
                return archive.read(name).decode("utf-8")
        return (self.folder / name).read_text(encoding="utf-8")

    def shipped(self) -> dict[str, tuple[str, int]]:
        """Package and size of every set, by name; whatever is data in a folder `datasets`."""
        found: dict[str, tuple[str, int]] = {}
        for name, size in self.sizes.items():
            parts = Path(name).parts
            if "datasets" not in parts or parts[-1] in ("__init__.py", "setup.py"):
                continue
            below = parts[parts.index("datasets") + 1 :]
            if below[0] == "data":
                below = below[1:]
            if "segmentation" in below[:1]:
                label = Path(name).stem
                label += " (segmentation)" if label == "GunPoint" else ""
            elif "brockwell_davis_2002" in below[:1]:
                label = Path(name).stem
            elif len(below) < 2 or below[0] in ("tests", "base", "classification", "forecasting",
                                                "regression", "_readers_writers"):  # fmt: skip
                continue
            else:
                label = below[0]
            if Path(name).suffix not in (".py", ".R", ".s", ".rst", ".pyc") or "brockwell" in name:
                before = found.get(label, (parts[0], 0))
                found[label] = (before[0], before[1] + size)
        return found


def list_sets(packages: Packages) -> None:
    """Every set that the packages ship, and what the rule makes of it."""
    print("| set | package | size, kB | |\n|---|---|---|---|")
    unknown = []
    places = {name.lower(): place + 1 for place, name in enumerate(SETS)}
    for name, (package, size) in sorted(packages.shipped().items(), key=lambda one: one[0].lower()):
        if name in NO_TIME:
            verdict = f"no order in time: {NO_TIME[name]}"
        elif name == "longley":
            verdict = "the same as Longley"
        elif name.lower() in places and name in SETS:
            verdict = f"**{places[name.lower()]}**: {SETS[name].what}"
        elif name in AFTER_24:
            verdict = "after the first 24"
        else:
            verdict, _ = "not in the list", unknown.append(name)
        print(f"| {name} | {package} | {size / 1000:,.1f} | {verdict} |")
    missing = [name for name in SETS if name not in packages.shipped()]
    if unknown or missing:
        print(f"\nanother release: {len(unknown)} sets are not in the list: {', '.join(unknown)}; "
              f"missing: {', '.join(missing)}")  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is forecast of a table: rows known of every series at every origin.

    Arguments:
        table: the series.
        season: values to a season.
        horizon: steps ahead.
        known: rows before each forecast, an array over series for each origin.
        scored: whether a series is long enough, for each origin.
    """

    table: Table
    season: int
    horizon: int
    known: list[np.ndarray]
    scored: list[np.ndarray]


def task_of(name: str, packages: Packages) -> Task:
    one = SETS[name]
    table = one.read(*(packages.text(file) for file in one.files))
    lengths = np.array([len(values) for values in table.series.values()])
    median = int(np.median(lengths))
    horizon = max(1, min(one.horizon, median // 4))
    origins = max(1, min(ORIGINS, FORECASTS // len(lengths)))
    held = min(origins * horizon, max(horizon, int(HELD * median)))
    stride = max(1, (held - horizon) // max(1, origins - 1))
    origins = min(origins, 1 + (held - horizon) // stride)
    known = [lengths - horizon - back * stride for back in range(origins - 1, -1, -1)]
    scored = [
        np.array([count >= FEWEST and np.isfinite(values[:count]).any() and known[0][place] > 0
                  and np.isfinite(values[count : count + horizon]).any()
                  for place, (count, values) in enumerate(zip(rows_, table.series.values(), strict=True))])
        for rows_ in known
    ]  # fmt: skip
    return Task(table, one.season, horizon, [np.maximum(rows_, 0) for rows_ in known], scored)


Paths = list[np.ndarray | None]
"""Paths (S, H) or, of statistical methods, a `Forecast`; None where a series is not scored."""


@dataclass(frozen=True)
class Asked:
    """Budget, seed and further settings of a run."""

    budget: str
    seed: int
    settings: Sequence[str]


def rhapsode_paths(given: Task, asked: Asked) -> tuple[list[Paths], dict[str, Any]]:
    """Paths of every origin and series, and facts of the run."""
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch, "table.csv")
        first.write_text(given.table.written(given.known[0].tolist()), encoding="utf-8")
        began = time.perf_counter()
        plan = _trained(first, Path(scratch, "run"), asked, given.horizon)
        learnt = time.perf_counter() - began
        model = rh.load(Path(scratch, "run"))
        found = []
        for origin, known in enumerate(given.known):
            history = Path(scratch, f"history-{origin}.csv")
            history.write_text(given.table.written(known.tolist()), encoding="utf-8")
            found.append(forecast_paths(model, history, given, origin, asked.seed))
        facts = {
            "seconds": learnt,
            "forecasting": time.perf_counter() - began - learnt,
            **plan,
        }
    return found, facts


def _trained(file: Path, run: Path, asked: Asked, horizon: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "rhapsode", "train", str(file), "-o", str(run),
               "--budget", asked.budget, "--seed", str(asked.seed),
               "--set", f"data.horizon={horizon}",
               *(part for one in asked.settings for part in ("--set", one))]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-1500:])
    told = json.loads(Path(run, "summary.json").read_text())
    return {"reasons": told["plan"]["reasons"], "pool": told.get("calibration")}


def forecast_paths(model: Any, history: Path, given: Task, origin: int, seed: int) -> Paths:
    """Paths of one origin; a forecast begins after the last value that is known."""
    known, scored = given.known[origin], given.scored[origin]
    values = list(given.table.series.values())
    behind = [
        int(count - 1 - np.flatnonzero(np.isfinite(values[place][:count]))[-1]) if ok else 0
        for place, (count, ok) in enumerate(zip(known, scored, strict=True))
    ]
    made = model.forecast(
        str(history), horizon=given.horizon + max(behind), samples=SAMPLES, seed=seed
    )
    drawn = made.paths_BSHK[..., 0]
    if made.paths_BSHK.shape[-1] != 1:
        raise RuntimeError("several numbers at each step where series of one were expected")
    names = list(made.ids)
    if len(values) == len(names) == 1:
        names = list(given.table.series)
    paths: Paths = []
    for place, name in enumerate(given.table.series):
        if not scored[place]:
            paths.append(None)
            continue
        if name not in names:
            raise RuntimeError(f"no series {name!r}: the table was read as {names[:8]}")
        late = behind[place]
        paths.append(drawn[names.index(name), :, late : late + given.horizon])
    return paths


def statistical_paths(
    way: str, given: Task, peers: Path, most: float
) -> tuple[list[list[Any]], dict[str, Any]]:
    """Forecasts of a method of statsforecast, in its own environment."""
    values = list(given.table.series.values())
    places = [(s, int(known[s])) for known, scored in zip(given.known, given.scored, strict=True)
              for s in np.flatnonzero(scored)]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        which, counts = zip(*places, strict=True)
        np.savez(f"{scratch}/task.npz", values=np.concatenate(values), which=which, rows=counts,
                 offsets=np.concatenate(([0], np.cumsum([len(v) for v in values]))))  # fmt: skip
        facts = {"way": way, "horizon": given.horizon, "season": given.season,
                 "longest": LONGEST_FIT, "most_seconds": most}  # fmt: skip
        command = [str(peers / "statsforecast" / "bin" / "python"),
                   str(HERE / "peers" / "statsforecast_series.py"), f"{scratch}/task.npz",
                   json.dumps(facts), f"{scratch}/out.npz"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 3:
            raise RuntimeError(f"not done in {most:.0f} s")
        if done.returncode:
            raise RuntimeError(done.stderr[-1500:])
        made = np.load(f"{scratch}/out.npz")
        levels = tuple(float(level) for level in made["levels"])
        rest = iter(made["quantiles"])
        found = [[_of_quantiles(levels, next(rest)) if ok else None for ok in scored]
                 for scored in given.scored]  # fmt: skip
        return found, {"seconds": float(made["seconds"]), "fallbacks": int(made["failed"])}


def _of_quantiles(levels: tuple[float, ...], quantiles_QT: np.ndarray) -> Forecast:
    return Forecast(levels, quantiles_QT, quantiles_QT[levels.index(0.5)])


def naive_paths(given: Task) -> list[list[Any]]:
    values = list(given.table.series.values())
    found = []
    for known, scored in zip(given.known, given.scored, strict=True):
        own: list[Any] = []
        for place, ok in enumerate(scored):
            history = values[place][: known[place]]
            last = np.flatnonzero(np.isfinite(history))[-1] + 1 if ok else 0
            late = len(history) - last
            plain = (seasonal_naive(history[:last], given.horizon + late, given.season,
                                    samples=SAMPLES) if ok else None)  # fmt: skip
            own.append(plain and forecast_of_samples(plain.samples_ST[:, late:],
                                                     plain.mean_T[late:]))  # fmt: skip
        found.append(own)
    return found


def _commonest(values: np.ndarray) -> float:
    """The share of the commonest value."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


@np.errstate(over="ignore", invalid="ignore")
def path_facts(paths_SH: np.ndarray, history: np.ndarray, actual: np.ndarray) -> tuple[float, int]:
    """How far the most extreme path moves a mean, of what it may, and how many paths are far away."""
    known = history[np.isfinite(history)]
    count = len(paths_SH)
    mean_H = paths_SH.mean(axis=0)
    away_SH = np.abs(paths_SH - mean_H)
    moves_H = away_SH.max(axis=0) / (count - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all paths are equally far
        rest_SH = np.where(away_SH == away_SH.max(axis=0), np.nan, paths_SH)
        spread_H = np.maximum(np.nan_to_num(np.nanstd(rest_SH, axis=0)), known.std())
    middle_H = np.quantile(paths_SH, 0.9, axis=0) - np.quantile(paths_SH, 0.1, axis=0)
    often_H = np.array([_commonest(column) for column in paths_SH.T]) > 0.5
    allowed_H = np.where(
        often_H | (_commonest(known) > 0.5), 3 * spread_H / math.sqrt(count), 0.1 * middle_H
    )
    moved = np.where(moves_H > 0, moves_H / np.where(allowed_H > 0, allowed_H, np.nan), 0.0)
    moved = np.where(np.isnan(moved), np.inf, moved)
    least, most = known.min(), known.max()
    reach = 10 * (most - least)
    low = min(least - reach, np.nanmin(actual, initial=np.inf))
    high = max(most + reach, np.nanmax(actual, initial=-np.inf))
    far = ~((paths_SH >= low) & (paths_SH <= high)).all(axis=1)
    return float(moved.max()), int(far.sum())


def figures_of(given: Task, made: list[list[Any]]) -> dict[str, Any]:
    """All figures of one way on one set."""
    values = list(given.table.series.values())
    scores: dict[str, list[Any]] = {}
    widths, moved, far, forecasts = [], [], 0, 0
    for known, own in zip(given.known, made, strict=True):
        for place, one in enumerate(own):
            if one is None:
                continue
            history = values[place][: known[place]]
            actual = values[place][known[place] : known[place] + given.horizon]
            found = one if isinstance(one, Forecast) else forecast_of_samples(one)
            unit = given.table.units[place]
            scores.setdefault(unit, []).append(score_forecast(found, actual, history, given.season))
            scale, _ = seasonal_error(history, given.season)
            if scale:
                widths.append((found.at(0.9) - found.at(0.1)).mean() / scale)
            forecasts += 1
            if isinstance(one, np.ndarray):
                move, gone = path_facts(one, history, actual)
                moved.append(move)
                far += gone
    every = forecast_figures([score for own in scores.values() for score in own])
    single = {unit: forecast_figures(own) for unit, own in scores.items()}
    return {
        "mase": every.mase,
        "wql": _geometric([one.weighted_quantile_loss for one in single.values()]),
        "crps": _geometric([one.crps for one in single.values()]),
        "coverage": [every.coverage[share] for share in (0.5, 0.8, 0.9)],
        "width": float(np.mean(widths)) if widths else None,
        "smape": every.smape,
        "points": every.points,
        "forecasts": forecasts,
        "moved": max(moved) if moved else None,
        "moved_forecasts": sum(move > 1 for move in moved),
        "far_paths": far,
    }


def _geometric(numbers: Sequence[float | None]) -> float | None:
    known = [max(number, 1e-12) for number in numbers if number is not None]
    return math.exp(statistics.fmean(map(math.log, known))) if known else None


def code_of() -> str:
    """A hash of the package's code without comments and the rooms that series do not use."""
    package = Path(importlib.util.find_spec("rhapsode").submodule_search_locations[0])  # type: ignore[union-attr,index]
    found = hashlib.sha256(str(PROTOCOL).encode())
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).as_posix()
        if not any(place.startswith(f"{room}/") for room in OTHER_ROOMS):
            found.update(f"{place}\n{ast.unparse(ast.parse(path.read_text()))}".encode())
    return found.hexdigest()[:10]


def measured(make: Callable[[], dict[str, Any]], key: dict[str, Any], out: Path) -> None:
    """A line of what is measured, or of why it was not, unless it is there."""
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if any(all(line.get(name) == value for name, value in key.items()) for line in lines):
        return
    began = time.perf_counter()
    try:
        line = make()
    except Exception as problem:
        line = {"failed": f"{type(problem).__name__}: {problem}"}
        print(f"    failed: {str(problem)[-600:]}", flush=True)
    line = {**key, **line, "wall": time.perf_counter() - began}
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{', '.join(str(value) for value in key.values())}: {line['wall']:.0f} s", flush=True)


def run_sets(arguments: argparse.Namespace) -> None:
    packages, out, code = Packages(Path(arguments.wheels)), Path(arguments.out), code_of()
    for name in arguments.only:
        given = task_of(name, packages)
        for way in arguments.ways:
            key: dict[str, Any] = {"set": name, "way": way}
            if way == "rhapsode":
                for seed in range(arguments.seeds):
                    own = {**key, "seed": seed, "budget": arguments.budget, "code": code,
                           "settings": arguments.set}  # fmt: skip

                    asked = Asked(arguments.budget, seed, arguments.set)

                    def ours(given: Task = given, asked: Asked = asked) -> dict[str, Any]:
                        paths, facts = rhapsode_paths(given, asked)
                        return {**figures_of(given, paths), **facts}  # type: ignore[arg-type]

                    measured(ours, own, out)
            elif way == "seasonal naive":
                measured(lambda given=given: figures_of(given, naive_paths(given)),  # type: ignore[misc]
                         {**key, "protocol": PROTOCOL}, out)  # fmt: skip
            else:

                def others(given: Task = given, way: str = way) -> dict[str, Any]:
                    made, facts = statistical_paths(
                        way, given, Path(arguments.peers), arguments.most
                    )
                    return {**figures_of(given, made), **facts}

                measured(others, {**key, "protocol": PROTOCOL}, out)


def m4_task() -> tuple[Task, Path]:
    """The whole training file as history, the test file as what follows."""
    folder = Path(os.environ.get("RHAPSODE_DATA", "../shared/data")) / "timeseries"
    train, test = (_csv_rows((folder / f"m4_Hourly-{part}.csv").read_text())[1:]
                   for part in ("train", "test"))  # fmt: skip
    later = {row[0]: row[1:] for row in test}
    series, known = {}, []
    for row in train:
        own = [_number(cell) for cell in row[1:] if cell]
        series[row[0]] = np.array(own + [_number(cell) for cell in later[row[0]] if cell])
        known.append(len(own))
    table = Table(series, ["value"] * len(series), lambda _: "")
    given = Task(table, 24, 48, [np.array(known)], [np.full(len(known), True)])
    return given, folder / "m4_Hourly-train.csv"


def run_m4(arguments: argparse.Namespace) -> None:
    out, code = Path(arguments.out), code_of()
    given, file = m4_task()
    measured(lambda: figures_of(given, naive_paths(given)),
             {"set": "M4 hourly", "way": "seasonal naive", "protocol": PROTOCOL}, out)  # fmt: skip
    for seed in range(arguments.seeds):

        def ours(seed: int = seed) -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as scratch:
                began = time.perf_counter()
                run, asked = Path(scratch, "run"), Asked(arguments.budget, seed, arguments.set)
                plan = _trained(file, run, asked, given.horizon)
                learnt = time.perf_counter() - began
                paths = forecast_paths(rh.load(run), file, given, 0, seed)
                whole = time.perf_counter() - began
            return {**figures_of(given, [paths]), "seconds": learnt, "all": whole, **plan}

        measured(ours, {"set": "M4 hourly", "way": "rhapsode", "seed": seed,
                        "budget": arguments.budget, "code": code,
                        "settings": arguments.set}, out)  # fmt: skip


def table(arguments: argparse.Namespace) -> None:
    """Medians over seeds of the last code, and what they come to against seasonal naive."""
    lines = [json.loads(line) for line in Path(arguments.out).read_text().splitlines()]
    ours = [line for line in lines if line["way"] == "rhapsode"
            and (arguments.budget is None or line["budget"] == arguments.budget)]  # fmt: skip
    code = arguments.code or (ours[-1]["code"] if ours else "")
    kept = [line for line in lines if line["way"] != "rhapsode"]
    kept += [line for line in ours if line["code"] == code]
    names = [name for name in (*SETS, "M4 hourly") if any(line["set"] == name for line in kept)]
    print(f"code {code}\n\n| set | way | MASE (seeds) | WQL | CRPS | 50, 80, 90 % hold | width | "
          "a path moves a mean | far paths | points | seconds |\n" + "|---" * 11 + "|")  # fmt: skip
    medians: dict[tuple[str, str], dict[str, Any]] = {}
    for name in names:
        for way in WAYS:
            own = [line for line in kept if (line["set"], line["way"]) == (name, way)]
            good = [line for line in own if "failed" not in line]
            if own and not good:
                print(f"| {name} | {way} | {own[-1]['failed'].splitlines()[-1][:80]} |" + " |" * 8)
            if not good:
                continue
            one = {key: _median([line.get(key) for line in good])
                   for key in ("mase", "wql", "crps", "width", "seconds", "wall", "moved")}  # fmt: skip
            cover = [_median([line["coverage"][place] for line in good]) for place in range(3)]
            medians[name, way] = {**one, "cover": cover, "points": good[-1]["points"],
                                  "moved_forecasts": sum(line["moved_forecasts"] for line in good),
                                  "far": sum(line["far_paths"] for line in good)}  # fmt: skip
            seeds = f" ({' '.join(_text(line['mase']) for line in good)})" if len(good) > 1 else ""
            moved = max((line["moved_forecasts"] for line in good), default=0)
            worst = max((line["moved"] or 0 for line in good), default=0)
            spread = f"{moved} of {good[-1]['forecasts']}, {worst:.2g}" if one["moved"] else ""
            far = sum(line["far_paths"] for line in good) if one["moved"] else ""
            print(f"| {name} | {way} | {_text(one['mase'])}{seeds} | {_text(one['wql'])} | "
                  f"{_text(one['crps'])} | {' '.join(f'{c:.0%}' for c in cover)} | "
                  f"{_text(one['width'])} | {spread} | {far} | {good[-1]['points']:,} | "
                  f"{_text(one['seconds'] if one['seconds'] is not None else one['wall'])} |")  # fmt: skip
    print("\nGeometric means over sets of the ratio to seasonal naive, medians in brackets:\n\n"
          "| way | sets | MASE | WQL | worse by over 2 %: MASE, WQL, both | 90 % hold, mean |"
          " sets of 100 points below 75 % |\n" + "|---" * 7 + "|")  # fmt: skip
    for way in WAYS:
        ratios = {}
        for name in SETS:
            one, plain = medians.get((name, way)), medians.get((name, "seasonal naive"))
            if one and plain:
                ratios[name] = [one[key] / plain[key] if one[key] and plain[key] else 1.0
                                for key in ("mase", "wql")]  # fmt: skip
        if not ratios:
            continue
        both = {name: math.sqrt(m * w) for name, (m, w) in ratios.items()}
        worse = [sum(pair[place] > 1.02 for pair in ratios.values()) for place in range(2)]
        cover = {name: medians[name, way]["cover"][2] for name in ratios}
        low = [f"{name} {share:.0%}" for name, share in cover.items()
               if share < 0.75 and medians[name, way]["points"] >= 100]  # fmt: skip
        bad = ", ".join(f"{name} {ratio:.2f}" for name, ratio in both.items() if ratio > 1.02)
        means = [[pair[place] for pair in ratios.values()] for place in range(2)]
        shown = [f"{_geometric(own):.3f} ({statistics.median(own):.3f})" for own in means]
        print(f"| {way} | {len(ratios)} | {' | '.join(shown)} | {worse[0]}, {worse[1]}, "
              f"{sum(ratio > 1.02 for ratio in both.values())}: {bad} | "
              f"{statistics.fmean(cover.values()):.1%} | {', '.join(low) or 'none'} |")  # fmt: skip


def _median(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return statistics.median(known) if known else None


def _text(number: float | None) -> str:
    return "-" if number is None else f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("wheels")
    for name in ("sets", "m4"):
        one = commands.add_parser(name)
        one.add_argument("out")
        one.add_argument("--budget", default="60s")
        one.add_argument("--seeds", type=int, default=3)
        one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
        if name == "sets":
            one.add_argument("--wheels", required=True)
            one.add_argument("--only", nargs="*", default=list(SETS))
            one.add_argument("--ways", nargs="*", default=list(WAYS))
            one.add_argument("--peers", default="/tmp/peers")
            one.add_argument(
                "--most", type=float, default=300.0, help="seconds of a method on a set"
            )
    one = commands.add_parser("table")
    one.add_argument("out")
    one.add_argument("--budget")
    one.add_argument("--code")
    arguments = parser.parse_args()
    if arguments.command == "list":
        list_sets(Packages(Path(arguments.wheels)))
    else:
        {"sets": run_sets, "m4": run_m4, "table": table}[arguments.command](arguments)


if __name__ == "__main__":
    main()
