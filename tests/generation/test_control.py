"""Bias, bans, least length and first text: on filters, and in whole continuations of a small model."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config.sampling import ControlSettings
from rhapsode.encoding import Encoder
from rhapsode.encoding.text import BpeEncoder, CharacterEncoder, WordEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation import Chain, Filter, Job, generate_elements
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import MinLength, control_filters, spellings
from tests.contracts.filter_contract import context_of
from tests.generation.even import Even
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
LETTERS = CharacterEncoder.learn(["abcabaab" * 9], {})
WORDS = WordEncoder.learn(["the cat sat on the mat, the cat ran\n" * 5], {})
TEXT = "The cat sat on the mat. The cathedral concatenates cats.\n" * 40
PIECES = BpeEncoder.learn([TEXT], {"vocab_size": 300})


def written(
    encoder: Encoder,
    filters: Sequence[Filter],
    *,
    length: int = 12,
    count: int = 20,
    prompt: str = "",
    seed: int = 0,
) -> list[list[int]]:
    """Continuations of a random model, by their ids."""
    # A table of three elements in a row is large for subwords.
    small = encoder.vocab_size < 50
    model: Any = Markov.random(encoder.vocab_size, seed=seed) if small else Even(encoder.vocab_size)
    prompt_N = encoder.encode(prompt).astype(np.int64)
    jobs = [Job(prompt_N, sequence, length) for sequence in range(count)]
    found: list[list[int]] = [[] for _ in jobs]
    for chosen in generate_elements(
        model, jobs, Chain([Suppress((1,), encoder.vocab_size), *filters]), seed=5
    ):
        found[chosen.job].append(chosen.element)
    return found


def filters_of(encoder: Encoder = LETTERS, length: int | None = 12, **asked: Any) -> list[Filter]:
    return control_filters(ControlSettings(**asked), encoder, length=length)


def test_without_limits_there_are_no_filters() -> None:
    assert filters_of() == []


def test_the_order_of_the_filters() -> None:
    filters = filters_of(bias=("a=1",), ban=("b",), min_length=3, regex="[abc]*", prefix="c")
    names = [step.name for step in filters]
    assert names == ["bias", "ban", "min_length", "regex", "prefix"]
    assert Chain(filters).explain().startswith("bias #2 +1 -> ban [3] -> min_length 3 -> regex")


def test_a_bias_is_added_to_its_element_only() -> None:
    logits_BV = np.array([[0.0, -np.inf, 2.0, 3.0, 4.0]], dtype=np.float32)
    logits_BV.flags.writeable = False
    (step,) = filters_of(bias=("a=1.5", "#0=-2", "#1=7"))
    after_BV, _ = step.apply(logits_BV, context_of(1), None)
    assert after_BV.tolist() == [[-2.0, -np.inf, 3.5, 3.0, 4.0]]
    assert after_BV.dtype == np.float32


def test_a_bias_may_hold_an_equals_sign() -> None:
    encoder = CharacterEncoder.learn(["a=b=c#"], {})
    element = int(encoder.encode("=")[0])
    (step,) = control_filters(ControlSettings(bias=("==2", "##=1")), encoder)
    logits_BV = np.zeros((1, encoder.vocab_size), dtype=np.float32)
    after_BV, _ = step.apply(logits_BV, context_of(1), None)
    assert after_BV[0, element] == 2
    assert after_BV[0, int(encoder.encode("#")[0])] == 1


@pytest.mark.parametrize(
    "bias", ["a", "=1", "a=x", "a=nan", "a=inf", "#9=1", "#x=1", "ab=1", "z=1", "#=1"]
)
def test_a_bias_that_names_no_element_is_refused(bias: str) -> None:
    with pytest.raises(SettingsError) as caught:
        filters_of(bias=(bias,))
    assert "--bias" in str(caught.value)


def test_spellings() -> None:
    assert spellings("#3", LETTERS, "--ban") == [(3,)]
    assert spellings("ab", LETTERS, "--ban") == [(2, 3)]
    plain, spaced = (int(WORDS.encode(form)[0]) for form in ("cat", " cat"))
    assert set(spellings("cat", WORDS, "--ban")) <= {(plain,), (spaced,)}
    assert (spaced,) in spellings("cat", WORDS, "--ban")
    forms = spellings("cat", PIECES, "--ban")
    assert [PIECES.decode(ids) for ids in forms] == ["cat", " cat"]


@PROVE
@given(
    bans=st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=6),
    prompt=st.text(st.sampled_from("abc"), max_size=4),
    seed=st.integers(0, 9),
)
def test_a_banned_text_is_never_written(bans: list[str], prompt: str, seed: int) -> None:
    if {"a", "b", "c"} <= set(bans):
        return
    texts = written(LETTERS, filters_of(ban=tuple(bans)), prompt=prompt, count=8, seed=seed)
    for ids in texts:
        before = LETTERS.decode(ids)
        for end in range(len(prompt) + 1, len(prompt) + len(before) + 1):
            so_far = (prompt + before)[:end]
            assert not any(so_far.endswith(ban) for ban in bans)


def test_a_ban_takes_no_more_than_it_says() -> None:
    (step,) = filters_of(ban=("aba", "b", "ca"))
    context = context_of(1)
    for before, gone in (("ab", "ab"), ("", "b"), ("cab", "ab"), ("c", "ab"), ("a", "b")):
        output = (LETTERS.encode(before).astype(np.int64),)
        after_BV, _ = step.apply(
            np.zeros((1, 5), dtype=np.float32),
            context.__class__(context.prompt, output, context.position_B, context.sequence_B, 0),
            None,
        )
        removed = set(np.flatnonzero(np.isneginf(after_BV[0])).tolist())
        assert removed == {int(LETTERS.encode(each)[0]) for each in gone}


def test_thousands_of_bans_cost_what_a_few_do() -> None:
    import time

    texts = ["".join(each) for each in itertools.product("abc", repeat=8)][:6000]
    (many,) = filters_of(ban=tuple(texts))
    began = time.perf_counter()
    for _ in range(200):
        many.apply(np.zeros((1, 5), dtype=np.float32), context_of(1), None)
    assert time.perf_counter() - began < 5  # thousands of look-ups each would take minutes


@pytest.mark.parametrize("least", [1, 5, 12])
def test_no_continuation_is_shorter_than_min_length(least: int) -> None:
    texts = written(LETTERS, filters_of(min_length=least), count=40)
    sizes = [len([each for each in ids if each != 0]) for ids in texts]
    assert min(sizes) >= least
    assert least == 12 or min(sizes) < 12
    free = written(LETTERS, [], count=40)
    assert min(len(ids) for ids in free) == 1


def test_the_end_may_follow_the_last_element_that_min_length_asks_for() -> None:
    logits_BV = np.arange(20, dtype=np.float32).reshape(4, 5)
    context = replace(context_of(4), position_B=np.array([0, 2, 3, 4]))
    after_BV, _ = MinLength(3, LETTERS).apply(logits_BV, context, None)
    assert np.isneginf(after_BV[:, 0]).tolist() == [True, True, False, False]
    np.testing.assert_array_equal(after_BV[:, 1:], logits_BV[:, 1:])
    np.testing.assert_array_equal(after_BV[2:], logits_BV[2:])


@pytest.mark.parametrize("encoder", [LETTERS, PIECES], ids=["characters", "bpe"])
def test_the_continuation_begins_with_the_prefix(encoder: Encoder) -> None:
    text = "abca" if encoder is LETTERS else "concatenates the"
    for ids in written(encoder, filters_of(encoder, prefix=text), count=10, prompt="a"):
        assert encoder.decode(ids).startswith(text)
        assert len(ids) <= 12


def test_a_prefix_is_written_though_its_elements_were_removed() -> None:
    filters = filters_of(prefix="ab")
    logits_BV = np.full((1, 5), -np.inf, dtype=np.float32)
    logits_BV[0, 4] = 1
    after_BV, _ = filters[0].apply(logits_BV, context_of(1), None)
    assert np.flatnonzero(np.isfinite(after_BV[0])).tolist() == [2]
    later_BV, _ = filters[0].apply(logits_BV, context_of(1, position=2), None)
    np.testing.assert_array_equal(later_BV, logits_BV)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ban": ("a", "b", "c")}, "every element is banned"),
        ({"ban": ("#5",)}, "no element #5; the elements are #0 to #4"),
        ({"ban": ("",)}, "an empty text"),
        ({"ban": ("z",)}, "no element for 'z'"),
        ({"ban": ("b",), "prefix": "abc"}, "contains 'b', which is banned"),
        ({"ban": ("bc",), "prefix": "abc"}, "contains 'bc', which is banned"),
        ({"prefix": "az"}, "no element for 'z'"),
        ({"prefix": "a" * 13}, "13 elements, but the length limit is 12"),
        ({"min_length": 13}, "minimum of 13 elements exceeds the length limit of 12"),
        ({"stop": ("bc",), "prefix": "abc"}, "contains the stop text 'bc'"),
        ({"regex": "b.*", "prefix": "abc"}, "'abc' cannot begin a match of 'b.*', which expects"),
        ({"no_copy": 5}, "no index of the training data"),
    ],
)
def test_contradictions_are_refused_in_one_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        filters_of(**asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dead_end_says_where_it_is() -> None:
    # Behind "ab" nothing may come, and the end comes too early.
    filters = filters_of(ban=("aba", "abb", "abc", "bb", "aa", "ac", "c", "ba"), min_length=9)
    with pytest.raises(SettingsError) as caught:
        written(LETTERS, filters, count=1, prompt="a")
    assert str(caught.value).startswith("continuation 0, element 1, after 'ab': no element is")
