"""Requests recorded from unmodified clients, and what those clients read of the answers.

`recorded_requests.json` was recorded between the clients and a server of the model `mixed`, while
`test_clients.py` and tasks of lm-evaluation-harness (rolling likelihood, choice, generation) ran.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.data import Batch
from tests.serving.served import MODELS, Client

RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("recorded_requests.json").read_text(encoding="utf-8")
)
# Fields that the clients read without asking whether they are there.
READ = {
    "/v1/completions": ("id", "object", "created", "model", "choices", "usage"),
    "/v1/chat/completions": ("id", "object", "created", "model", "choices", "usage"),
    "/v1/models": ("object", "data"),
    "/tokenizer_info": ("eos_token",),
    "/tokenize": ("tokens",),
}
# Requests of `test_clients.py` that are wrong on purpose.
WRONG = {'"top_p":3': 400, '"model":"none"': 404, "\u597d": 400}


@pytest.mark.parametrize("client", RECORDED, ids=[name.split()[0] for name in RECORDED])
def test_recorded_requests_are_answered(server: Client, client: str) -> None:
    recorded = RECORDED[client]
    expected = str(rh.load(MODELS / "mixed").generate("The ", length=20, seed=7))[4:]
    for request in recorded["requests"]:
        body = request.get("body", "")
        answer = server.request(
            request["method"],
            request["path"],
            content=body.encode() if body else None,
            headers={**recorded["headers"], **request.get("headers", {})},
        )
        status = next((code for part, code in WRONG.items() if part in body), 200)
        assert answer.status_code == status, (request, answer.text)
        if status != 200:
            assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
        elif '"stream":true' in body:
            check_stream(answer.text, json.loads(body), expected)
        else:
            value = answer.json()
            assert set(READ[request["path"]]) <= set(value), request
            check_whole(request["path"], value, body, expected)


def check_whole(path: str, value: dict[str, Any], body: str, expected: str) -> None:
    """Check what clients read of a whole answer."""
    if "choices" not in value:
        return
    sent = json.loads(body)
    for number, choice in enumerate(value["choices"]):
        assert choice["index"] == number
        assert choice["finish_reason"] in ("stop", "length")
        assert isinstance(choice["message"]["content"] if "chat" in path else choice["text"], str)
    if sent.get("seed") == 7 and sent["prompt" if "prompt" in sent else "messages"] == "The ":
        assert value["choices"][0]["text"] == expected
    if sent.get("echo"):  # as lm-evaluation-harness reads it
        (ids,), (choice,) = sent["prompt"], value["choices"]
        scores, tops = (choice["logprobs"][name] for name in ("token_logprobs", "top_logprobs"))
        assert len(scores) == len(tops) == len(ids) + 1
        assert all(
            score <= max(top.values()) for score, top in zip(scores[1:], tops[1:], strict=True)
        )
        assert scores[-1] == max(tops[-1].values())


def check_stream(text: str, sent: dict[str, Any], expected: str) -> None:
    """Check what clients read of a stream."""
    *lines, done = [line for line in text.split("\n\n") if line]
    assert done == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    chunks = [event for event in events if event["choices"]]
    assert len(events) - len(chunks) == ("stream_options" in sent)
    if "messages" in sent:
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    else:
        pieces = [chunk["choices"][0]["text"] for chunk in chunks]
        assert "".join(pieces) == expected
        assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    if "stream_options" in sent:
        assert events[-1]["usage"]["completion_tokens"] > 0


def test_likelihoods_are_those_of_the_package(server: Client) -> None:
    """The sum that lm-evaluation-harness makes, against `evaluate` on the same engine."""
    (request,) = [
        json.loads(each["body"])
        for name, client in RECORDED.items()
        if name.startswith("lm-evaluation-harness")
        for each in client["requests"]
        if '"prompt": [[0, 38' in each.get("body", "")
    ]
    answer = server.post("/v1/completions", json=request).json()
    scores = answer["choices"][0]["logprobs"]["token_logprobs"][1:-1]
    ids_1T = np.array(request["prompt"])
    batch = Batch(ids_1T[:, :-1], ids_1T[:, 1:], np.ones(ids_1T[:, 1:].shape, dtype=np.float32))
    model = rh.load(MODELS / "mixed")
    evaluated_1T, _ = model.predictor.score(batch)  # type: ignore[attr-defined]
    assert sum(scores) == pytest.approx(float(evaluated_1T.sum(dtype=np.float64)), rel=1e-9)
    text = model.decode(request["prompt"][0][1:])
    assert sum(scores) == pytest.approx(float(model.log_prob(text).sum()), rel=1e-7)
