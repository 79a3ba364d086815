"""Conditions: arrays that fit one another, rows picked from them and from a batch."""

from typing import Any

import numpy as np
import pytest

from rhapsode.data import Batch, Condition
from rhapsode.errors import DataError

IDS_BS = np.array([[3, 1, 0], [2, 0, 0]])
VALUES_BSK = np.ones((2, 3, 1), dtype=np.float32)
LENGTHS_B = np.array([2, 1])
STATIC_BK = np.array([[1.0, np.nan], [0.0, 2.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds no identifiers, no values and no attributes"),
        ({"ids_BS": IDS_BS}, "needs lengths if it has identifiers or values"),
        ({"static_BK": STATIC_BK, "lengths_B": LENGTHS_B}, "needs lengths if it has identifiers"),
        (
            {"ids_BS": IDS_BS, "values_BSK": VALUES_BSK, "lengths_B": LENGTHS_B},
            "identifiers or values, not both",
        ),
        ({"ids_BS": IDS_BS[0], "lengths_B": LENGTHS_B}, "ids_BS .* is int64 of 1 axes, not int64"),
        ({"static_BK": STATIC_BK.astype(float)}, "static_BK .* is float64 of 2 axes, not float32"),
        (
            {"ids_BS": IDS_BS, "lengths_B": LENGTHS_B, "static_BK": STATIC_BK[:1]},
            "differ in their rows: ids_BS 2, lengths_B 2, static_BK 1",
        ),
        ({"ids_BS": IDS_BS, "lengths_B": np.array([0, 1])}, "lengths of a condition are 1 to 3"),
        ({"ids_BS": IDS_BS, "lengths_B": np.array([4, 1])}, "lengths of a condition are 1 to 3"),
        ({"ids_BS": -IDS_BS, "lengths_B": LENGTHS_B}, "are 0 or more"),
        ({"static_BK": np.full((1, 2), np.inf, np.float32)}, "static_BK .* infinite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Condition(**arrays)


def test_rows_are_picked_in_order_and_may_occur_twice() -> None:
    condition = Condition(IDS_BS, None, LENGTHS_B, STATIC_BK)
    assert condition.rows == 2
    chosen = condition.select(np.array([1, 0, 1]))
    assert chosen.ids_BS.tolist() == [[2, 0, 0], [3, 1, 0], [2, 0, 0]]
    assert chosen.lengths_B.tolist() == [1, 2, 1]
    np.testing.assert_array_equal(chosen.static_BK, STATIC_BK[[1, 0, 1]])
    assert chosen.values_BSK is None


def test_rows_of_a_batch_take_their_condition_along() -> None:
    weights_BT = np.ones((2, 3), dtype=np.float32)
    batch = Batch(IDS_BS, IDS_BS, weights_BT, condition=Condition(static_BK=STATIC_BK))
    part = batch.select(slice(1, 2))
    assert part.rows == part.condition.rows == 1
    assert part.inputs.tolist() == [[2, 0, 0]]
    assert part.condition.static_BK.tolist() == [[0.0, 2.0]]
    assert part.reset_BT is None


def test_joined_conditions_keep_their_rows() -> None:
    short = Condition(ids_BS=np.array([[7]]), lengths_B=np.array([1]), static_BK=STATIC_BK[:1])
    long = Condition(ids_BS=IDS_BS, lengths_B=LENGTHS_B, static_BK=STATIC_BK)
    joined = Condition.join([short, long])
    assert joined.ids_BS.tolist() == [[7, 0, 0], [3, 1, 0], [2, 0, 0]]
    assert joined.lengths_B.tolist() == [1, 2, 1]
    np.testing.assert_array_equal(joined.static_BK, STATIC_BK[[0, 0, 1]])
    assert joined.values_BSK is None
    values = Condition(values_BSK=VALUES_BSK, lengths_B=LENGTHS_B)
    narrow = Condition(values_BSK=VALUES_BSK[:, :2], lengths_B=LENGTHS_B)
    assert Condition.join([narrow, values]).values_BSK.shape == (4, 3, 1)


@pytest.mark.parametrize(
    "other",
    [
        Condition(ids_BS=IDS_BS, lengths_B=LENGTHS_B),
        Condition(static_BK=STATIC_BK[:, :1]),
    ],
)
def test_conditions_that_differ_in_kind_are_not_joined(other: Condition) -> None:
    with pytest.raises(DataError, match="differ in kind or size"):
        Condition.join([Condition(static_BK=STATIC_BK), other])
