"""Strokes over HTTP: moves as text, drawings as files, and what they refuse."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

import rhapsode as rh
from rhapsode.serving.serve_settings import ServeSettings
from tests.modalities.strokes.sketches import write_zigzags
from tests.serving.served import Client, served


@pytest.fixture(scope="module")
def ink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("ink")
    rh.train(
        write_zigzags(folder)[0],
        output=str(folder / "run"),
        steps=6,
        network={"hidden_size": 16},
        head={"components": 4},
        training={"batch_size": 4, "window": 16, "learning_rate": 0.01},
        samples={"length": 0},
    )
    (folder / "secret.json").write_text(json.dumps({"strokes": [[0, 0, 0], [5, 5, 1]]}))
    with served([folder / "run"], ServeSettings(queue=3)) as client:
        client.folder = folder  # type: ignore[attr-defined]
        yield client


def document(choice: dict[str, Any]) -> bytes:
    return base64.b64decode(choice["rhapsode"]["document"]["base64"])


def test_moves_are_those_of_generate(ink: Client) -> None:
    model = rh.load(ink.folder / "run")  # type: ignore[attr-defined]
    for fields in ({"n": 2}, {"temperature": 0.5}, {"pen_bias": 1.0}):
        own = {"count" if name == "n" else name: value for name, value in fields.items()}
        expected = model.continuations("", seed=4, **own)
        answer = ink.complete("", seed=4, **fields)
        assert [one["text"] for one in answer["choices"]] == [one.text for one in expected]
        assert [one["finish_reason"] for one in answer["choices"]] == [
            one.finish_reason for one in expected
        ]
        assert answer["usage"]["completion_tokens"] == sum(one.elements for one in expected)


def test_a_stream_has_the_same_moves(ink: Client) -> None:
    whole = ink.complete(["", "3,4,0\n5,-6,1"], seed=1, n=2, max_tokens=12, echo=True)
    events = ink.events(
        prompt=["", "3,4,0\n5,-6,1"], seed=1, n=2, max_tokens=12, echo=True, document=".svg",
        stream_options={"include_usage": True},
    )  # fmt: skip
    texts, last = [""] * 4, {}
    for event in events[:-1]:
        (choice,) = event["choices"]
        texts[choice["index"]] += choice["text"]
        if choice["finish_reason"]:
            last[choice["index"]] = event
    assert texts == [one["text"] for one in whole["choices"]]
    assert texts[2].startswith("3,4,0\n5,-6,1\n")
    assert sorted(last) == [0, 1, 2, 3]
    assert all(document(event).startswith(b"<svg") for event in last.values())
    assert events[-1]["usage"] == whole["usage"]


@pytest.mark.parametrize(
    ("suffix", "kind", "begin"),
    [(".svg", "image/svg+xml", b"<svg"), (".ndjson", "application/x-ndjson", b"{"),
     (".txt", "text/plain; charset=utf-8", b"")],
)  # fmt: skip
def test_drawings_as_files(ink: Client, suffix: str, kind: str, begin: bytes) -> None:
    sent = {"base64": base64.b64encode(
        json.dumps({"strokes": [[0, 0, 0], [9, 9, 0], [9, -9, 1]]}).encode()
    ).decode(), "suffix": ".ndjson"}  # fmt: skip
    (choice,) = ink.complete(sent, seed=2, document=suffix)["choices"]
    assert choice["rhapsode"]["document"]["mime"] == kind
    assert document(choice).startswith(begin)
    (alone,) = ink.complete("", seed=2, document=suffix)["choices"]
    assert document(alone) != document(choice)


def test_texts_never_name_files(ink: Client) -> None:
    path = str(ink.folder / "secret.json")  # type: ignore[attr-defined]
    for prompt in (path, path.replace("secret", "missing"), "run/../secret.json"):
        error = ink.refused(prompt=prompt)
        assert error["code"] == "unknown_character"
        assert "no such file" not in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "1,2"}, "prompt"),
        ({"prompt": "1,2,7"}, "prompt"),
        ({"prompt": "1,nan,0"}, "prompt"),
        ({"prompt": "1,1e999,0"}, "prompt"),
        ({"prompt": "a drawing"}, "prompt"),
        ({"prompt": [2, 3]}, "prompt"),
        ({"prompt": {"base64": "AAAA", "suffix": ".ndjson"}}, "prompt"),
        ({"prompt": {"base64": "PHN2Zz4=", "suffix": ".svg"}}, "prompt"),
        ({"prompt": {"base64": "AAAA", "suffix": ".png"}}, "prompt"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": 1, "echo": True}, "logprobs"),
        ({"save_state": "a"}, "save_state"),
        ({"continue_from": "a"}, "continue_from"),
        ({"top_k": 5}, "top_k"),
        ({"stop": "1"}, "stop"),
        ({"beams": 3}, "beams"),
        ({"best_of": 3}, "best_of"),
        ({"trace": 2}, "trace"),
        ({"adapt": True}, "adapt"),
        ({"logit_bias": {"2": 3}}, "bias"),
        ({"pen_bias": -1}, "pen_bias"),
        ({"document": ".mid"}, "document"),
        ({"document": "../x"}, "document"),
    ],
)
def test_wrong_requests_are_refused(ink: Client, fields: dict[str, Any], param: str) -> None:
    error = ink.refused(**{"prompt": "", "max_tokens": 5, **fields})
    assert error["param"] == param
    assert error["status"] == 400


def test_other_routes_say_that_moves_have_no_ids(ink: Client) -> None:
    (card,) = ink.get("/v1/models").json()["data"]
    assert card["status"] == "ready"
    assert card["modality"] == "strokes.v1"
    assert ink.refused("/tokenize", prompt="a")["param"] == "model"
    assert ink.get("/tokenizer_info").status_code == 400
    assert ink.refused("/v1/forecasts", horizon=3)["code"] == "unsupported_parameter"
    assert ink.post("/v1/chat/completions", json={"messages": []}).status_code == 400
    assert ink.get("/props").status_code in (200, 400)


def test_too_many_drawings_are_refused(ink: Client) -> None:
    state = ink.state
    from contextlib import ExitStack

    with ExitStack() as several:
        for _ in range(5):
            several.enter_context(state.waiting_apart())
        answer = ink.post("/v1/completions", json={"prompt": ""})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
    assert ink.text("", max_tokens=3)
