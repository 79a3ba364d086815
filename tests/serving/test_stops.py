"""Stop texts over the borders of elements, and what their log-probabilities do."""

from __future__ import annotations

import pytest

from tests.serving.served import Client

FIELDS = {"max_tokens": 60, "seed": 3, "temperature": 0.8}


@pytest.mark.parametrize("model", ["mixed", "bytes"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stop_text_ends_whole_answers_and_streams_alike(
    server: Client, model: str, size: int
) -> None:
    plain = server.text("The ", model=model, **FIELDS)
    stop = plain[20 : 20 + size]
    expected = plain[: plain.index(stop)]
    fields = {"prompt": "The ", "model": model, "stop": [stop, "never written"], "logprobs": 1}
    whole = server.complete(**fields, **FIELDS)["choices"][0]
    events = server.events(**fields, **FIELDS)
    assert whole["text"] == expected
    assert whole["finish_reason"] == "stop"
    assert "".join(event["choices"][0]["text"] for event in events) == expected
    tokens = [
        token
        for event in events
        for token in (event["choices"][0]["logprobs"] or {"tokens": []})["tokens"]
    ]
    assert tokens == whole["logprobs"]["tokens"]
    if model == "mixed":
        assert "".join(tokens) == expected  # cut text has no entries, held text has its own
    assert server.complete(**fields, **FIELDS)["usage"]["completion_tokens"] >= len(tokens)


def test_stops_at_once_within_the_prompt_and_overlapping(server: Client) -> None:
    plain = server.text("The ", **FIELDS)
    assert server.text("The ", stop=plain[:4], **FIELDS) == ""
    assert server.text("The ", stop=plain, **FIELDS) == ""
    assert server.text("The ", stop=["The", "Th"], **FIELDS).startswith(plain[:2])
    first, second = plain[10:13], plain[11:14]
    expected = plain[: min(plain.index(first), plain.index(second))]
    assert server.text("The ", stop=[second, first], **FIELDS) == expected


def test_only_what_may_begin_a_stop_is_held_back(server: Client) -> None:
    plain = server.text("The ", **FIELDS)
    long = plain[30:34] + "x" * 40
    events = server.events(prompt="The ", stop=[long], **FIELDS)
    assert "".join(event["choices"][0]["text"] for event in events) == plain


def test_whole_characters_only(server: Client) -> None:
    events = server.events(
        prompt="The ", model="bytes", max_tokens=200, seed=5, temperature=3, ban=["#0"]
    )
    whole = server.text("The ", model="bytes", max_tokens=200, seed=5, temperature=3, ban=["#0"])
    assert "".join(event["choices"][0]["text"] for event in events) == whole
