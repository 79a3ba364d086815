"""Measures of answers, and the choice of elements for a side of pairs."""

import itertools

import pytest

from rhapsode.modalities.text.pairs.pair_corpus import are_symbols, learn_side
from rhapsode.modalities.text.pairs.pair_measures import (
    corpus_scores,
    edit_distance,
    measure_answers,
)
from rhapsode.views.pair_report import alignment_matrix
from rhapsode.views.pictures.alignment_picture import alignment_svg


def slow_distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        slow_distance(one[1:], other) + 1,
        slow_distance(one, other[1:]) + 1,
        slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_edit_distances_are_the_recursion() -> None:
    texts = [t for n in range(4) for t in itertools.product((1, 2), repeat=n)]
    for one, other in itertools.product(texts, texts):
        assert edit_distance(one, other) == slow_distance(one, other)


def test_the_nearest_right_output_counts() -> None:
    answers = [[1, 2, 3], [4], []]
    references = [[[9, 9, 9, 9], [1, 2, 3]], [[4, 5], [6, 7, 8]], [[1]]]
    found = measure_answers(answers, references, unfinished=1)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.symbol_error_rate == pytest.approx((0 + 1 + 1) / (3 + 2 + 1))
    assert found.edit_distance == pytest.approx(2 / 3)
    assert found.unfinished == pytest.approx(1 / 3)


def test_bleu_is_that_of_sacrebleu() -> None:
    pytest.importorskip("sacrebleu")
    same = corpus_scores(["the cat sat on the mat"], [["a cat", "the cat sat on the mat"]])
    assert same["bleu"] == pytest.approx(100.0)
    assert same["chrf"] == pytest.approx(100.0)
    assert "tok:13a" in same["signature"]


def test_symbols_between_spaces_become_elements() -> None:
    phonemes = ["EY B AH L", "B AE K", "K AE B"] * 20
    assert are_symbols(phonemes)
    assert learn_side(phonemes, "auto", {}).encode("B AH").tolist() != []
    assert (
        learn_side(phonemes, "auto", {}).decode(learn_side(phonemes, "auto", {}).encode("B AH"))
        == "B AH"
    )
    assert not are_symbols(["19. Juni 2015", "20. Mai 2016"] * 20)
    assert not are_symbols(["bread", "soup"] * 40)
    assert not are_symbols([f"w{n} x{n} y{n}" for n in range(400)])
    assert learn_side(["bread"] * 40, "auto", {}).name == "characters.v1"


def test_frequent_words_of_joined_fields_become_elements() -> None:
    lemmas = ["tasata", "vapiti", "piste", "kala", "lumi"]
    texts = [f"{lemma}{n % 7} {kind};PL" for n in range(20) for lemma in lemmas for kind in "NV"]
    encoder = learn_side(texts, "auto", {}, joined=True)
    labels = [encoder.label(int(element)) for element in encoder.encode("tasata3 V;PL")]
    assert labels == [*"tasata3", " V", ";", "PL"]
    assert encoder.decode(encoder.encode("pata9 N;PL")) != ""
    assert not encoder.unknown("aatsi1 V;PL")
    assert learn_side(texts, "auto", {}).name == "characters.v1"
    for one, text in zip(encoder.encode_all(texts[:9]), texts, strict=False):
        assert one.tolist() == encoder.encode(text).tolist()


def test_pictures_of_an_alignment_name_its_elements() -> None:
    alignment = {
        "source": ["a", "<", "<end>"],
        "output": ["K", "<end>"],
        "weights": [[0.0, 1.0, 0.0], [0.25, 0.0, 0.75]],
    }
    svg = alignment_svg([alignment])
    assert svg.count('class="cell"') == 3
    assert "&lt;end&gt;" in svg
    assert alignment_matrix(alignment).plain.splitlines()[-2:] == [
        "    K    █  ",
        "<end>  ░   ▓",
    ]
