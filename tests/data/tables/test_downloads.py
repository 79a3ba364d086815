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
