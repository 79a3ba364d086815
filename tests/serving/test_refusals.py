"""Nothing is accepted and ignored: limits, unknown fields, errors in one shape."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rhapsode.errors import RhapsodeError
from rhapsode.generation.filters import constraint
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import MODEL_FILE, open_models
from rhapsode.serving.wire.api_errors import CODES
from tests.serving.served import MODELS, Client, served


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"top_k": -1}, "invalid_value", "top_k"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"top_p": 1.5}, "invalid_value", "top_p"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 129}, "invalid_value", "n"),
        ({"n": True}, "invalid_value", "n"),
        ({"max_tokens": 2001}, "invalid_value", "max_tokens"),
        ({"max_tokens": -1}, "invalid_value", "max_tokens"),
        ({"logprobs": 21}, "invalid_value", "logprobs"),
        ({"logprobs": True}, "invalid_value", "logprobs"),
        ({"logprobs": 1, "logprobs_mode": "some"}, "invalid_value", "logprobs_mode"),
        ({"stop": 3}, "invalid_value", "stop"),
        ({"stop": ["a"] * 65}, "invalid_value", "stop"),
        ({"stop": "a" * 257}, "invalid_value", "stop"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"stream": "yes"}, "invalid_value", "stream"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"logit_bias": {"a": 1}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"9" * 5000: 1}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"5": 1}, "bias": 3}, "invalid_value", "bias"),
        ({"suffix": "end"}, "unsupported_parameter", "suffix"),
        ({"response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
        ({"tools": [{}]}, "unsupported_parameter", "tools"),
        ({"min_tokens": 4}, "unsupported_parameter", "min_tokens"),
        ({"guided_json": {}}, "unsupported_parameter", "guided_json"),
        ({"length": 4}, "unsupported_parameter", "length"),
        ({"engine": "torch"}, "unsupported_parameter", "engine"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"prompt": ["a"] * 257}, "invalid_value", "prompt"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": [[]]}, "invalid_value", "prompt"),
        ({"prompt": [1, "a"]}, "invalid_value", "prompt"),
        ({"prompt": [100_000]}, "invalid_prompt", "prompt"),
        ({"prompt": "好"}, "unknown_character", "prompt"),
        ({"prompt": "a" * 3001}, "context_length_exceeded", "prompt"),
        ({"prompt": {"base64": "??", "suffix": ".mid"}}, "invalid_value", "prompt"),
        ({"mirostat_tau": 3, "top_k": 3}, "invalid_value", None),
        ({"beams": 65}, "invalid_value", "beams"),
        ({"best_of": 2, "stream": True}, "invalid_value", "best_of"),
        ({"adapt": "yes"}, "invalid_value", "adapt"),
        ({"continue_from": "none"}, "state_not_found", "continue_from"),
        ({"continue_from": "../x"}, "invalid_value", "state"),
        ({"save_state": "a/b"}, "invalid_value", "state"),
        ({"save_state": "a", "n": 2}, "invalid_value", "save_state"),
        ({"document": "mid"}, "invalid_value", "document"),
    ],
    ids=str,
)
def test_fields(server: Client, fields: dict[str, Any], code: str, param: str | None) -> None:
    error = server.refused(**{"prompt": "The", **fields})
    assert error["code"] == code
    assert error["param"] == param
    assert error["code"] in CODES
    assert error["type"] in ("invalid_request_error", "not_found_error")
    assert "/" not in error["message"] or "/v1/" in error["message"]


def test_an_overlong_prompt_tells_both_counts(server: Client) -> None:
    error = server.refused(prompt="a" * 3001)
    assert error["status"] == 400
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (3001, 3000)


def test_nulls_are_absent_fields(server: Client) -> None:
    nulls = dict.fromkeys(("suffix", "top_k", "n", "stop", "stream", "tools", "response_format"))
    plain = server.text("The ", max_tokens=5, seed=1)
    assert server.text("The ", max_tokens=5, seed=1, **nulls) == plain


def test_unknown_fields_are_named_in_the_answer(server: Client) -> None:
    answer = server.complete("The ", max_tokens=1, frobnicate=3)
    assert answer["rhapsode"]["unknown_fields"] == ["frobnicate"]
    assert "unknown_fields" not in server.complete("The ", max_tokens=1, user="u")["rhapsode"]


def test_models_and_routes(server: Client) -> None:
    error = server.refused(model="other")
    assert (error["status"], error["code"]) == (404, "model_not_found")
    assert server.get("/v1/none").json()["error"]["code"] == "not_found"
    assert server.get("/v1/completions").json()["error"]["code"] == "method_not_allowed"
    error = server.refused("/v1/forecasts")
    assert error["code"] == "unsupported_parameter"
    for messages in (None, [], [{"role": "tool", "content": "a"}], [{"role": "user"}], ["a"]):
        assert server.refused("/v1/chat/completions", messages=messages)["param"] == "messages"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"a"', b"\xff", b"[" * 100_000, b"{}x", b"NaN"]
)
def test_bodies_that_are_no_object(server: Client, body: bytes) -> None:
    answer = server.post(
        "/v1/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


def test_a_body_that_is_too_large(server: Client) -> None:
    answer = server.post("/v1/completions", json={"prompt": "a" * (8 << 20)})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_an_endless_expression_keeps_nobody_waiting(
    server: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraint, "_PATIENCE", 1.0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.refused, prompt="The", regex="(a|b)*a(a|b){25}")
        time.sleep(0.2)
        assert server.get("/health").status_code == 200
        assert not asked.done()
        assert asked.result()["param"] == "regex"


def test_a_full_queue_is_told_at_once() -> None:
    endless = {"prompt": "The", "max_tokens": 500_000, "logit_bias": {"0": -100}}
    with served([MODELS / "lstm"], ServeSettings(slots=1, queue=1)) as client:
        scheduler = client.state.models.get(None).scheduler
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(client.post, "/v1/completions", json=endless) for _ in range(2)]
            while not (scheduler.busy and scheduler.waiting):
                time.sleep(0.005)
            answer = client.post("/v1/completions", json=endless)
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["type"] == "rate_limit_error"
            for name in list(client.state.running):
                assert client.post(f"/v1/cancel/{name}", json={}).json()["cancelled"] is True
            ended = [each.result().json()["choices"][0]["finish_reason"] for each in both]
        assert ended == ["stop", "stop"]
        assert client.post("/v1/cancel/none", json={}).status_code == 404
        assert client.complete("The", max_tokens=2)


def test_a_minute_has_so_many_elements() -> None:
    settings = ServeSettings(elements_per_minute=50)
    with served([MODELS / "lstm"], settings) as client:
        assert client.refused(prompt="The", max_tokens=51)["code"] == "rate_limited"
        assert client.complete("The", max_tokens=40)
        error = client.refused(prompt="The", max_tokens=40)
        assert (error["status"], error["code"]) == (429, "rate_limited")


def test_a_request_has_so_much_time() -> None:
    with served([MODELS / "lstm"], ServeSettings(seconds=0.05)) as client:
        error = client.refused(prompt="The", max_tokens=500_000, logit_bias={"0": -100})
        assert error["code"] == "time_limit_exceeded"
        while client.state.models.get(None).scheduler.busy:
            pass


def test_a_found_model_that_cannot_be_opened_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / MODEL_FILE).write_bytes(b"no model")
    paths = [broken, MODELS / "lstm"]
    with pytest.raises(RhapsodeError, match="broken"):
        open_models(paths, ServeSettings())
    table = open_models(paths, ServeSettings(), found=True)
    assert [served.name for served in table] == ["lstm"]
