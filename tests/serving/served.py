"""Servers in this process, and what clients read of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from rhapsode.serving.app import build_app
from rhapsode.serving.http.guard import Guard, allowed_hosts
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import open_models
from rhapsode.serving.server_state import ServerState

MODELS = Path(__file__).parent.parent / "golden" / "models"
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"


class Client(TestClient):
    """A client of a server in this process, and the server's own state."""

    state: ServerState

    def complete(self, prompt: Any = "The ", **fields: Any) -> dict[str, Any]:
        """The answer of `/v1/completions`, which must be a success."""
        answer = self.post("/v1/completions", json={"prompt": prompt, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def text(self, prompt: Any = "The ", **fields: Any) -> str:
        """The text of the only choice."""
        (choice,) = self.complete(prompt, **fields)["choices"]
        return str(choice["text"])

    def refused(self, path: str = "/v1/completions", **fields: Any) -> dict[str, Any]:
        """The error of a request, with its status."""
        answer = self.post(path, json=fields)
        assert 400 <= answer.status_code < 500, answer.text
        return {"status": answer.status_code, **answer.json()["error"]}

    def events(self, path: str = "/v1/completions", **fields: Any) -> list[Any]:
        """The events of a stream, the last one, [DONE], left out."""
        with self.stream("POST", path, json={"stream": True, **fields}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in answer.iter_lines() if line]
        assert all(line.startswith("data: ") for line in lines)
        if path.startswith("/v1"):
            assert lines.pop() == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines]


@contextmanager
def served(
    models: Sequence[Path],
    settings: ServeSettings | None = None,
    keys: Sequence[str] = (),
    **headers: str,
) -> Iterator[Client]:
    """A client of a server that is ready, with the start-up token unless headers say otherwise."""
    settings = settings or ServeSettings()
    app, state = build_app(open_models(models, settings), settings, keys)
    guard = Guard(app, settings, keys, state.token, allowed_hosts(settings, PORT))
    with Client(guard, base_url=URL, raise_server_exceptions=False) as client:
        client.state = state
        client.headers.update(headers or {"x-rhapsode-token": state.token})
        while client.get("/health").status_code != 200:
            time.sleep(0.01)
        yield client
