"""Regular expressions: what is written matches, whatever the elements; what cannot be is refused."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.encoding import Encoder
from rhapsode.encoding.text import (
    BpeEncoder,
    ByteEncoder,
    CharacterEncoder,
    ReadyEncoder,
    UnigramEncoder,
    WordEncoder,
    WordPieceEncoder,
)
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.generation import Chain, Job, generate_elements
from rhapsode.generation.filters import constraint
from rhapsode.generation.filters.constraint import (
    Matching,
    compile_expression,
    spell_elements,
)
from rhapsode.generation.filters.contract import Suppress
from tests.generation.even import Even
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
TEXT = "Ein Café für 12 Gäste, 漢字 and 👍🏽 in the year 2024-05-17.\nthe end of the text\n" * 30
ENCODERS: dict[str, Encoder] = {
    "characters": CharacterEncoder.learn([TEXT], {}),
    "graphemes": CharacterEncoder.learn([TEXT], {"graphemes": True}),
    "bytes": ByteEncoder(),
    "words": WordEncoder.learn([TEXT], {}),
    "words apart": WordEncoder.learn([TEXT], {"split": "whitespace"}),
    "bpe": BpeEncoder.learn([TEXT], {"vocab_size": 320}),
    "wordpiece": WordPieceEncoder.learn([TEXT], {"vocab_size": 560}),
    "unigram": UnigramEncoder.learn([TEXT], {"vocab_size": 320}),
}
EXPRESSIONS = [
    r"[a-z]+( [a-z]+){1,3}",
    r"(?s).{0,9}",
    r"(the|year| |é|漢|\n){3}",
    r"[^a-z]{2,}",
    r"^in the (end|text)$",
    r"",
]


def continuations(
    encoder: Encoder, *filters: Any, length: int = 40, count: int = 12, prompt: str = ""
) -> list[tuple[str, str]]:
    """Text and why it ended."""
    prompt_N = encoder.encode(prompt).astype(np.int64)
    jobs = [Job(prompt_N, sequence, length) for sequence in range(count)]
    chain = Chain((Suppress((1,), encoder.vocab_size), *filters))
    ids: list[list[int]] = [[] for _ in jobs]
    ends = [""] * count
    for chosen in generate_elements(Even(encoder.vocab_size), jobs, chain, seed=3):
        ids[chosen.job].append(chosen.element)
        ends[chosen.job] = chosen.last or ""
    return [(encoder.decode(each), end) for each, end in zip(ids, ends, strict=True)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("name", ENCODERS)
def test_every_continuation_matches(name: str, expression: str) -> None:
    encoder = ENCODERS[name]
    try:
        matching = Matching(expression, encoder, length=40)
    except SettingsError:
        assert name.startswith("words")  # whole words cannot spell all of these
        return
    for text, _ in continuations(encoder, matching, prompt="the end"):
        assert re.fullmatch(expression, text)


@PROVE
@given(
    st.recursive(
        st.sampled_from(["a", "b", "é", "[ab]", ".", "漢", "x?"]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda both: f"({both[0]}|{both[1]})"),
            inner.map(lambda one: f"({one})*"),
            inner.map(lambda one: f"({one}){{1,3}}"),
        ),
        max_leaves=6,
    )
)
def test_random_expressions_are_matched_by_bytes_and_characters(expression: str) -> None:
    letters = CharacterEncoder.learn(["abxé漢 \n"], {})
    for encoder in (letters, ByteEncoder()):
        matching = Matching(expression, encoder, length=25)
        for text, _ in continuations(encoder, matching, length=25, count=4):
            assert re.fullmatch(expression, text)
            assert "\ufffd" not in text or encoder is not letters


def test_all_that_matches_can_be_written_and_nothing_else() -> None:
    encoder = CharacterEncoder.learn(["abc"], {})
    found = continuations(encoder, Matching("a?(b|cc)", encoder), count=200)
    assert {text for text, _ in found} == {"b", "cc", "ab", "acc"}
    assert {end for _, end in found} == {"stop"}


def test_half_a_character_is_never_the_end() -> None:
    for text, end in continuations(
        ByteEncoder(), Matching("[é漢👍]{1,4}", ByteEncoder()), count=40
    ):
        assert re.fullmatch("[é漢👍]{1,4}", text)
        assert end == "stop"


@pytest.mark.parametrize("length", [4, 5, 9])
def test_the_length_is_enough_for_a_match(length: int) -> None:
    encoder = CharacterEncoder.learn(["ab."], {})
    for text, _ in continuations(
        encoder, Matching(r"a[ab]*b\.\.", encoder, length=length), length=length, count=50
    ):
        assert re.fullmatch(r"a[ab]*b\.\.", text)


def test_an_expression_longer_than_the_length_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least 5 elements, but the length limit is 4"):
        Matching("abbba", CharacterEncoder.learn(["ab"], {}), length=4)


def test_a_way_that_the_elements_cannot_finish_is_not_taken() -> None:
    encoder = CharacterEncoder.learn(["abc"], {})
    found = {text for text, _ in continuations(encoder, Matching("(az|b)c", encoder), count=30)}
    assert found == {"bc"}


def test_what_the_elements_cannot_write_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"cannot|can be written.*it lacks 'z'"):
        Matching("a+z", CharacterEncoder.learn(["ab"], {}))


def test_a_dead_end_says_where_and_what_was_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraint, "_MOST_PAIRS", -1)  # as if there were too many ways
    encoder = CharacterEncoder.learn(["ab"], {})
    with pytest.raises(SettingsError) as caught:
        continuations(encoder, Matching("aaz", encoder), prompt="b", count=1)
    assert str(caught.value) == (
        "continuation 0, element 2, after 'baa': no element is possible here: the regular "
        "expression expects 'z'; relax a constraint, or choose another seed"
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_ways_walked_late_are_those_walked_beforehand(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = ENCODERS[name]
    early = continuations(encoder, Matching(r"(?s).{0,6}", encoder))
    monkeypatch.setattr(constraint, "_MOST_PAIRS", -1)
    assert continuations(encoder, Matching(r"(?s).{0,6}", encoder)) == early


def test_the_bytes_of_elements_are_those_of_texts() -> None:
    for encoder in ENCODERS.values():
        pieces = spell_elements(encoder)
        assert len(pieces) == encoder.vocab_size
        if encoder.spaced:
            continue
        for line in TEXT.splitlines(keepends=True)[:2]:
            ids = encoder.encode(line).tolist()
            if 1 not in ids:
                assert b"".join(pieces[each] for each in ids).decode() == line


def test_a_ready_tokenizer_over_bytes_is_followed_and_others_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(ENCODERS["bpe"].to_tokenizer_json())
    ready = ReadyEncoder.learn([TEXT], {"file": str(path)})
    for text, _ in continuations(ready, Matching("(é|[a-c] ){2,5}", ready, length=20), length=20):
        assert re.fullmatch("(é|[a-c] ){2,5}", text)
    path.write_text(ENCODERS["wordpiece"].to_tokenizer_json())
    other = ReadyEncoder.learn([TEXT], {"file": str(path)})
    with pytest.raises(SettingsError, match="not byte-level"):
        Matching("a", other)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "unsupported regular expression"),
        (r"(a)\1", "unsupported regular expression"),
        ("a(?=b)", "look-around"),
        (r"a[^\s\S]", "unsupported|no text matches"),
    ],
)
def test_expressions_that_cannot_be_followed(expression: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        compile_expression(expression)
    assert "\n" not in str(caught.value)


def test_an_automaton_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraint, "_MOST_STATES", 100)
    with pytest.raises(SettingsError, match="states, at most 100"):
        compile_expression("(?s).{0,90}")


def test_an_automaton_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraint, "_PATIENCE", 0.01)
    with pytest.raises(SettingsError, match="too many states: its automaton was not built within"):
        constraint.compile_expression("[a-c]{1999}x{2999}")


def test_anchors_around_the_whole_change_nothing() -> None:
    for expression in ("^ab$", "ab", "^ab", "ab$"):
        automaton = compile_expression(expression)
        state = automaton.start
        for byte in b"ab":
            state = int(automaton.next_SB[state, byte])
        assert automaton.accepting_S[state]
    escaped = compile_expression(r"a\$")
    assert escaped.next_SB[escaped.next_SB[escaped.start, ord("a")], ord("$")] >= 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "outlines_core", None)
    with pytest.raises(MissingExtraError, match=r"rhapsode\[regex\]"):
        compile_expression("never compiled before")


def test_rows_go_their_own_ways_and_may_be_picked() -> None:
    encoder = CharacterEncoder.learn(["abc"], {})
    model = Markov.random(encoder.vocab_size)
    chain = Chain([Matching("(ab|bc|ca)+", encoder, length=8)])
    jobs = [Job(np.empty(0, dtype=np.int64), sequence, 8) for sequence in range(20)]
    found: list[list[int]] = [[] for _ in jobs]
    for chosen in generate_elements(model, jobs, chain, seed=1):
        found[chosen.job].append(chosen.element)
    for ids in found:
        assert re.fullmatch("(ab|bc|ca)+", encoder.decode(ids))
