"""Measure the server over HTTP beside the same model in this process.

    python benchmarks/serving.py MODEL [--seconds 6] [--streams 64]

The server runs in a process of its own; the client is a raw asyncio socket client of ours, whose CPU
time is printed. Figures: elements a second of N streams over HTTP and in process, in turns (medians
of three), seconds to the first element (idle, and with N - 1 others), seconds until the slots of a
client that left are free, answers of an overloaded server, and the time of others beside slow
sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rhapsode as rh

PROMPT = (
    "The list of objects that is made by an object of a class, and the method of it is called. "[
        :100
    ]
)


class Server:
    """A server in a process of its own."""

    def __init__(self, model: str, *words: str) -> None:
        command = [sys.executable, "-m", "rhapsode", "serve", model, "--port", "0", *words]
        began = time.monotonic()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.port = int(re.search(r":(\d+)/", line)[1])
        while asyncio.run(exchange(self.port, "GET", "/health"))[0] != 200:
            time.sleep(0.01)
        self.ready = time.monotonic() - began

    def metrics(self) -> dict[str, float]:
        _, body = asyncio.run(exchange(self.port, "GET", "/metrics"))
        pairs = (line.rsplit(" ", 1) for line in body.decode().splitlines() if line[:1] != "#")
        return {name: float(value) for name, value in pairs}

    def memory(self) -> float:
        """Resident megabytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1000

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - began


def request_bytes(port: int, method: str, path: str, fields: Any = None) -> bytes:
    body = b"" if fields is None else json.dumps(fields).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\n"
    if fields is not None:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def exchange(port: int, method: str, path: str, fields: Any = None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = request_bytes(port, method, path, fields)
    writer.write(request.replace(b"\r\nhost", b"\r\nconnection: close\r\nhost", 1))
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


async def stream(port: int, fields: dict[str, Any], wait: float = 0.0) -> dict[str, Any]:
    """One stream: time to the first element, gaps between events, and the end."""
    await asyncio.sleep(wait)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(request_bytes(port, "POST", "/v1/completions", {**fields, "stream": True}))
    first, last, gaps, size, tail = None, 0.0, [], 0, b""
    status = 0
    while True:
        part = await reader.read(1 << 16)
        now = time.monotonic()
        if not part:
            break
        if not status:
            status = int(part.split(b" ", 2)[1])
        if b'"text":' in part:
            if first is None:
                first = now - began
            else:
                gaps.append(now - last)
            last = now
        size += len(part)
        tail = (tail + part)[-64:]
        if b"data: [DONE]" in tail or (status != 200 and b'"error"' in tail + part):
            break
    writer.close()
    return {"status": status, "first": first, "gaps": gaps, "seconds": time.monotonic() - began,
            "ended": last - began, "bytes": size}  # fmt: skip


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def closed_loop(port: int, count: int, seconds: float) -> dict[str, Any]:
    """Streams that begin anew when they end, for some seconds."""
    end, elements, firsts, gaps = time.monotonic() + seconds, 0, [], []

    async def one(number: int) -> None:
        nonlocal elements
        seed = number
        while time.monotonic() < end:
            fields = {"prompt": PROMPT, "max_tokens": 400, "seed": seed, "min_length": 400}
            told = await stream(port, fields)
            elements += 400
            if told["first"] is not None:
                firsts.append(told["first"])
            gaps.extend(told["gaps"])
            seed += count

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(count)))
    return {"rate": elements / (time.monotonic() - began), "firsts": firsts, "gaps": gaps}


def in_process_loop(model: Any, count: int, seconds: float) -> float:
    began, written, seed = time.monotonic(), 0, 0
    while time.monotonic() - began < seconds:
        for piece in model.stream(PROMPT, count=count, length=400, min_length=400, seed=seed):
            written += len(piece.chosen)
        seed += 1
    return written / (time.monotonic() - began)


async def idle_firsts(port: int, number: int) -> list[float]:
    firsts = []
    for seed in range(number):
        told = await stream(port, {"prompt": PROMPT + str(seed), "max_tokens": 8, "seed": seed})
        firsts.append(told["first"])
    return firsts


async def cancel_time(server: Server, rounds: int) -> list[float]:
    """Seconds from a closed connection until no slot is busy."""
    found = []
    for seed in range(rounds):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        fields = {"prompt": PROMPT, "max_tokens": 100_000, "n": 8, "seed": seed, "stream": True,
                  "min_length": 100_000}  # fmt: skip
        writer.write(request_bytes(server.port, "POST", "/v1/completions", fields))
        await reader.read(1000)
        began = time.monotonic()
        writer.transport.abort()
        while True:
            _, body = await exchange(server.port, "GET", "/metrics")
            if b"rhapsode_slots_busy 0.0" in body:
                break
        found.append(time.monotonic() - began)
    return found


