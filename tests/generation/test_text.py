"""Stop texts: what is shown is the text before the first stop, and never a part of one."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.encoding import IncrementalDecoder
from rhapsode.encoding.text import ByteEncoder, CharacterEncoder
from rhapsode.generation import StopText

PROVE = settings(derandomize=True, deadline=None, max_examples=200)
LETTERS = st.text(st.sampled_from("ab\n"), max_size=14)
STOPS = st.lists(st.text(st.sampled_from("ab\n"), min_size=1, max_size=4), max_size=3)
CUTS = st.lists(st.integers(0, 14), max_size=6)


@st.composite
def stopped(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text and stops, most of which occur in it, also within each other."""
    text = draw(LETTERS)
    places = st.tuples(st.integers(0, 13), st.integers(1, 5))
    inner = [text[start : start + size] for start, size in draw(st.lists(places, max_size=3))]
    return text, [stop for stop in inner + draw(STOPS) if stop]


class Pieces(IncrementalDecoder):
    """Element i is the i-th piece; the last piece is certain only at the end."""

    def __init__(self, pieces: Sequence[str], held: str = "") -> None:
        self._pieces = pieces
        self._held = held

    def feed(self, ids: Sequence[int]) -> str:
        return "".join(self._pieces[element] for element in ids)

    def finish(self) -> str:
        return self._held


def cut(text: str, cuts: Sequence[int]) -> list[str]:
    places = [0, *sorted(place % (len(text) + 1) for place in cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


def before_the_first_stop(text: str, stops: Sequence[str]) -> str:
    """The text that stands before the stop that is complete first."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))]
    return text


def shown(pieces: Sequence[str], stops: Sequence[str], held: str = "") -> list[str]:
    stream = StopText(Pieces(pieces, held), stops)
    return [stream.feed(element) for element in range(len(pieces))] + [stream.finish()]


@PROVE
@given(text=LETTERS, stop=st.text(st.sampled_from("ab\n"), min_size=1, max_size=5), cuts=CUTS)
def test_what_is_shown_stands_before_the_stop(text: str, stop: str, cuts: list[int]):
    assert "".join(shown(cut(text, cuts), [stop])) == text.partition(stop)[0]


@PROVE
@given(stopped())
def test_of_several_stops_the_first_to_be_complete_counts(both: tuple[str, list[str]]):
    text, stops = both
    assert "".join(shown(list(text), stops)) == before_the_first_stop(text, stops)


@PROVE
@given(both=stopped(), cuts=CUTS, held=LETTERS)
def test_the_outcome_does_not_depend_on_how_the_text_arrives(
    both: tuple[str, list[str]], cuts: list[int], held: str
):
    text, stops = both
    expected = before_the_first_stop(text + held, stops)
    assert "".join(shown(cut(text, cuts), stops, held)) == expected


@PROVE
@given(both=stopped(), cuts=CUTS)
def test_nothing_of_a_stop_is_ever_shown(both: tuple[str, list[str]], cuts: list[int]):
    text, stops = both
    pieces = shown(cut(text, cuts), stops)
    whole = "".join(pieces)
    for stop in stops:
        assert stop not in whole


@PROVE
@given(stopped())
def test_no_more_is_held_back_than_what_may_begin_a_stop(both: tuple[str, list[str]]):
    text, stops = both
    stream = StopText(Pieces(list(text)), stops)
    seen = ""
    for place in range(len(text)):
        seen += stream.feed(place)
        if stream.stopped:
            return
        so_far = text[: place + 1]
        begins = [
            size for stop in stops for size in range(1, len(stop)) if so_far.endswith(stop[:size])
        ]
        assert seen == so_far[: len(so_far) - max(begins, default=0)]


def test_after_a_stop_nothing_more_is_shown():
    stream = StopText(Pieces(["one", "-st", "op-", "two"]), ["-stop-"])
    assert [stream.feed(element) for element in (0, 1, 2)] == ["one", "", ""]
    assert stream.stopped
    assert stream.feed(3) == ""
    assert stream.finish() == ""


def test_what_was_held_back_is_shown_when_no_stop_came_of_it():
    assert shown(["one-", "sto", "p"], ["-stop-"]) == ["one", "", "", "-stop"]
    assert shown(["one-", "sto", "x"], ["-stop-"]) == ["one", "", "-stox", ""]


def test_a_stop_may_be_completed_by_what_the_decoder_held():
    stream = StopText(Pieces(["ab"], held="cd"), ["bc"])
    assert stream.feed(0) == "a"
    assert stream.finish() == ""
    assert stream.stopped


@pytest.mark.parametrize("stops", [[], [""], ["", ""]])
def test_no_stops_hold_nothing_back(stops: list[str]):
    assert shown(["a", "b"], stops) == ["a", "b", ""]


@PROVE
@given(
    text=st.text(st.sampled_from("aé漢👍\n"), max_size=10),
    stop=st.text(st.sampled_from("aé漢👍\n"), min_size=1, max_size=3),
)
def test_stops_are_text_whatever_the_elements(text: str, stop: str):
    for encoder in (ByteEncoder(), CharacterEncoder.learn([text], {"graphemes": True})):
        stream = StopText(encoder.decoder(), [stop])
        pieces = [stream.feed(int(element)) for element in encoder.encode(text)]
        assert "".join(pieces) + stream.finish() == text.partition(stop)[0]
        assert stream.stopped == (stop in text)


@PROVE
@given(both=stopped(), after=st.integers(0, 8))
def test_a_stop_that_begins_among_the_first_elements_does_not_count(
    both: tuple[str, list[str]], after: int
):
    text, stops = both
    stream = StopText(Pieces(list(text)), stops, after=after)
    pieces = [stream.feed(element) for element in range(len(text))] + [stream.finish()]
    assert "".join(pieces) == text[:after] + before_the_first_stop(text[after:], stops)


def test_of_thousands_of_stops_each_is_found():
    stops = [f"<{first}-{second}>" for first in range(70) for second in range(70)]
    for stop in stops[:: len(stops) // 50]:
        text = f"a <1-x> {stop[:-1]} b{stop}c"
        assert "".join(shown(list(text), stops)) == text[: text.index(stop)]


def test_a_character_costs_the_same_with_thousands_of_stops():
    stops = ["".join(each) for each in itertools.product("abcdefgh", repeat=5)][:30_000]
    text = "abcdx" * 4_000
    # Trying every stop at every character would be 600 million searches.
    assert "".join(shown(list(text), stops)) == text
