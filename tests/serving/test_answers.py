"""Models of pairs over HTTP: the prompt is the input, and the text its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import rhapsode as rh
from rhapsode.log import log
from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.served import Client, served


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Any]]:
    folder = tmp_path_factory.mktemp("pairs")
    texts = ("".join("abc"[(n >> k) % 3] for k in range(1 + n % 4)) for n in range(200))
    source = folder / "pairs.tsv"
    source.write_text("".join(f"{text}\t{text[::-1].upper()}\n" for text in texts))
    rh.train(
        str(source), output=str(folder / "run"), steps=12, source={"pairs": "0:1"},
        network={"hidden_size": 8, "embedding_size": 8}, training={"batch_size": 8},
        samples={"length": 0},
    )  # fmt: skip
    limits = ServeSettings(states=str(folder / "states"), max_prompt=50)
    with served([folder / "run"], limits) as client:
        yield client, rh.load(folder / "run")


def test_answers_are_those_of_generate(pairs: tuple[Client, Any]) -> None:
    client, model = pairs
    for fields in ({}, {"n": 3}, {"temperature": 0.7}, {"beams": 3, "n": 2}):
        own = {"count" if name == "n" else name: value for name, value in fields.items()}
        expected = [one.text for one in model.continuations("abc", seed=3, length=6, **own)]
        answer = client.complete("abc", seed=3, max_tokens=6, **fields)
        assert [one["text"] for one in answer["choices"]] == expected
        assert answer["usage"]["prompt_tokens"] == 4  # with the end of the input
    listed = client.complete(["abc", "b"], seed=3, max_tokens=6)["choices"]
    assert [one["text"] for one in listed] == [
        client.text(prompt, seed=3, max_tokens=6) for prompt in ("abc", "b")
    ]
    chat = client.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "abc"}], "seed": 3, "max_tokens": 6},
    ).json()
    assert chat["choices"][0]["message"]["content"] == listed[0]["text"]


def test_the_log_holds_no_inputs(
    pairs: tuple[Client, Any], caplog: pytest.LogCaptureFixture
) -> None:
    client, model = pairs
    with caplog.at_level("INFO", logger=log.name):
        client.text("ab\N{SNOWMAN}", max_tokens=2)
        assert "\N{SNOWMAN}" not in caplog.text
        model.generate("ab\N{SNOWMAN}", length=2)
        assert "\N{SNOWMAN}" in caplog.text


def test_an_answer_goes_on_after_a_pause(pairs: tuple[Client, Any]) -> None:
    client, _ = pairs
    whole = client.text("cab", seed=5, max_tokens=12, temperature=1.5)
    first = client.text("cab", seed=5, max_tokens=2, temperature=1.5, save_state="a")
    answer = client.complete(None, continue_from="a", max_tokens=10, temperature=1.5)
    assert first + answer["choices"][0]["text"] == whole
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == len(first)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [2, 3]}, "prompt"),
        ({"prompt": "a" * 60}, "prompt"),
        ({"echo": True}, "echo"),
        ({"echo": True, "max_tokens": 0, "logprobs": 1}, "echo"),
        ({"prompt": {"base64": "/////w==", "suffix": ".txt"}}, "prompt"),
        ({"adapt": True}, "adapt"),
        ({"document": ".mid"}, "document"),
    ],
)
def test_wrong_requests_are_refused(
    pairs: tuple[Client, Any], fields: dict[str, Any], param: str
) -> None:
    assert pairs[0].refused(**{"prompt": "ab", "max_tokens": 4, **fields})["param"] == param


def test_only_one_input_is_answered(pairs: tuple[Client, Any]) -> None:
    client, _ = pairs
    client.text("ab", seed=5, max_tokens=1, save_state="b")
    assert client.refused(prompt="c", continue_from="b")["param"] == "prompt"
    messages = [{"role": "user", "content": each} for each in ("a", "b")]
    assert client.refused("/v1/chat/completions", messages=messages)["param"] == "messages"
