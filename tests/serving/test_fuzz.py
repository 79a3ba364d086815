"""Random requests: no failure of the server, no hang, no slot lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.wire.api_errors import CODES
from rhapsode.serving.wire.fields import OURS, UNSUPPORTED, sampling_fields
from tests.serving.served import MODELS, Client, served

pytestmark = pytest.mark.slow

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.integers(-(2**70), 2**70),
    st.floats(-3, 3, allow_nan=False),
    st.sampled_from(
        ["", "The ", "a", "x" * 300, "\ud800", "\0", "好", "none", "hf", "raw", "#5=2"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["5", "role", "x"]), inner)
    ),
    max_leaves=5,
)
ROUTES = (
    "/v1/completions",
    "/v1/chat/completions",
    "/completion",
    "/tokenize",
    "/detokenize",
    "/v1/forecasts",
    "/v1/states/a/fork",
    "/v1/cancel/a",
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fuzz")
    limits = ServeSettings(
        states=str(folder), states_mb=1, max_prompt=200, max_tokens=60, seconds=20
    )
    with served([MODELS / "mixed"], limits) as client:
        yield client


def names() -> list[str]:
    from rhapsode.config import GenerateSettings

    ours = {*OURS, *UNSUPPORTED, *sampling_fields(GenerateSettings), "content", "tokens", "name"}
    return sorted(ours - {"model"})


@settings(
    max_examples=3000, deadline=20_000, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(
    st.sampled_from(ROUTES),
    st.dictionaries(st.sampled_from(names()), values, max_size=6),
    st.sampled_from([None, {"prompt": "The ", "max_tokens": 5}]),
)
def test_random_fields(
    fuzzed: Client, path: str, fields: dict[str, Any], base: dict[str, Any] | None
) -> None:
    import json

    body = json.dumps({**fields, **(base or {})}).encode()
    answer = fuzzed.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error["code"] in CODES
        assert isinstance(error["message"], str)
    assert not fuzzed.state.running
    scheduler = fuzzed.state.models.get(None).scheduler
    while scheduler.busy:
        pass
