"""Shares: training, validation and test hold every character once, in order, and know where a text was cut."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.data import Document, Split, documents_hash, split_tail

PROVE = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
SHARES = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5]) | st.integers(0, 50).map(
    lambda percent: percent / 100
)
FIRST = 0x10000


def corpus(sizes: list[int], complete: list[bool] | None = None) -> list[Document]:
    """Documents in which every character occurs once and tells its place in the corpus."""
    documents = []
    start = FIRST
    for index, size in enumerate(sizes):
        text = "".join(map(chr, range(start, start + size)))
        ends = complete[index] if complete is not None else True
        documents.append(Document(text, f"document {index}", ends))
        start += size
    return documents


def places(documents: tuple[Document, ...]) -> list[int]:
    return [ord(character) - FIRST for document in documents for character in document.text]


def pieces_in_order(split: Split) -> list[Document]:
    pieces = [*split.train, *split.validation, *split.test]
    return sorted(pieces, key=lambda piece: piece.text[0])


@PROVE
@given(
    sizes=st.lists(st.integers(1, 60) | st.integers(1, 6000), min_size=1, max_size=9),
    data=st.data(),
    test_share=SHARES,
    validation_share=SHARES,
)
def test_the_shares_partition_the_corpus(
    sizes: list[int], data, test_share: float, validation_share: float
):
    flags = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    documents = corpus(sizes, flags)
    total = sum(sizes)
    split = split_tail(documents, test_share=test_share, validation_share=validation_share)

    for share in (split.train, split.validation, split.test):
        assert places(share) == sorted(places(share))
        assert all(piece.text for piece in share)
    everything = places(split.train) + places(split.validation) + places(split.test)
    assert sorted(everything) == list(range(total))

    whole = {document.name: document for document in documents}
    joined = dict.fromkeys(whole, "")
    for piece in pieces_in_order(split):
        joined[piece.name] += piece.text
        ends = joined[piece.name] == whole[piece.name].text
        assert piece.complete == (ends and whole[piece.name].complete)
    assert joined == {name: document.text for name, document in whole.items()}

    tested = places(split.test)
    assert tested == list(range(total - len(tested), total))
    slack = 1 if len(sizes) == 1 else 1 + test_share * total / 5
    assert abs(len(tested) - test_share * total) <= slack
    rest = total - len(tested)
    slack = 8 if len(sizes) == 1 else 8 + validation_share * rest / 5
    assert abs(len(places(split.validation)) - validation_share * rest) <= slack


@pytest.mark.parametrize("size", [1, 2, 9, 10, 11, 30, 70, 99, 100, 1_003, 1_115_394])
def test_the_test_share_of_one_text_is_exactly_its_last_tenth(size: int):
    text = "".join(chr(32 + place % 90) for place in range(size))
    split = split_tail([Document(text, "a")], test_share=0.1, validation_share=0.05)
    assert "".join(piece.text for piece in split.test) == text[int(0.9 * len(text)) :]
    assert sum(len(piece.text) for piece in split.train + split.validation) == int(0.9 * len(text))


def test_a_cut_text_ends_only_where_it_ended():
    split = split_tail(corpus([100]), test_share=0.1, validation_share=0.0)
    assert [piece.complete for piece in split.train] == [False]
    assert [piece.complete for piece in split.test] == [True]
    split = split_tail(corpus([100], [False]), test_share=0.1, validation_share=0.0)
    assert [piece.complete for piece in split.test] == [False]


def test_the_cut_moves_to_a_near_end_of_a_document():
    split = split_tail(corpus([899, 101]), test_share=0.1, validation_share=0.0)
    assert [len(piece.text) for piece in split.train] == [899]
    assert [len(piece.text) for piece in split.test] == [101]
    assert all(piece.complete for piece in split.train + split.test)


def test_the_cut_never_moves_to_a_far_end_of_a_document():
    split = split_tail(corpus([700, 300]), test_share=0.1, validation_share=0.0)
    assert [len(piece.text) for piece in split.train] == [700, 200]
    assert [len(piece.text) for piece in split.test] == [100]


def test_validation_is_spread_over_a_long_text():
    split = split_tail(corpus([200_000]), test_share=0.1, validation_share=0.05)
    held = [len(piece.text) for piece in split.validation]
    assert len(held) == 8
    assert sum(held) == pytest.approx(9_000, abs=8)
    assert max(held) - min(held) <= 1
    begins = [ord(piece.text[0]) - FIRST for piece in split.validation]
    assert begins == [pytest.approx((index + 1) * 22_500 - 1_125, abs=2) for index in range(8)]


def test_validation_of_a_short_text_is_one_piece():
    split = split_tail(corpus([20_000]), test_share=0.1, validation_share=0.05)
    assert [len(piece.text) for piece in split.validation] == [900]
    assert ord(split.validation[0].text[-1]) - FIRST == 17_999


def test_no_share_held_out_leaves_everything_to_training():
    documents = corpus([10, 20])
    split = split_tail(documents, test_share=0.0, validation_share=0.0)
    assert split == Split(tuple(documents), (), ())


def test_nothing_divides_into_nothing():
    assert split_tail([], test_share=0.1, validation_share=0.05) == Split((), (), ())


def test_the_hash_follows_texts_and_boundaries_and_not_names():
    def of(*texts: str, complete: bool = True, name: str = "a") -> str:
        return documents_hash([Document(text, name, complete) for text in texts])

    assert of("ab") == of("ab", name="b")
    prints = [of("ab"), of("a", "b"), of("b", "a"), of("ab", complete=False), of(), of("", "ab")]
    assert len(set(prints)) == len(prints)
    assert len(of("é" + chr(0xDC80))) == 64
