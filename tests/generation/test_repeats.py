"""Repeated runs: what is carried from step to step is what a search of the whole text finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.generation import Context
from rhapsode.generation.filters.repeats import Dry, Echo, Frequency, NoRepeatNgram, Repetition

PROVE = settings(derandomize=True, deadline=None, max_examples=150)
TEXT = st.lists(st.integers(0, 2), max_size=24) | st.lists(st.just(1), max_size=24)
VOCAB_SIZE = 4


def repeated(text: list[int], place: int, breakers: frozenset[int]) -> int:
    """Length of the run ending at a place that the text ends with, searched for."""
    length = 0
    while (
        place - length >= 0
        and text[place - length] == text[-1 - length]
        and text[place - length] not in breakers
    ):
        length += 1
    return length


def followers(echo: Echo, least: int) -> list[tuple[int, int]]:
    element_R, length_R = echo.followers(least)
    return list(zip(element_R.tolist(), length_R.tolist(), strict=True))


@PROVE
@given(text=TEXT, cut=st.integers(0, 24), breakers=st.frozensets(st.integers(0, 2), max_size=2))
def test_an_echo_equals_the_search(text: list[int], cut: int, breakers: frozenset[int]):
    echo = Echo(np.array(text[:cut], dtype=np.int64), breakers)
    for element in text[cut:]:
        echo.extend(element)
    for least in (0, 1, 2, 5):
        expected = [
            (text[place + 1], length)
            for place in range(len(text) - 1)
            if (length := repeated(text, place, breakers)) >= least
        ]
        assert followers(echo, least) == expected


def test_an_echo_grows_beyond_its_room():
    text = (np.arange(3000) * 7919 % 13 % 5).astype(np.int64)
    echo = Echo(text[:5])
    for element in text[5:].tolist():
        echo.extend(element)
    assert followers(echo, 3) == followers(Echo(text), 3)
    twin = echo.copy()
    twin.extend(1)
    assert followers(echo, 0) == followers(Echo(text), 0)


def test_a_long_text_of_one_element_is_read_in_one_go():
    echo = Echo(np.ones(200_000, dtype=np.int64))
    element_R, length_R = echo.followers(199_999)
    assert (element_R.tolist(), length_R.tolist()) == ([1], [199_999])


def context(prompt: list[int], output: list[int]) -> Context:
    zero = np.zeros(1, dtype=np.int64)
    return Context(
        (np.array(prompt, dtype=np.int64),), (np.array(output, dtype=np.int64),), zero, zero, 0
    )


@pytest.mark.parametrize(
    "step",
    [
        NoRepeatNgram(1), NoRepeatNgram(2), NoRepeatNgram(3), Dry(1.0, 2.0, 1), Dry(1.0, 2.0, 2, (2,)),
        Repetition(1.5), Frequency(0.5),
    ],
    ids=lambda step: step.explain(),
)  # fmt: skip
@PROVE
@given(prompt=TEXT, output=TEXT, back=st.integers(0, 5), again=TEXT)
def test_a_carried_state_gives_what_a_fresh_one_gives(
    step, prompt: list[int], output: list[int], back: int, again: list[int]
):
    logits_BV = np.array([[0.0, 1.0, 2.0, -1.0]], dtype=np.float32)
    state = step.init(1)
    for size in range(len(output) + 1):
        carried_BV, state = step.apply(logits_BV, context(prompt, output[:size]), state)
        fresh_BV, _ = step.apply(logits_BV, context(prompt, output[:size]), step.init(1))
        np.testing.assert_array_equal(carried_BV, fresh_BV)
    # A shorter output means that something was taken back.
    shorter = output[: max(0, len(output) - 1 - back)]
    carried_BV, state = step.apply(logits_BV, context(prompt, shorter), state)
    longer = [*shorter, *again]
    carried_BV, _ = step.apply(logits_BV, context(prompt, longer), state)
    fresh_BV, _ = step.apply(logits_BV, context(prompt, longer), step.init(1))
    np.testing.assert_array_equal(carried_BV, fresh_BV)


@PROVE
@given(text=TEXT, size=st.integers(1, 5))
def test_no_ngram_is_ever_completed_twice(text: list[int], size: int):
    logits_BV = np.zeros((1, VOCAB_SIZE), dtype=np.float32)
    step = NoRepeatNgram(size)
    after_BV, _ = step.apply(logits_BV, context(text, []), step.init(1))
    seen = {tuple(text[place : place + size]) for place in range(len(text) - size + 1)}
    for element in range(VOCAB_SIZE):
        completed = tuple([*text, element][-size:])
        again = len(text) + 1 >= size and completed in seen
        # Element 3 occurs in no text: something is always left.
        assert bool(np.isneginf(after_BV[0, element])) == again
