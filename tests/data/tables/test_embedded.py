"""Series known by name: always the same, and what their formulas say."""

import hashlib

import numpy as np
import pytest

from rhapsode.data import CATALOGUE, catalogue_documents
from rhapsode.data.tables import SERIES, read_series
from rhapsode.errors import DataError


def test_the_catalogue_lists_them():
    assert {name for name, entry in CATALOGUE.items() if entry.series} == set(SERIES)
    assert {CATALOGUE[name].kind for name in SERIES} == {"series"}
    with pytest.raises(DataError, match="a series of numbers, not text"):
        catalogue_documents("airline")


def test_airline():
    airline = read_series("airline")
    assert airline.values_NK.shape == (144, 1)
    assert airline.values_NK[[0, 143], 0].tolist() == [112, 432]
    assert airline.values_NK.sum() == 40363
    assert airline.period == 12
    assert airline.notes == (
        "time: column 'Month' (monthly, 1949-01 to 1960-12); value: '#Passengers'; 1 series of 144",
    )


HASHES = {
    "ar2": "60cce23f3d700a66",
    "regimes": "9d776dd626905ffa",
    "sine-trend": "8605fff9cf2e2354",
}


@pytest.mark.parametrize("name", sorted(set(SERIES) - {"airline"}))
def test_drawn_ones_never_change(name: str):
    found = read_series(name)
    raw = found.times_N.tobytes() + found.values_NK.tobytes()
    assert hashlib.sha256(raw).hexdigest()[:16] == HASHES[name]


def test_what_the_formulas_say():
    wave = read_series("sine-trend")
    hours = np.arange(2400)
    rest = wave.values_NK[:, 0] - 10 - 0.01 * hours - 3 * np.sin(2 * np.pi * hours / 24)
    assert wave.period == 24
    assert abs(rest.mean()) < 0.05
    assert abs(rest.std() - 0.5) < 0.03
    regimes = read_series("regimes").values_NK[:, 0]
    high = regimes > 3
    assert abs(regimes[high].mean() - 5) < 0.1
    assert abs(regimes[~high].std() - 1) < 0.1
    assert 20 < np.count_nonzero(np.diff(high.astype(int))) < 120
    values = read_series("ar2").values_NK[:, 0]
    noise = values[2:] - 1.2 * values[1:-1] + 0.5 * values[:-2]
    assert abs(noise.std() - 1) < 0.05
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.06
