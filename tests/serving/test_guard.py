"""Hosts, origins, media types, keys and headers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rhapsode.errors import SettingsError
from rhapsode.serving.run_server import read_keys
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import check_address
from tests.serving.served import MODELS, Client, served

KEYS = ("first-key", "second-key")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Client]:
    settings = ServeSettings(host_name=("box.local",), origin=("https://example.org",))
    with served([MODELS / "lstm"], settings, KEYS, accept="*/*") as client:
        yield client


def body(client: Client, **headers: str) -> tuple[int, str | None]:
    answer = client.post("/v1/completions", json={"max_tokens": 1}, headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("code")


def test_keys(guarded: Client) -> None:
    assert body(guarded) == (401, "invalid_api_key")
    assert body(guarded, authorization="Bearer wrong") == (401, "invalid_api_key")
    assert body(guarded, authorization="Basic first-key") == (401, "invalid_api_key")
    for key in KEYS:
        assert body(guarded, authorization=f"Bearer {key}") == (200, None)
        assert body(guarded, **{"x-api-key": key}) == (200, None)
    assert body(guarded, authorization=f"Bearer {guarded.state.token}") == (200, None)
    assert body(guarded, cookie=f"rhapsode={guarded.state.token}") == (200, None)
    token = {"x-rhapsode-token": guarded.state.token}
    session = guarded.post("/v1/session", json={}, headers=token)
    assert "HttpOnly; SameSite=Strict" in session.headers["set-cookie"]
    guarded.cookies.clear()
    assert guarded.post("/v1/session", json={}).status_code == 401
    assert guarded.get("/v1/models").status_code == 401
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/health/live").status_code == 200


def test_hosts(guarded: Client) -> None:
    key = {"authorization": "Bearer first-key"}
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "box.local", "BOX.local:8000"):
        assert body(guarded, host=host, **key) == (200, None), host
    for host in ("evil.example", "localhost", "127.0.0.1:8001", "localhost:8000.evil.example", ""):
        assert body(guarded, host=host, **key) == (403, "host_not_allowed"), host


def test_origins(guarded: Client) -> None:
    key = {"authorization": "Bearer first-key"}
    refused = (403, "origin_not_allowed")
    assert body(guarded, origin="https://evil.example", **key) == refused
    assert body(guarded, origin="null", **key) == refused
    assert body(guarded, **{"sec-fetch-site": "cross-site"}, **key) == refused
    assert body(guarded, origin="http://127.0.0.1:8000", **key) == (200, None)
    assert body(guarded, **{"sec-fetch-site": "same-origin"}, **key) == (200, None)
    shared = guarded.post(
        "/v1/completions",
        json={"max_tokens": 1},
        headers={"origin": "https://example.org", "sec-fetch-site": "cross-site", **key},
    )
    assert shared.status_code == 200
    assert shared.headers["access-control-allow-origin"] == "https://example.org"
    preflight = guarded.options("/v1/completions", headers={"origin": "https://example.org"})
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    foreign = guarded.options("/v1/completions", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


def test_bodies_are_json(guarded: Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = guarded.post(
            "/v1/completions",
            content=b"{}",
            headers={"content-type": kind, "authorization": "Bearer first-key"},
        )
        assert answer.status_code == 415
        assert answer.json()["error"]["code"] == "unsupported_media_type"


def test_headers_of_every_answer(guarded: Client) -> None:
    for answer in (guarded.get("/health"), guarded.get("/none"), guarded.get("/v1/models")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "")


def test_addresses_beyond_this_machine_need_keys(tmp_path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        check_address(ServeSettings(host=host), keys=False)
    with pytest.raises(SettingsError, match="needs keys"):
        check_address(ServeSettings(host="0.0.0.0"), keys=False)
    check_address(ServeSettings(host="0.0.0.0"), keys=True)
    file = tmp_path / "keys"
    file.write_text("one\n\n two \n")
    assert read_keys(ServeSettings(key_file=str(file))) == ["one", "two"]
    file.write_text("\n")
    with pytest.raises(SettingsError, match="no key"):
        read_keys(ServeSettings(key_file=str(file)))


def test_metrics_name_no_prompt_and_no_key(guarded: Client) -> None:
    key = {"authorization": "Bearer first-key"}
    body(guarded, **key)
    text = guarded.get("/metrics", headers=key).text
    for name in (
        "rhapsode_requests_total",
        "rhapsode_prompt_elements_total",
        "rhapsode_generated_elements_total",
        "rhapsode_time_to_first_element_seconds_bucket",
        "rhapsode_request_seconds_bucket",
        "rhapsode_queue_seconds_bucket",
        "rhapsode_inter_event_seconds_bucket",
        "rhapsode_slots_busy 0.0",
        "rhapsode_stored_states",
        "rhapsode_requests_waiting",
    ):
        assert name in text
    assert "first-key" not in text
    assert "The" not in text.replace("Time", "")
