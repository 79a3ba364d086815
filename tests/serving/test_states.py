"""Stored states: across restarts, forked, refused, and equal to a text that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.served import MODELS, Client, served

SAMPLERS: tuple[dict[str, Any], ...] = (
    {},
    {"repetition_penalty": 1.3, "penalty_range": 9},
    {"adapt": True},
    {"dry_multiplier": 0.8, "min_p": 0.02},
    {"logprobs": 1},
)


@pytest.mark.parametrize("model", ["mixed", "gru", "transformer", "tcn", "bytes"])
def test_a_text_goes_on_after_a_restart_as_if_it_had_never_stopped(
    model: str, states: dict[str, Any]
) -> None:
    settings = ServeSettings(**states)
    samplers = SAMPLERS if model == "mixed" else SAMPLERS[:2]
    fields = {"seed": 5, "logit_bias": {"0": -100}}
    plain = {"seed": 5}
    expected, begun = [], []
    with served([MODELS / model], settings) as client:
        for number, own in enumerate(samplers):
            shared = plain if number < 3 else fields
            expected.append(client.complete("The ", max_tokens=60, **shared, **own))
            begun.append(
                client.text("The ", max_tokens=25, save_state=f"s{number}", **shared, **own)
            )
    with served([MODELS / model], settings) as client:
        for number, own in enumerate(samplers):
            shared = {} if number < 3 else {"logit_bias": {"0": -100}}
            whole = expected[number]["choices"][0]["text"]
            if len(whole) < 60:
                continue  # it ended by itself
            answer = client.complete(
                None, continue_from=f"s{number}", max_tokens=35, **shared, **own
            )
            assert begun[number] + answer["choices"][0]["text"] == whole
            usage = answer["usage"]
            assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]


def test_forks_go_different_ways_and_the_first_is_the_text_itself(
    states: dict[str, Any],
) -> None:
    with served([MODELS / "mixed"], ServeSettings(**states)) as client:
        whole = client.text("The ", max_tokens=40, seed=5)
        client.complete("The ", max_tokens=20, seed=5, save_state="a")
        several = client.complete(None, continue_from="a", max_tokens=20, n=3)["choices"]
        texts = [choice["text"] for choice in several]
        assert whole.endswith(texts[0])
        assert len(set(texts)) == 3
        fork = client.post("/v1/states/a/fork", json={"name": "b"}).json()
        assert fork["forked_from"] == "a"
        assert client.text(None, continue_from="b", max_tokens=20) == texts[0]
        more = client.text(" and", continue_from="b", max_tokens=20, seed=9)
        assert more == client.text(whole_of(client, "a") + " and", max_tokens=20, seed=9)
        assert client.delete("/v1/states/b").json()["deleted"] is True
        assert client.refused(continue_from="b")["code"] == "state_not_found"
        listing = client.get("/v1/states").json()["data"]
        assert [entry["id"] for entry in listing] == ["a"]
        assert listing[0]["elements"] == 24


def whole_of(client: Client, name: str) -> str:
    """The text of a stored state."""
    path = client.state.states.path_of(name)
    with safe_open(path, framework="numpy") as file:
        ids = file.get_tensor("elements").tolist()
    return str(client.post("/detokenize", json={"tokens": ids}).json()["prompt"])


def test_refusals_by_name(states: dict[str, Any]) -> None:
    folder = Path(states["states"])
    with served([MODELS / "mixed", MODELS / "gru"], ServeSettings(**states)) as client:
        client.complete("The ", max_tokens=4, save_state="a")
        assert client.refused(prompt="The", save_state="a")["code"] == "state_exists"
        assert client.refused(model="gru", continue_from="a")["code"] == "state_mismatch"
        error = client.refused(continue_from="a", adapt=True)
        assert error["param"] == "adapt"
        assert client.refused(continue_from="a", echo=True)["code"] == "unsupported_parameter"
        client.complete("The ", max_tokens=4, save_state="damaged")
        path = folder / "damaged.state.safetensors"
        path.write_bytes(path.read_bytes()[:-40])
        assert client.refused(continue_from="damaged")["status"] in (400, 404)
        client.complete("The ", max_tokens=4, save_state="changed")
        path = folder / "changed.state.safetensors"
        content = bytearray(path.read_bytes())
        content[-9] ^= 0x40  # a number of the state
        path.write_bytes(content)
        error = client.refused(continue_from="changed")
        assert (error["status"], error["code"]) == (400, "state_mismatch")
    small = ServeSettings(**states, states_mb=0.2)
    with served([MODELS / "mixed"], small) as client:
        error = client.refused(prompt="The ", max_tokens=4, adapt=True, save_state="large")
        assert error["code"] == "state_too_large"
        assert "'large'" in error["message"]
    with served([MODELS / "mixed"], ServeSettings(**states, states_mb=0.03)) as client:
        for number in range(100):
            answer = client.post(
                "/v1/completions",
                json={"prompt": "The ", "max_tokens": 4, "save_state": f"n{number}"},
            )
            if answer.status_code != 200:
                break
        assert answer.json()["error"]["code"] == "states_full"
        assert client.state.states.bytes <= 0.03e6


def test_what_writes_needs_the_token(states: dict[str, Any]) -> None:
    with served([MODELS / "lstm"], ServeSettings(**states), accept="*/*") as client:
        error = client.refused(prompt="The", save_state="a")
        assert (error["status"], error["code"]) == (403, "token_required")
        assert client.delete("/v1/states/a").json()["error"]["code"] == "token_required"
        bearer = {"authorization": f"Bearer {client.state.token}"}
        body = {"prompt": "The", "max_tokens": 2, "save_state": "a"}
        assert client.post("/v1/completions", json=body, headers=bearer).status_code == 200
