"""A full server refuses before it parses, and parses whatever is unusual."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rhapsode.serving.http import receiving
from rhapsode.serving.http.early_refusal import Announced, EarlyRefusal
from rhapsode.serving.http.listening import ListeningSocket
from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.wire.api_errors import ApiError
from tests.serving.served import MODELS
from tests.serving.test_sockets import (
    ENDLESS,
    answer_of,
    connected,
    get,
    post,
    scheduler_of,
    wait_until,
)


@pytest.fixture(scope="module")
def full() -> Iterator[ModelServer]:
    """A server whose only slot is taken."""
    patch = pytest.MonkeyPatch()
    patch.setattr(receiving, "HEAD_SECONDS", 0.4)
    server = ModelServer([MODELS / "lstm"], ServeSettings(port=0, slots=1, queue=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while b" 200 " not in answer_of(server, get("/health")):
        time.sleep(0.02)
    one = connected(server, post({**ENDLESS, "stream": True}))
    wait_until(lambda: scheduler_of(server).busy)
    yield server
    one.close()
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    patch.undo()


def read_until(end: bytes, one: socket.socket) -> bytes:
    """What comes on a connection, to the end of an answer."""
    found = b""
    while end not in found:
        part = one.recv(65536)
        assert part, found
        found += part
    return found


def refusal_in(one: socket.socket) -> bytes:
    """The next answer on a connection, which must be a refusal."""
    found = read_until(b"}}", one)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429"), found
    assert json.loads(body)["error"]["code"] == "queue_full"
    assert b"retry-after: 1" in head
    assert b"content-length: %d" % len(body) in head
    return head


REQUEST = post({"prompt": "The ", "max_tokens": 5})
HEAD, BODY = REQUEST[: REQUEST.index(b"{")], REQUEST[REQUEST.index(b"{") :]


@pytest.mark.parametrize("parts", [[REQUEST], [HEAD, BODY], [HEAD + BODY[:3], BODY[3:9], BODY[9:]]])
def test_a_connection_goes_on_after_a_refusal(full: ModelServer, parts: list[bytes]) -> None:
    live = b"GET /health/live HTTP/1.1\r\nhost: localhost:%d\r\n\r\n" % full.port
    with connected(full, live) as one:  # which is accepted before it asks for a text
        assert read_until(b"ok", one).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            for part in parts:
                one.sendall(part.replace(b"localhost", b"localhost:%d" % full.port))
                time.sleep(0.02)
            assert b"x-content-type-options: nosniff" in refusal_in(one)
        one.sendall(live)
        assert read_until(b"ok", one).startswith(b"HTTP/1.1 200")


def test_refusals_are_counted_and_end_where_the_client_says(full: ModelServer) -> None:
    before = full.state.metrics.text()
    head = answer_of(full, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"))
    assert head.startswith(b"HTTP/1.1 429")
    assert b"connection: close" in head
    name = b'rhapsode_requests_total{model="lstm",outcome="refused"} '
    counts = [
        float((text.partition(name)[2] or b"0\n").split(b"\n")[0])
        for text in (before, full.state.metrics.text())
    ]
    assert counts[1] == counts[0] + 1


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"application/json", b"text/plain", b"429"),  # whatever it is, there is no room
        (b"host: localhost", b"host: localhost\r\norigin: http://evil.example", b"403"),
        (b"content-length", b"transfer-encoding: chunked\r\ncontent-length", b"400"),
        (b"content-length: ", b"content-length: 99999999", b"413"),
        (b"/v1/completions", b"/v1/cancel/none", b"404"),
        (b"HTTP/1.1", b"HTTP/1.0", b"429"),
        (b"content-length: ", b"x: a\r\n b\r\ncontent-length: ", b"429"),
    ],
)
def test_unusual_requests_are_parsed(
    full: ModelServer, old: bytes, new: bytes, status: bytes
) -> None:
    with connected(full, REQUEST.replace(old, new, 1)) as one:
        assert one.recv(65536).split(b" ", 2)[1] == status


def test_the_rest_of_a_refused_request_has_a_deadline(full: ModelServer) -> None:
    assert answer_of(full, HEAD + b"{").startswith(b"HTTP/1.1 408")


def test_two_requests_at_once_are_both_refused(full: ModelServer) -> None:
    with connected(full, REQUEST + REQUEST) as one:
        found = b""
        while found.count(b"}}") < 2:
            found += one.recv(65536)
    assert found.count(b"HTTP/1.1 429") == 2


def test_what_is_recognised() -> None:
    refusal = EarlyRefusal(lambda: None, ["/v1/completions"], [])
    assert refusal.announced(REQUEST) == Announced(0, closes=False)
    assert refusal.announced(HEAD) == Announced(len(BODY), closes=False)
    assert refusal.answer([], closes=False) is None
    for strange in (HEAD[:-2], HEAD.replace(b"length: ", b"length: -"), REQUEST + b"x",
                    HEAD.replace(b"content-length", b"content-length: 5\r\ncontent-length"),
                    REQUEST.replace(b"host", b"x: y\norigin: http://evil.example\r\nhost"),
                    REQUEST.replace(b"host", b"origin : http://evil.example\r\nhost"),
                    b"GET" + HEAD[4:], b""):  # fmt: skip
        assert refusal.announced(strange) is None


def test_a_new_connection_is_refused_where_it_is_accepted() -> None:
    errors: list[ApiError | None] = [ApiError(429, "queue_full", "full", retry_after=1)]
    with ListeningSocket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        listening.refusal = EarlyRefusal(lambda: errors[0], ["/v1/completions"], [])
        listening.headers = lambda: [(b"date", b"today")]

        def asking(request: bytes) -> socket.socket:
            one = socket.create_connection(listening.getsockname(), timeout=5)
            one.sendall(request)
            select.select([listening], [], [], 5)
            time.sleep(0.02)
            return one

        with asking(REQUEST) as one:
            with pytest.raises(BlockingIOError):
                listening.accept()
            assert b"connection: close" in (head := refusal_in(one))
            assert b"date: today" in head
            assert one.recv(100) == b""
        for request, error in ((HEAD, errors[0]), (b"", errors[0]), (REQUEST, None)):
            errors[0] = error
            with asking(request), listening.accept()[0] as accepted:
                accepted.setblocking(False)
                if request:
                    assert accepted.recv(65536) == request
        # Few are let through before the event loop has seen what they fill.
        several = [asking(REQUEST) for _ in range(3)]
        listening.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listening.accept()
        listening.accept()[0].close()
        for one in several:
            one.close()
