"""The command `serve`: its flags arrive as settings, and a server runs in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import rhapsode as rh
from rhapsode.cli.main import main

MODELS = Path(__file__).parent.parent / "golden" / "models"


def test_flags_arrive_as_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Any, rh.ServeSettings]] = []

    def serve(models: Any, settings: rh.ServeSettings, **more: Any) -> None:
        heard.append((models, settings))

    monkeypatch.setattr(rh, "serve", serve, raising=False)
    flags: dict[str, tuple[list[str], Any]] = {
        "--host": (["127.0.0.2"], "127.0.0.2"),
        "--port": (["0"], 0),
        "--host-name": (["box"], ("box",)),
        "--origin": (["https://a.example"], ("https://a.example",)),
        "--key-file": (["keys"], "keys"),
        "--root-path": (["/m"], "/m"),
        "--trust-proxy": ([], True),
        "--slots": (["3"], 3),
        "--queue": (["4"], 4),
        "--seconds": (["1.5"], 1.5),
        "--max-tokens": (["7"], 7),
        "--max-prompt": (["8"], 8),
        "--elements-per-minute": (["9"], 9),
        "--states": (["kept"], "kept"),
        "--states-mb": (["1"], 1.0),
        "--prefix-mb": (["2"], 2.0),
        "--chat-template": (["speakers"], "speakers"),
        "--weights": (["int8"], "int8"),
        "--threads": (["2"], 2),
        "--log-prompts": ([], True),
    }
    words = [word for flag, (values, _) in flags.items() for word in (flag, *values)]
    assert main(["serve", "one", "two", *words]) == 0
    ((models, settings),) = heard
    assert models == ("one", "two")
    for flag, (_, value) in flags.items():
        assert getattr(settings, flag[2:].replace("-", "_")) == value


def test_a_server_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rhapsode", "serve", str(MODELS / "lstm"), "--port", "0"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as server,
        closing(http.client.HTTPConnection("127.0.0.1", 0, timeout=30)) as client,
    ):
        assert server.stderr is not None
        address, _, token = server.stderr.readline().strip().partition("/#token=")
        port = int(address.rpartition(":")[2])
        assert token
        client.port = port
        while True:
            client.request("GET", "/health")
            answer = client.getresponse()
            told = json.loads(answer.read())
            if answer.status == 200:
                break
            assert told["status"] == "loading"
            time.sleep(0.02)
        body = json.dumps({"prompt": "The ", "max_tokens": 5, "seed": 1})
        client.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        assert json.loads(client.getresponse().read())["usage"]["completion_tokens"] <= 5
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(10) is not None
        assert server.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "none"], "none"),
        (["serve", "--host", "0.0.0.0"], "--key-file"),
        (["serve", "--key-file", "none"], "cannot read the keys"),
    ],
)
def test_refusals(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert main(words) == 1
    finally:
        os.chdir(before)
    assert message in capsys.readouterr().err
