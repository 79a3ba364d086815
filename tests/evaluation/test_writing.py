"""Measures of writing: literal values by hand, and their extremes on text that is all copied or all new."""

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.errors import DataError
from rhapsode.modalities.text.quality.text_index import TextIndex
from rhapsode.modalities.text.quality.text_quality import (
    LENGTHS,
    choose_unit,
    cut_equally,
    distinct,
    held_out_pieces,
    loop_period,
    measure_copying,
    measure_writing,
    repetition,
    self_bleu,
    units_of,
)

PROVE = settings(derandomize=True, deadline=None, max_examples=100)


def built(*passages: tuple[str, str]) -> TextIndex:
    index = TextIndex.build(passages)
    assert isinstance(index, TextIndex)
    return index


@pytest.fixture(scope="module")
def prose_index(prose: str) -> TextIndex:
    return built(("cover", "A cover.\n"), ("docs", prose))


def test_a_planted_copy_is_found_with_its_place(prose: str, prose_index: TextIndex):
    rng = random.Random(0)
    begin = prose.index("\n", 20_000) + 1
    passage = prose[begin : begin + 200]
    invented = ["".join(rng.choices("βγδεζ", k=1000)) for _ in range(3)]
    invented[1] = invented[1][:400] + passage + invented[1][600:]
    found = measure_writing(invented, prose_index, length=1000)
    assert found["longest_copy"]["text"] == passage
    assert found["longest_copy"]["length"] == 200
    assert found["longest_copy"]["start"] == 400
    assert found["longest_copy"]["in_text"] == 1
    assert found["longest_copy"]["document"] == "docs"
    assert found["longest_copy"]["offset"] == begin
    assert found["longest_copy"]["line"] == prose[:begin].count("\n") + 1
    assert found["longest_copy"]["count"] == 1
    assert found["copied_share"] == pytest.approx(200 / 3000)
    assert found["novelty"]["1"] == pytest.approx(2800 / 3000)
    assert found["novelty"]["192"] == pytest.approx(1 - 9 / (3 * 809))
    assert found["novelty"]["256"] == 1


def test_other_characters_are_new_at_every_length(prose_index: TextIndex):
    texts = ["".join(random.Random(seed).choices("あいうえお", k=300)) for seed in range(4)]
    found = measure_writing(texts, prose_index, length=300)
    assert found["novelty"] == dict.fromkeys(map(str, LENGTHS), 1.0)
    assert found["longest_copy"] is None
    assert found["copied_share"] == 0


def test_training_text_is_nowhere_new(prose: str, prose_index: TextIndex):
    texts = held_out_pieces(prose, length=500, number=20)
    assert len(texts) == 20
    found = measure_writing(texts, prose_index, length=500)
    assert found["novelty"] == dict.fromkeys(map(str, LENGTHS), 0.0)
    assert found["copied_share"] == 1
    assert len(found["longest_copy"]["text"]) == 500
    assert found["invented_words"] == 0
    assert found["invented_examples"] == []
    assert "reason" not in found


@PROVE
@given(
    training=st.text("ab", min_size=1, max_size=30),
    texts=st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=3),
    span=st.integers(1, 4),
)
def test_novelty_and_copied_share_by_hand(training: str, texts: list[str], span: int):
    found = measure_copying(texts, built(("t", training)), lengths=(1, 2, 3, 20), span=span)
    for length in (1, 2, 3, 20):
        parts = [t[i : i + length] for t in texts for i in range(len(t) - length + 1)]
        if parts:
            new = sum(part not in training for part in parts)
            assert found["novelty"][str(length)] == pytest.approx(new / len(parts))
        else:
            assert str(length) not in found["novelty"]
    inside = 0
    for text in texts:
        marked = set()
        for i in range(len(text) - span + 1):
            if text[i : i + span] in training:
                marked.update(range(i, i + span))
        inside += len(marked)
    assert found["copied_share"] == pytest.approx(inside / sum(map(len, texts)))


def test_distinct_n_by_hand():
    pieces = [["a", "b", "a", "b"], ["a", "c"]]
    assert distinct(pieces, 1) == 3 / 6
    assert distinct(pieces, 2) == 3 / 4  # ab ba ab | ac
    assert distinct(pieces, 3) == 2 / 2  # aba bab; none from one text into the next
    assert distinct(pieces, 4) == 1
    assert distinct(pieces, 5) is None


