"""The grammar of `kitchen`: what it draws it can parse in one way only, at the probability it was drawn with."""

import math

import numpy as np

from rhapsode.data.corpora.kitchen import (
    grammar,
    kitchen_documents,
    kitchen_log_prob,
    kitchen_record,
)
from rhapsode.data.corpora.text_grammar import (
    Choice,
    Recall,
    Series,
    Text,
    draw_text,
    log_prob,
    optional,
    parses,
)


def test_drawn_texts_have_the_probability_they_were_drawn_with_and_one_parse() -> None:
    generator = np.random.default_rng(3)
    for _ in range(200):
        text, nats = draw_text(grammar(), generator)
        ways = list(parses(grammar(), text))
        assert len(ways) == 1
        assert math.isclose(ways[0], nats, rel_tol=1e-12)
        assert kitchen_log_prob(text) == log_prob(grammar(), text)


def test_other_texts_are_impossible() -> None:
    text = next(kitchen_documents(1)).text
    assert kitchen_log_prob(text[:-1]) == -math.inf
    assert kitchen_log_prob(text.replace("Add", "Ad")) == -math.inf
    assert kitchen_log_prob("") == -math.inf


def test_what_was_chosen_is_said_again() -> None:
    node = Series(
        (Choice((Text("a"), Text("b")), (1, 3), "x"), optional(Text("!"), 0.25),
         Recall("x", (Text("A"), Text("B"))))
    )  # fmt: skip
    whole = {"aA": 0.25 * 0.75, "a!A": 0.25 * 0.25, "bB": 0.75 * 0.75, "b!B": 0.75 * 0.25}
    for text, probability in whole.items():
        assert math.isclose(math.exp(log_prob(node, text)), probability)
    assert log_prob(node, "aB") == -math.inf
    assert math.isclose(math.fsum(whole.values()), 1.0)


def test_an_ambiguous_grammar_sums_its_parses() -> None:
    node = Choice((Text("a"), Series((Text("a"), optional(Text("b"), 0.5)))))
    assert len(list(parses(node, "a"))) == 2
    assert math.isclose(math.exp(log_prob(node, "a")), 0.75)


def test_the_corpus_is_the_same_every_time_and_varied() -> None:
    texts = [document.text for document in kitchen_documents(500)]
    assert texts == [document.text for document in kitchen_documents(500)]
    assert len(set(texts)) > 495
    entropy = -np.mean([kitchen_log_prob(text) for text in texts])
    assert 24 < entropy < 30


def test_records_are_laid_out_as_collected_ones() -> None:
    record = kitchen_record(next(kitchen_documents(1)).text)
    assert list(record) == [
        "title", "ingredients", "directions", "tags", "language", "source", "url",
    ]  # fmt: skip
    assert all(isinstance(line, str) and line for line in record["directions"])
    assert len(record["ingredients"]) in (5, 6)
