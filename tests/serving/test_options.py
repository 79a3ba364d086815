"""Options of the server that change answers or the log."""

from __future__ import annotations

import logging

import pytest

from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.wire.chat_text import chat_text
from tests.serving.served import MODELS, served

MESSAGES = [
    {"role": "user", "content": "The"},
    {"role": "assistant", "content": "list"},
    {"role": "user", "content": "a"},
]


def test_templates_of_chats() -> None:
    assert chat_text(MESSAGES, "plain") == ("The\n\nlist\n\na\n\n", [])
    text, stops = chat_text(MESSAGES, "speakers")
    assert text == "user: The\nassistant: list\nuser: a\nassistant:"
    assert "\nuser:" in stops
    assert chat_text(MESSAGES[:2], "plain")[0] == "The\n\nlist"
    assert chat_text(MESSAGES[:2], "speakers")[0] == "user: The\nassistant: list"
    with served([MODELS / "mixed"], ServeSettings(chat_template="speakers")) as client:
        answer = client.post(
            "/v1/chat/completions", json={"messages": MESSAGES, "max_tokens": 12, "seed": 3}
        ).json()
        content = answer["choices"][0]["message"]["content"]
        assert content == client.text(text, max_tokens=12, seed=3, stop=stops)


@pytest.mark.parametrize("logged", [False, True])
def test_prompts_in_the_log(caplog: pytest.LogCaptureFixture, logged: bool) -> None:
    with (
        caplog.at_level(logging.INFO, logger="rhapsode"),
        served([MODELS / "lstm"], ServeSettings(log_prompts=logged)) as client,
    ):
        client.complete("The list", max_tokens=2)
    assert ("The list" in caplog.text) is logged


def test_rounded_weights_have_their_own_fingerprint() -> None:
    prints = set()
    for weights in ("float32", "int8"):
        with served([MODELS / "lstm"], ServeSettings(weights=weights, threads=1)) as client:
            prints.add(client.complete("The", max_tokens=2)["system_fingerprint"])
            assert len(client.state.models.get(None).scheduler._workers) == 1
    assert len(prints) == 2


def test_behind_a_proxy() -> None:
    server = ModelServer(
        [MODELS / "lstm"], ServeSettings(port=0, root_path="/models", trust_proxy=True)
    )
    try:
        assert server.url.endswith("/models/")
        assert server._server.config.root_path == "/models"
        assert server._server.config.proxy_headers is True
    finally:
        server._socket.close()


def test_a_port_that_is_taken() -> None:
    first = ModelServer([MODELS / "lstm"], ServeSettings(port=0))
    try:
        with pytest.raises(Exception, match="cannot listen"):
            ModelServer([MODELS / "lstm"], ServeSettings(port=first.port))
    finally:
        first._socket.close()