def test_repetition_by_hand():
    pieces = [["a", "b", "a", "b"], ["a", "c"], ["a", "a", "a", "a"]]
    assert repetition(pieces, 1) == pytest.approx((1 / 2 + 0 + 3 / 4) / 3)
    assert repetition(pieces, 2) == pytest.approx((1 / 3 + 0 + 2 / 3) / 3)
    assert repetition(pieces, 4) == pytest.approx(0)
    assert repetition(pieces, 5) is None


def test_self_bleu_of_equal_texts_is_one():
    assert self_bleu([list("abcde")] * 3) == pytest.approx(1.0)


def test_self_bleu_of_texts_with_nothing_in_common_is_zero():
    assert self_bleu([list("abcd"), list("efgh"), list("ijkl")]) == 0


def test_self_bleu_of_one_text_is_not_defined():
    assert self_bleu([list("abcd")]) is None


def test_self_bleu_by_hand():
    # Of the first: 1-grams 4/5, 2-grams 3/4, 3-grams 2/3, 4-grams 1/2; no penalty, as both have five.
    # The same holds for the second.
    pieces = [list("abcde"), list("abcdf")]
    expected = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert self_bleu(pieces) == pytest.approx(expected)


def test_self_bleu_counts_repeats_once_and_punishes_short_texts():
    # First: a twice, of which the other has one: 1/2; its 2-gram is not there: 0.1/1; longer ones: 0.1/1.
    # Second: 1/6; 0.1/5, 0.1/4, 0.1/3.
    first = (1 / 2 * 0.1 * 0.1 * 0.1) ** 0.25 * math.exp(1 - 6 / 2)
    second = (1 / 6 * 0.1 / 5 * 0.1 / 4 * 0.1 / 3) ** 0.25
    found = self_bleu([list("aa"), list("abcdef")])
    assert found == pytest.approx((first + second) / 2)


@PROVE
@given(
    pieces=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=9), min_size=2, max_size=5
    )
)
def test_self_bleu_as_the_definition_says(pieces: list[list[str]]):
    def grams(piece: list[str], n: int) -> list[tuple[str, ...]]:
        return [tuple(piece[i : i + n]) for i in range(len(piece) - n + 1)]

    scores = []
    for number, piece in enumerate(pieces):
        others = pieces[:number] + pieces[number + 1 :]
        product = 1.0
        for n in (1, 2, 3, 4):
            mine = grams(piece, n)
            hits = sum(
                min(mine.count(gram), max(grams(other, n).count(gram) for other in others))
                for gram in set(mine)
            )
            if n == 1 and not hits:
                product = 0.0
            product *= (hits or 0.1) / max(1, len(mine))
        nearest = min((abs(len(other) - len(piece)), len(other)) for other in others)[1]
        penalty = 1.0 if len(piece) >= nearest else math.exp(1 - nearest / len(piece))
        scores.append(product**0.25 * penalty)
    assert self_bleu(pieces) == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("It began. " + "and so on, " * 3, 11),
        ("It began. " + "and so on, " * 3 + "and s", 11),
        ("It began. " + "and so on, " * 2, 0),
        ("It began. " + "and so on, " * 2 + "and so on.", 0),
        ("and so on, " * 5 + "until it ended at last.", 0),
        ("well" + "." * 23, 0),
        ("well" + "." * 24, 1),
        ("ha" * 12, 2),
        ("abcdefgh" * 3, 8),
        ("ha" * 11, 0),
        ("", 0),
        ("x", 0),
    ],
)
def test_loops(text: str, period: int):
    assert loop_period(text) == period


@PROVE
@given(text=st.text("ab", max_size=60))
def test_loops_as_the_definition_says(text: str):
    expected = 0
    for period in range(len(text), 0, -1):
        size = max(3 * period, 24)
        tail = text[-size:]
        if len(tail) == size and tail[period:] == tail[:-period]:
            expected = period
    assert loop_period(text) == expected


def test_loops_are_counted(prose_index: TextIndex):
    texts = ["once upon a time there was " + "no one here " * 6, "x" * 40 + "q" * 60]
    texts.append(
        "The quick brown fox jumps over the lazy dog, and then it goes home to its den and sleeps soundly."
    )
    found = measure_writing(texts, prose_index, length=95)
    assert found["loops"] == pytest.approx(2 / 3)
    assert found["longest_loop"] == 12


