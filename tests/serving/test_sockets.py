"""The server over real sockets: clients that leave, requests that never arrive, the end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rhapsode.serving.http import receiving
from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.served import MODELS

ENDLESS = {"prompt": "The ", "max_tokens": 900_000, "logit_bias": {"0": -100}, "seed": 1}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("sockets")
    patch = pytest.MonkeyPatch()
    patch.setattr(receiving, "HEAD_SECONDS", 0.4)
    server = ModelServer(
        [MODELS / "lstm"], ServeSettings(port=0, states=str(folder), slots=8, queue=8)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while b" 200 " not in answer_of(server, get("/health")):
        time.sleep(0.02)
    yield server
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    patch.undo()


def get(path: str, **headers: str) -> bytes:
    own = {"host": "localhost", "connection": "close", **headers}
    lines = [f"{name}: {value}" for name, value in own.items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def post(fields: dict[str, object], path: str = "/v1/completions") -> bytes:
    body = json.dumps(fields).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def connected(server: ModelServer, request: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    one.sendall(request.replace(b"host: localhost\r\n", b"host: localhost:%d\r\n" % server.port))
    return one


def answer_of(server: ModelServer, request: bytes) -> bytes:
    with connected(server, request) as one:
        parts = []
        while part := one.recv(65536):
            parts.append(part)
        return b"".join(parts)


def wait_until(condition, seconds: float = 5.0) -> float:
    """Seconds until a condition holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.001)
    return time.monotonic() - began


def scheduler_of(server: ModelServer):
    return server.state.models.get(None).scheduler


@pytest.mark.parametrize(
    "fields",
    [
        {**ENDLESS, "stream": True},
        ENDLESS,
        {**ENDLESS, "n": 4},
        {**ENDLESS, "prompt": ["The ", "a"], "logprobs": 1, "stream": True},
        {**ENDLESS, "dry_multiplier": 0.5},
    ],
    ids=["stream", "whole", "n", "list", "other filters"],
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_frees_its_slots(
    running: ModelServer, fields: dict[str, object], reset: bool
) -> None:
    scheduler = scheduler_of(running)
    one = connected(running, post(fields))
    wait_until(lambda: scheduler.busy)
    if fields.get("stream"):
        assert one.recv(100).startswith(b"HTTP/1.1 200")
    if reset:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    one.close()
    wait_until(lambda: not scheduler.busy and not running.state.running)


def test_a_client_that_leaves_the_queue(running: ModelServer) -> None:
    scheduler = scheduler_of(running)
    first = connected(running, post({**ENDLESS, "n": 8}))
    wait_until(lambda: scheduler.busy == 8)
    second = connected(running, post({**ENDLESS, "n": 8}))
    wait_until(lambda: scheduler.waiting)
    second.close()
    wait_until(lambda: len(running.state.running) == 1)
    first.close()
    wait_until(lambda: not scheduler.busy and not scheduler.waiting)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"POST /v1/comp",
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx: ",
    ],
    ids=["silence", "half a line", "half a head"],
)
def test_a_request_that_never_arrives_is_given_up(running: ModelServer, part: bytes) -> None:
    with connected(running, part) as one:
        began = time.monotonic()
        assert one.recv(1000) == b""
        assert 0.2 < time.monotonic() - began < 3


def test_single_bytes_do_not_move_the_deadline(running: ModelServer) -> None:
    with connected(running, b"POST /v1/completions HTTP/1.1\r\n") as one:
        one.settimeout(0.05)
        began, ended = time.monotonic(), False
        while not ended and time.monotonic() - began < 3:
            try:
                one.sendall(b"a: b\r\n")
                ended = one.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended


def test_half_a_body_is_answered_408(running: ModelServer) -> None:
    head, _, _ = post({"prompt": "a" * 1000}).partition(b"\r\n\r\n")
    found = answer_of(running, head + b"\r\n\r\n{")
    assert found.startswith(b"HTTP/1.1 408")
    assert b"time_limit_exceeded" in found


def test_a_stream_outlives_the_deadlines(running: ModelServer) -> None:
    with connected(running, post({**ENDLESS, "stream": True})) as one:
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            assert one.recv(65536)


RAW = {
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nhost: b\r\n\r\n",
    "both lengths": post({}).replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
    "two lengths": post({}).replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n"),
    "negative length": post({}).replace(b"content-length: 2", b"content-length: -2"),
    "no version": b"GET /v1/models\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "null in the path": b"GET /v1/\0 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "long line": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 9000 + b"\r\n",
    "folded header": b"GET /v1/none HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n",
    "bad chunk": b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
    b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "huge length": post({}).replace(b"content-length: 2", b"content-length: 99999999999999999999"),
    "upgrade": get("/v1/none", upgrade="websocket").replace(b"close", b"upgrade"),
    "a proxy's request": b"GET http://evil.example/v1/models HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    "http 0.9": b"GET /\r\n",
    "other method": b"BREW /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", RAW.values(), ids=RAW)
def test_malformed_requests_are_refused(running: ModelServer, request_bytes: bytes) -> None:
    with connected(running, request_bytes) as one:
        try:
            found = one.recv(65536)
        except OSError:
            found = b""
    if found:
        status = int(found.split(b" ", 2)[1])
        assert 400 <= status < 500
    assert b" 200 " in answer_of(running, get("/health/live"))


def test_a_signal_ends_streams_with_an_error() -> None:
    server = ModelServer([MODELS / "lstm"], ServeSettings(port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while b" 200 " not in answer_of(server, get("/health")):
        time.sleep(0.02)
    patch = pytest.MonkeyPatch()
    patch.setattr("rhapsode.serving.run_server.GRACE", 0.3)
    with connected(server, post({**ENDLESS, "stream": True})) as one:
        assert one.recv(100)
        began = time.monotonic()
        server.stop()
        late = answer_of(
            server, post({"prompt": "The "}).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        )
        assert late.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in late
        parts = []
        while part := one.recv(1 << 20):
            parts.append(part)
    patch.undo()
    assert b"shutting_down" in b"".join(parts)[-1000:]
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
