"""Time and memory to read a table, beside polars reading the same.

Usage: python benchmarks/tables.py [ROWS]

A CSV file of ROWS rows (a million by default) with a time and three numbers, and a Parquet file of
about 100 MB, are written to a temporary folder. Each reader runs in a process of its own. "flat"
lays what polars read out as `read_series` does: the columns one after another, each with its times.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

READ = """
import resource, sys, time
import numpy as np
import polars as pl
import rhapsode.data.tables as tables

path, reader = sys.argv[1:]

def flat(table):
    times = table["time"].cast(pl.Datetime("ns")).to_numpy()
    values = [column.to_numpy() for column in table.drop("time")]
    return np.tile(times, len(values)), np.concatenate(values)

numbers = pl.col("a", "b", "c").cast(pl.Float64)
moment = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S")
READERS = {
    "ours": lambda: tables.read_series(path),
    "parquet": lambda: pl.read_parquet(path),
    "arrays": lambda: [column.to_numpy().copy() for column in pl.read_parquet(path)],
    "flat": lambda: flat(pl.read_parquet(path)),
    "found": lambda: pl.read_csv(path, try_parse_dates=True).with_columns(numbers),
    "said": lambda: pl.read_csv(path, infer_schema=False).select(moment, numbers),
}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.perf_counter()
READERS[reader]()
took = time.perf_counter() - begun
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(took, after / 1024, before / 1024)
"""


def write(folder: Path, rows: int) -> tuple[Path, Path]:
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(0)
    begin = pl.datetime(1990, 1, 1)
    hours = pl.select(pl.datetime_range(begin, begin + pl.duration(hours=rows - 1), "1h"))
    columns = {name: draw.normal(100, 20, rows).round(3) for name in "abc"}
    table = (
        hours.to_series()
        .alias("time")
        .to_frame()
        .with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    )
    table.write_csv(folder / "rows.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    many = 3 * rows
    minutes = pl.select(pl.datetime_range(begin, begin + pl.duration(minutes=many - 1), "1m"))
    wide = minutes.to_series().alias("time").to_frame()
    wide.with_columns(**{name: draw.normal(size=many) for name in "abcd"}).write_parquet(
        folder / "rows.parquet"
    )
    return folder / "rows.csv", folder / "rows.parquet"


def medians(path: Path, readers: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Seconds and peak memory in MB of each reader, medians of seven processes that take turns."""
    runs: dict[str, list[list[float]]] = {reader: [] for reader in readers}
    for _ in range(7):
        for reader, measured in runs.items():
            done = subprocess.run(
                [sys.executable, "-c", READ, str(path), reader],
                capture_output=True,
                text=True,
                check=True,
            )
            measured.append([float(each) for each in done.stdout.split()])
    return {
        reader: (statistics.median(run[0] for run in own), statistics.median(run[1] for run in own))
        for reader, own in runs.items()
    }


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        csv, parquet = write(Path(folder), rows)
        for path, peers in ((csv, ("found", "said")), (parquet, ("parquet", "arrays", "flat"))):
            figures = medians(path, ("ours", *peers))
            seconds, peak = figures.pop("ours")
            size = path.stat().st_size / 1e6
            print(f"{path.name}, {size:.0f} MB: read_series {seconds:.2f} s, peak {peak:.0f} MB")
            for peer, (own, memory) in figures.items():
                print(
                    f"  polars, {peer}: {own:.2f} s, peak {memory:.0f} MB; ratio {seconds / own:.2f}"
                )


if __name__ == "__main__":
    main()