def test_invented_words():
    index = built(("t", "The cat doesn't sit. Mats lie"))
    text = "xx the cat, the Catling; doesn't mats ... 12 sitt sitt Lie yy"
    found = measure_writing([text], index, length=len(text))
    # Judged: the cat the Catling doesn't mats sitt sitt Lie; not the first and the last, nor numbers.
    assert found["invented_words"] == pytest.approx(3 / 9)
    assert found["invented_examples"] == ["sitt", "Catling"]


def test_without_an_index_the_reason_is_told():
    mapping = measure_writing(["some text that is long enough"], "too much text", length=20)
    assert mapping["reason"] == "too much text"
    assert mapping["novelty"] is None
    assert mapping["longest_copy"] is None
    assert mapping["invented_words"] is None
    assert mapping["self_bleu"] is None
    assert mapping["distinct_1"] == 1
    json.dumps(mapping)


def test_texts_are_cut_to_one_length_and_number():
    texts = ["a" * 5, "b" * 9, "c" * 7, "d" * 7]
    assert cut_equally(texts, length=7) == ["b" * 7, "c" * 7, "d" * 7]
    assert cut_equally(texts, length=7, number=2) == ["b" * 7, "c" * 7]
    with pytest.raises(DataError, match="3 texts have 7 characters, 4 are needed"):
        cut_equally(texts, length=7, number=4)
    with pytest.raises(DataError, match="0 texts"):
        cut_equally(texts, length=10)
    with pytest.raises(ValueError, match="at least 1"):
        cut_equally(texts, length=0)
    found = measure_writing(texts, "none", length=7, number=2)
    assert (found["texts"], found["length"], found["left_out"]) == (2, 7, 1)


def test_pieces_of_real_text():
    assert held_out_pieces("abcdefghij", length=2, number=3) == ["ab", "ef", "ij"]
    assert held_out_pieces("abcdefghij", length=4, number=9) == ["abcd", "ghij"]
    assert held_out_pieces("abcdefghij", length=10, number=1) == ["abcdefghij"]
    assert held_out_pieces("abc", length=4, number=2) == []


@PROVE
@given(size=st.integers(1, 60), length=st.integers(1, 10), number=st.integers(1, 12))
def test_pieces_do_not_overlap(size: int, length: int, number: int):
    text = "".join(chr(0x4E00 + i) for i in range(size))
    pieces = held_out_pieces(text, length=length, number=number)
    assert len(pieces) == min(number, size // length)
    assert all(len(piece) == length for piece in pieces)
    starts = [text.index(piece) for piece in pieces]
    assert all(b - a >= length for a, b in pairwise(starts))


def test_units():
    assert units_of("Don't stop, e\u0301tude 3!", "word") == [
        "Don't",
        "stop",
        ",",
        "e\u0301tude",
        "3",
        "!",
    ]
    assert units_of("हिन्दी भाषा", "word") == ["हिन्दी", "भाषा"]
    assert units_of("天 地。", "character") == ["天", "地", "。"]
    assert choose_unit(["The word 天 means sky."]) == "word"
    assert choose_unit(["天地玄黄,宇宙洪荒。abc"]) == "character"
    assert choose_unit(["สวัสดีครับ"]) == "character"
    assert choose_unit(["12 34"]) == "word"


def test_a_script_without_spaces_is_measured_by_characters():
    found = measure_writing(["天地玄黄天地"], built(("t", "天地玄黄,宇宙洪荒")), length=6)
    assert found["unit"] == "character"
    assert found["distinct_1"] == pytest.approx(4 / 6)
    assert found["distinct_2"] == pytest.approx(4 / 5)
    assert found["invented_words"] is None
    assert found["reason"] == "words cannot be separated in a script without spaces"
    assert found["novelty"] is not None


def test_a_large_collection_is_sampled_the_same_way_again():
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefgh", k=10)) for _ in range(300)]
    one = measure_writing(texts, "none", length=19, seed=1)
    assert one["self_bleu_texts"] == 200
    assert measure_writing(texts, "none", length=19, seed=1) == one
    assert measure_writing(texts, "none", length=19, seed=2)["self_bleu"] != one["self_bleu"]
