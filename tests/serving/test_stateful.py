"""Any order of writing, leaving, saving, forking and deleting: no slot lost, the same texts."""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import rhapsode as rh
from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.served import MODELS, Client, served

pytestmark = pytest.mark.slow

MODEL = MODELS / "mixed"
SEEDS = st.integers(0, 50)
LENGTHS = st.integers(1, 30)


class Serving(RuleBasedStateMachine):
    """A server, and the texts that its states stand for."""

    states: Bundle[str] = Bundle("states")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.number = 0
        self.texts: dict[str, tuple[str, int]] = {}
        self.model = rh.load(MODEL)
        self.open()

    def open(self) -> None:
        limits = ServeSettings(states=str(Path(self.folder) / "states"), slots=4)
        self.opened = served([MODEL], limits)
        self.client: Client = self.opened.__enter__()

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    def expected(self, prompt: str, **own: Any) -> str:
        return str(self.model.continuations(prompt, **own)[0].text)

    @rule(seed=SEEDS, length=LENGTHS, n=st.integers(1, 6))
    def write(self, seed: int, length: int, n: int) -> None:
        choices = self.client.complete("The ", max_tokens=length, seed=seed, n=n)["choices"]
        several = self.model.continuations("The ", length=length, seed=seed, count=n)
        assert [each["text"] for each in choices] == [each.text for each in several]

    @rule(seed=SEEDS, n=st.integers(1, 6))
    def leave(self, seed: int, n: int) -> None:
        body = {"prompt": "The ", "max_tokens": 100_000, "seed": seed, "n": n, "stream": True}
        body["logit_bias"] = {"0": -100}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.client.post, "/v1/completions", json=body)
            while not (names := list(self.client.state.running)):
                time.sleep(0.001)
            assert self.client.post(f"/v1/cancel/{names[0]}", json={}).status_code == 200
            assert answer.result().text.endswith("data: [DONE]\n\n")

    @rule(target=states, seed=SEEDS, length=LENGTHS)
    def save(self, seed: int, length: int) -> str:
        self.number += 1
        name = f"s{self.number}"
        text = self.client.text("The ", max_tokens=length, seed=seed, save_state=name)
        assert text == self.expected("The ", length=length, seed=seed)
        self.texts[name] = text, seed
        return name

    @rule(name=states, length=LENGTHS)
    def resume(self, name: str, length: int) -> None:
        text, seed = self.texts[name]
        more = self.client.text(None, continue_from=name, max_tokens=length)
        whole = self.expected("The ", length=len(text) + length, seed=seed)
        if len(whole) > len(text):  # else it has ended by itself
            assert text + more == whole

    @rule(target=states, name=states)
    def fork(self, name: str) -> str:
        self.number += 1
        copy = f"s{self.number}"
        answer = self.client.post(f"/v1/states/{name}/fork", json={"name": copy})
        assert answer.status_code == 200
        self.texts[copy] = self.texts[name]
        return copy

    @rule(name=consumes(states))
    def delete(self, name: str) -> None:
        assert self.client.delete(f"/v1/states/{name}").status_code == 200
        del self.texts[name]

    @rule()
    def restart(self) -> None:
        self.opened.__exit__(None, None, None)
        self.open()

    @invariant()
    def nothing_is_lost(self) -> None:
        scheduler = self.client.state.models.get(None).scheduler
        while scheduler.busy:
            pass
        assert not self.client.state.running
        assert not scheduler.waiting
        assert self.client.state.states.count == len(self.texts)


Serving.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestServing = Serving.TestCase
