"""Shares: training, validation and test hold every character once, in order, and know where a text was cut."""

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.data import Parts, Splits, split_documents
from rhapsode.data.splits import MOST_TEST, MOST_VALIDATION

PROVE = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
SHARES = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5]) | st.integers(0, 50).map(
    lambda percent: percent / 100
)


def digests(names: list[int]) -> np.ndarray:
    """Digests of documents; equal numbers are equal texts."""
    rows = [hashlib.sha256(str(name).encode()).digest()[:16] for name in names]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def split(sizes: list[int], names: list[int] | None = None, **settings) -> Splits:
    asked = {"test_share": 0.1, "validation_share": 0.05} | settings
    marks = digests(names if names is not None else list(range(len(sizes))))
    return split_documents(np.array(sizes, dtype=np.int64), marks, **asked)


def size(parts: Parts) -> int:
    return int((parts[:, 2] - parts[:, 1]).sum())


def places(sizes: list[int], parts: Parts) -> list[int]:
    """The characters of parts, counted over all documents."""
    begins = np.cumsum([0, *sizes])
    return [
        place
        for document, begin, end in parts.tolist()
        for place in range(begins[document] + begin, begins[document] + end)
    ]


@PROVE
@given(
    sizes=st.lists(st.integers(1, 60) | st.integers(1, 6000), min_size=1, max_size=9),
    test_share=SHARES,
    validation_share=SHARES,
)
def test_the_shares_partition_the_corpus(
    sizes: list[int], test_share: float, validation_share: float
):
    total = sum(sizes)
    found = split(sizes, test_share=test_share, validation_share=validation_share)
    shares = (found.train, found.validation, found.test)
    for share in shares:
        assert places(sizes, share) == sorted(places(sizes, share))
        assert (share[:, 1] < share[:, 2]).all()
    assert sorted(place for share in shares for place in places(sizes, share)) == list(range(total))
    tested = places(sizes, found.test)
    assert tested == list(range(total - len(tested), total))
    slack = 1 if len(sizes) == 1 else 1 + test_share * total / 5
    assert abs(len(tested) - test_share * total) <= slack
    rest = total - len(tested)
    slack = 8 if len(sizes) == 1 else 8 + 0.4 * validation_share * rest
    assert abs(size(found.validation) - validation_share * rest) <= slack


@PROVE
@given(
    names=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    lengths=st.lists(st.integers(1, 400), min_size=13, max_size=13),
    by=st.sampled_from(["tail", "documents"]),
    duplicates=st.sampled_from(["keep", "drop"]),
)
def test_no_text_is_on_two_sides(names: list[int], lengths: list[int], by: str, duplicates: str):
    sizes = [lengths[name] for name in names]
    found = split(sizes, names, by=by, duplicates=duplicates, test_share=0.3, validation_share=0.2)
    seen: set[tuple[int, int]] = set()
    for share in (found.train, found.validation, found.test):
        here = {
            (names[document], place)
            for document, begin, end in share.tolist()
            for place in range(begin, end)
        }
        assert not here & seen
        seen |= here
    assert seen == {(name, place) for name in set(names) for place in range(lengths[name])}
    if duplicates == "drop":
        assert size(found.train) + size(found.validation) + size(found.test) == len(seen)
    copies = len(names) - len(set(names))
    assert 0 <= found.left_out <= copies


def test_copies_of_what_is_learnt_are_learnt_and_copies_of_what_is_held_out_are_not():
    sizes, names = [100] * 12, [*range(10), 0, 9]
    found = split(sizes, names, validation_share=0.0)
    assert found.test.tolist() == [[9, 0, 100]]
    assert found.train[:, 0].tolist() == [*range(9), 10]
    assert found.left_out == 1


def test_a_document_stays_where_it_is_when_others_are_added():
    def sides(count: int) -> dict[int, str]:
        found = split([50] * count, by="documents", test_share=0.2, validation_share=0.1)
        return {
            int(document): name
            for name in ("train", "validation", "test")
            for document in getattr(found, name)[:, 0]
        }

    few, many = sides(300), sides(1000)
    assert few.items() <= many.items()
    shares = [list(many.values()).count(name) / 1000 for name in ("train", "validation", "test")]
    assert shares == pytest.approx([0.72, 0.08, 0.2], abs=0.05)


def test_what_is_held_out_of_a_large_corpus_is_bounded():
    for by, slack in (("tail", 10_000), ("documents", 100_000)):
        found = split([1000] * 100_000, by=by)
        assert size(found.test) <= MOST_TEST + slack
        assert size(found.validation) <= MOST_VALIDATION + slack
        assert size(found.test) > 0.9 * MOST_TEST
        assert size(found.validation) > 0.9 * MOST_VALIDATION


@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 30, 70, 99, 100, 1_003, 1_115_394])
def test_the_test_share_of_one_text_is_exactly_its_last_tenth(length: int):
    found = split([length])
    begin = int(0.9 * length)
    assert found.test.tolist() == ([[0, begin, length]] if begin < length else [])
    assert size(found.train) + size(found.validation) == begin


def test_the_cut_moves_to_a_near_end_of_a_document():
    found = split([899, 101], validation_share=0.0)
    assert found.train.tolist() == [[0, 0, 899]]
    assert found.test.tolist() == [[1, 0, 101]]


def test_the_cut_never_moves_to_a_far_end_of_a_document():
    found = split([700, 300], validation_share=0.0)
    assert found.train.tolist() == [[0, 0, 700], [1, 0, 200]]
    assert found.test.tolist() == [[1, 200, 300]]


def test_validation_is_spread_over_a_long_text():
    held = split([200_000]).validation
    sizes = held[:, 2] - held[:, 1]
    assert len(held) == 8
    assert size(held) == pytest.approx(9_000, abs=8)
    assert max(sizes) - min(sizes) <= 1
    assert held[:, 1].tolist() == [
        pytest.approx((index + 1) * 22_500 - 1_125, abs=2) for index in range(8)
    ]


def test_validation_of_many_short_documents_is_whole_documents():
    found = split([430] * 10_000)
    for share in (found.train, found.validation, found.test):
        assert (share[:, 1] == 0).all()
        assert (share[:, 2] == 430).all()
    assert len(found.validation) == pytest.approx(450, abs=16)


def test_validation_of_a_short_text_is_one_piece():
    assert split([20_000]).validation.tolist() == [[0, 17_100, 18_000]]


def test_no_share_held_out_leaves_everything_to_training():
    found = split([10, 20], test_share=0.0, validation_share=0.0)
    assert found.train.tolist() == [[0, 0, 10], [1, 0, 20]]
    assert not len(found.validation) + len(found.test)


def test_nothing_divides_into_nothing():
    found = split([])
    assert not len(found.train) + len(found.validation) + len(found.test)
