"""Send requests to a server, and print what came as JSON.

    python benchmarks/load_client.py PORT PACE SECONDS 'FIELDS OF A REQUEST AS JSON'

PACE is a number of requests a second, sent whatever the server answers, or `x64` for 64 requests
at all times.

One thread over `epoll`, without asyncio, so that it takes little time of the machine that it shares
with the server. Every request has a connection and a seed of its own. Standard library only.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any


class Exchange:
    """A request and what has come of its answer."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answer, self.began = request, b"", time.perf_counter()
        self.first = self.last = 0.0
        self.problem = ""

    @property
    def status(self) -> int:
        return int(self.answer[9:12] or 0)

    @property
    def is_refused(self) -> bool:
        """True for a whole refusal, after which nothing comes."""
        return self.answer.endswith(b"}}") and self.status == 429


def request_bytes(port: int, fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields).encode()
    return (
        f"POST /v1/completions HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def drive(port: int, pace: str, seconds: float, fields: dict[str, Any]) -> list[Exchange]:
    """Exchanges that begin for some seconds; ends when all have ended."""
    ready, all_of_them, open_ones = selectors.DefaultSelector(), [], 0
    closed, number = pace.startswith("x"), float(pace.removeprefix("x"))
    began = now = time.perf_counter()

    def is_due() -> bool:
        if now - began >= seconds:
            return False
        return open_ones < number if closed else now - began >= len(all_of_them) / number

    while now - began < seconds or open_ones:
        while is_due():
            one = Exchange(request_bytes(port, {**fields, "seed": len(all_of_them)}))
            all_of_them.append(one)
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            open_ones += 1
            try:  # on one machine a connection is there at once
                connection.send(one.request)
                ready.register(connection, selectors.EVENT_READ, one)
            except OSError:
                ready.register(connection, selectors.EVENT_WRITE, one)
        wait = 0.05 if closed else began + len(all_of_them) / number - time.perf_counter()
        for key, events in ready.select(max(0.0, min(0.05, wait))):
            connection, one = key.fileobj, key.data
            try:
                if events & selectors.EVENT_WRITE:
                    connection.send(one.request)
                    ready.modify(connection, selectors.EVENT_READ, one)
                    continue
                part = connection.recv(1 << 16)
            except OSError as problem:
                part, one.problem = b"", type(problem).__name__
            one.last = time.perf_counter()
            one.first = one.first or one.last
            one.answer += part
            if not part or one.is_refused:
                ready.unregister(connection)
                connection.close()
                open_ones -= 1
        now = time.perf_counter()
    return all_of_them


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    port, pace, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    fields = json.loads(sys.argv[4])
    began = time.perf_counter()
    ended = drive(port, pace, seconds, fields)
    whole = time.perf_counter() - began
    told: dict[str, Any] = {"seconds": whole, "cpu": time.process_time(), "sent": len(ended)}
    for status in sorted({one.status for one in ended}):
        several = [one for one in ended if one.status == status]
        times = [1000 * (one.last - one.began) for one in several]
        told[str(status)] = {
            "count": len(several), "p50": quantile(times, 0.5), "p99": quantile(times, 0.99),
            "most": max(times), "problems": sum(bool(one.problem) for one in several),
        }  # fmt: skip
        if status == 429:
            told["retry_after"] = all(b"retry-after" in one.answer for one in several)
        if status == 200:
            told["cut"] = sum(b'"finish_reason"' not in one.answer for one in several)
            told["rate"] = len(several) * fields["max_tokens"] / whole
    print(json.dumps(told))


if __name__ == "__main__":
    main()
