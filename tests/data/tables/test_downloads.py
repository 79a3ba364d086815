"""Tables as agencies, banks, shops and devices hand them out; their numbers are made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.data.tables import read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.modalities.contract import Degree
from rhapsode.modalities.series.modality import SeriesModality
from tests.data.tables.helpers import series_of, told

FOLDER = Path(__file__).parents[1] / "downloads"
EXPECTED = json.loads((FOLDER / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_download_is_read_as_a_person_reads_it(name: str):
    wanted: dict[str, Any] = EXPECTED[name]
    if name.endswith((".xlsx", ".ods")):
        pytest.importorskip("python_calamine")
    assert SeriesModality().claim([FOLDER / name], {}).degree is Degree.LIKELY
    if "error" in wanted:
        with pytest.raises(DataError, match=wanted["error"]):
            read_series(FOLDER / name)
        return
    found = read_series(FOLDER / name)
    assert len(found) == wanted["count"]
    times = found.notes[0]
    span = f"({wanted['step']}, {wanted['first']} to {wanted['last']})"
    assert (span if wanted["step"] else "time: none") in times
    assert int(np.isnan(found.values_NK).sum()) == wanted["missing"]
    for series, ends in wanted["samples"].items():
        values = found.values_NK[found.rows(found.ids.index(series)), 0]
        assert values[[0, -1]].tolist() == ends
    assert wanted["told"] in told(found)


def test_a_ledger_is_added_up_by_day():
    found = read_series(
        FOLDER / "CA20240202_101512.csv", SeriesSettings(duplicates="sum", frequency="daily")
    )
    assert np.allclose(
        [np.nansum(found.values_NK[found.rows(series)]) for series in range(len(found))],
        [6923.23, 10924.65],
    )


@pytest.mark.parametrize(("frequency", "count"), [("yearly", 14), ("quarterly", 56)])
def test_years_or_quarters_are_chosen_among_months(frequency: str, count: int):
    found = read_series(FOLDER / "series-190124.csv", SeriesSettings(frequency=frequency))
    assert found.lengths.tolist() == [count]
    assert found.frequency.name == frequency


def test_flags_are_told_from_magnitudes(tmp_path: Path):
    rows = "".join(f"2024-01-{n:02},{n} m\n" for n in range(1, 9))
    assert series_of(tmp_path, "day,v\n" + rows).values_NK[0, 0] == 1e6
    assert series_of(tmp_path, "day,v\n" + rows + "2024-01-09,9\n").values_NK[0, 0] == 1


def test_an_hour_that_occurs_twice_on_a_weekday_is_an_error(tmp_path: Path):
    rows = "".join(f"2023-10-25 {hour:02}:00,{hour}\n" for hour in (0, 1, 2, 2, 3, 4))
    with pytest.raises(DataError, match="occurs twice"):
        series_of(tmp_path, "time,v\n" + rows)


def test_one_of_two_tables_with_times_is_chosen_by_its_columns():
    name = "temperature_2m_min (°C)"
    found = read_series(
        FOLDER / "open-meteo-52.52N13.42E38m.csv", SeriesSettings(value_columns=(name,))
    )
    assert found.frequency.name == "daily"
    assert found.lengths.tolist() == [11]
    assert "line 4: another table, 'time'" in told(found)


@pytest.mark.parametrize(
    ("hint", "size"),
    [("payee", 2), ("name of payee", 3), ("description", 1)],
)
def test_a_ledger_is_not_split_by_its_payees(tmp_path: Path, hint: str, size: int):
    payees = [f"shop {n % 7}" if n % 3 else f"person {n}" for n in range(90)]
    rows = "".join(
        f"2024-{1 + n // 30}-{1 + n % 30 // size},{p},{n}\n" for n, p in enumerate(payees)
    )
    body = f"date,{hint},amount\n" + rows.replace("2024-2-30", "2024-3-30")
    if size > 1:
        with pytest.raises(DataError, match=r"occurs twice.*--duplicates sum"):
            series_of(tmp_path, body)
    assert series_of(tmp_path, body, duplicates="sum").ids == ("amount",)


def test_two_stations_without_a_name_known_as_one_are_told_apart(tmp_path: Path):
    rows = "".join(f"{s};202401{d:02};{d}\n" for s in (17, 4) for d in range(1, 10))
    assert series_of(tmp_path, f"Standort;Datum;x\n{rows}").ids == ("17", "4")


@pytest.mark.parametrize(
    ("stamps", "step", "first"),
    [
        ("1º trimestre 2015|2º trimestre 2015|3º trimestre 2015", "quarterly", "2015Q1"),
        ("1. Quartal 2015|2. Quartal 2015|3. Quartal 2015", "quarterly", "2015Q1"),
        ("2015-T1|2015-T2|2015-T3", "quarterly", "2015Q1"),
        ("III квартал 2015|IV квартал 2015|I квартал 2016", "quarterly", "2015Q3"),
        ("2018.1/4|2018.2/4|2018.3/4", "quarterly", "2018Q1"),
        ("2018.09|2018.10|2018.11|2018.12|2019.01|2019.02", "monthly", "2018-09"),
    ],
)
def test_quarters_and_months_of_agencies(tmp_path: Path, stamps: str, step: str, first: str):
    rows = "".join(f"{stamp};{n}\n" for n, stamp in enumerate(stamps.split("|")))
    assert f"({step}, {first} to " in series_of(tmp_path, f"when;v\n{rows}").notes[0]


@pytest.mark.parametrize("mark", ["X", "(D)", "**", "N/E", "c"])
def test_a_mark_among_numbers_is_a_missing_value(tmp_path: Path, mark: str):
    rows = "".join(f"2024-01-{n:02},{mark if n == 4 else n}\n" for n in range(1, 9))
    found = series_of(tmp_path, f"day,v\n{rows}")
    assert np.isnan(found.values_NK[3, 0])
    said = "flags beside numbers" if mark in {"(D)", "**"} else f"{mark!r} among numbers: read as"
    assert said in told(found)


@pytest.mark.parametrize(
    ("body", "ids", "word"),
    [
        # Constants beside text that describes the series; a flag; the code of a time.
        ("day,place,lat,v\n{d},Oslo,59.9,{n}\n", ("v",), "the same in all rows of a series: 'lat'"),
        ("day,v,v_flag\n{d},{n}.5,{f}\n", ("v",), "a code or a flag: 'v_flag'"),
        ("day,day_id,v\n{d},{n}7,{f}.5\n", ("v",), "a code that rises with the time: 'day_id'"),
        # A constant without such text is a series, and so is a code if there is nothing else.
        ("day,zero,v\n{d},0,{n}\n", ("zero", "v"), "constant: 'zero'"),
        ("day,status\n{d},{f}\n", ("status",), ""),
    ],
)
def test_what_stands_beside_the_values(tmp_path: Path, body: str, ids: tuple[str, ...], word: str):
    head, row = body.split("\n", 1)
    rows = (row.format(d=f"2024-01-{n:02}", n=n, f=(0, 0, 3)[n % 3]) for n in range(1, 15))
    found = series_of(tmp_path, f"{head}\n{''.join(rows)}")
    assert found.ids == ids
    assert word in told(found)


def test_several_labels_may_name_a_row(tmp_path: Path):
    months = ",".join(f"2020M{n:02}" for n in range(1, 8))
    rows = "".join(f"{r},{k},1,2,3,4,5,6,7\n" for r in "ab" for k in ("men", "women"))
    found = series_of(tmp_path, f"region,sex,{months}\n{rows}\nSource:\n20231107 08:00\nUs\n")
    assert found.ids == ("a/men", "a/women", "b/men", "b/women")