async def aborts(port: int, number: int) -> None:
    """Requests whose clients leave while they are written."""
    for first in range(0, number, 50):
        writers = []
        for seed in range(first, min(number, first + 50)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            fields = {"prompt": PROMPT, "max_tokens": 400, "seed": seed, "stream": True}
            writer.write(request_bytes(port, "POST", "/v1/completions", fields))
            writers.append((reader, writer))
        await asyncio.sleep(0.02)
        for _, writer in writers:
            writer.transport.abort()


def load(port: int, pace: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any]:
    """What `load_client.py` tells, in a process of its own."""
    script = Path(__file__).with_name("load_client.py")
    command = [sys.executable, str(script), str(port), pace, str(seconds), json.dumps(fields)]
    told: dict[str, Any] = json.loads(subprocess.check_output(command))
    return told


def overload(server: Server, seconds: float) -> None:
    """As many requests as the server can answer, then ten times as many."""
    fields = {"prompt": PROMPT, "max_tokens": 400, "min_length": 400}
    start = server.cpu()
    full = load(server.port, "x64", seconds, fields)
    before = server.cpu()
    per_second = 400 * full["200"]["count"] / (before - start)
    told = load(server.port, str(10 * full["rate"] / 400), seconds, fields)
    print(
        f"64 at all times: {full['rate']:,.0f} elements/s, {full['200']['count'] / full['seconds']:.1f} "
        f"requests/s; ten times as many sent: {told['rate']:,.0f} elements/s "
        f"({told['rate'] / full['rate']:.2f}), {told['cut']} answers cut, retry-after on all: "
        f"{told['retry_after']}"
    )
    print(
        f"  elements in a second of the server's CPU: {per_second:,.0f}, and beside the refusals "
        f"{400 * told['200']['count'] / (server.cpu() - before):,.0f}"
    )
    print(
        f"  refused {told['429']['count']:,} of {told['sent']:,} in p50 {told['429']['p50']:.1f} ms, "
        f"p99 {told['429']['p99']:.1f} ms; CPU: server {server.cpu() - before:.1f} s, client "
        f"{told['cpu']:.1f} s of {told['seconds']:.1f} s"
    )


async def beside_slow_sockets(port: int, count: int) -> tuple[list[float], list[float]]:
    before = await idle_firsts(port, 60)
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: loc")
        writers.append(writer)
    after = await idle_firsts(port, 60)
    for writer in writers:
        writer.close()
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--aborts", type=int, default=1000)
    asked = parser.parse_args()
    model = rh.load(asked.model)
    server = Server(asked.model, "--queue", "64")
    print(f"ready in {server.ready:.2f} s; {server.memory():.0f} MB")
    for name, count in (("one stream", 1), (f"{asked.streams} streams", asked.streams)):
        inside, outside = [], []
        for _ in range(3):
            inside.append(in_process_loop(model, count, asked.seconds))
            own, theirs = resource.getrusage(resource.RUSAGE_SELF), server.cpu()
            told = asyncio.run(closed_loop(server.port, count, asked.seconds))
            used = resource.getrusage(resource.RUSAGE_SELF)
            client = used.ru_utime + used.ru_stime - own.ru_utime - own.ru_stime
            outside.append(told["rate"])
        ratio = statistics.median(outside) / statistics.median(inside)
        print(
            f"{name}: {statistics.median(outside):,.0f} elements/s over HTTP, "
            f"{statistics.median(inside):,.0f} in process: {ratio:.2f}; the last round took "
            f"{client:.1f} s of CPU in the client, {server.cpu() - theirs:.1f} s in the server"
        )
        print(
            f"  first element p50 {1000 * quantile(told['firsts'], 0.5):.1f} ms, p99 "
            f"{1000 * quantile(told['firsts'], 0.99):.1f} ms; between events p50 "
            f"{1000 * quantile(told['gaps'], 0.5):.1f} ms, p99 "
            f"{1000 * quantile(told['gaps'], 0.99):.1f} ms"
        )
    firsts = asyncio.run(idle_firsts(server.port, 200))
    print(f"idle: first element p50 {1000 * quantile(firsts, 0.5):.1f} ms, "
          f"p99 {1000 * quantile(firsts, 0.99):.1f} ms")  # fmt: skip
    cancelled = asyncio.run(cancel_time(server, 20))
    print(f"a client that left: slots free after p50 {1000 * quantile(cancelled, 0.5):.1f} ms, "
          f"most {1000 * max(cancelled):.1f} ms")  # fmt: skip
    before = server.memory()
    asyncio.run(aborts(server.port, asked.aborts))
    began, busy = time.monotonic(), 1.0
    while busy and time.monotonic() - began < 20:
        busy = server.metrics()["rhapsode_slots_busy"]
    print(f"{asked.aborts:,} clients that left: {before:.0f} MB before, {server.memory():.0f} MB "
          f"after, {busy:.0f} slots busy")  # fmt: skip
    overload(server, asked.seconds)
    quiet, slow = asyncio.run(beside_slow_sockets(server.port, 500))
    print(f"first element p99 {1000 * quantile(quiet, 0.99):.1f} ms alone, "
          f"{1000 * quantile(slow, 0.99):.1f} ms beside 500 slow sockets")  # fmt: skip
    print(f"ended in {server.stop():.2f} s")


if __name__ == "__main__":
    main()
