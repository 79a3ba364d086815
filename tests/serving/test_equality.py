"""A request has one text: alone, in company, in a list, as a stream, after a pause."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.serving.served import Client

PROMPTS = ("", "The ", "The list", "a" * 40, "The method of an object is" * 4)
SAMPLERS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0},
    {"temperature": 0.7, "top_k": 10},
    {"min_p": 0.05, "top_p": 0.9},
    {"repetition_penalty": 1.2},
    {"frequency_penalty": 0.4, "penalty_range": 20},
    {"dry_multiplier": 0.8},
    {"mirostat_tau": 3.0},
    {"regex": "[a-z ]{1,30}"},
    {"logprobs": 2},
    {"adapt": True},
    {"stop": ["e ", "th"]},
    {"min_length": 8},
)

requests = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(PROMPTS),
        "sampler": st.sampled_from(SAMPLERS),
        "seed": st.integers(0, 2**63 - 1),
        "max_tokens": st.integers(1, 40),
    }
)


def fields(request: dict[str, Any]) -> dict[str, Any]:
    own = {key: request[key] for key in ("prompt", "seed")}
    most = max(request["max_tokens"], request["sampler"].get("min_length", 0))
    return {**own, **request["sampler"], "max_tokens": most}


PROVE = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@settings(PROVE, max_examples=4)
@given(st.lists(requests, min_size=16, max_size=24))
def test_texts_do_not_depend_on_the_company(server: Client, company: list[dict[str, Any]]) -> None:
    check(server, company)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_a_thousand_texts(server: Client, part: int) -> None:
    @seed(part)
    @settings(PROVE, derandomize=False, database=None, max_examples=5)
    @given(st.lists(requests, min_size=20, max_size=24))
    def prove(company: list[dict[str, Any]]) -> None:
        check(server, company)

    prove()


def check(server: Client, company: list[dict[str, Any]]) -> None:
    """Send requests alone and at the same time, and one of them in every other way."""
    alone = [server.text(**fields(each)) for each in company]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda each: server.text(**fields(each)), company))
    assert together == alone
    first = fields(company[0])
    streamed = server.events(**first)
    assert "".join(each["choices"][0]["text"] for each in streamed) == alone[0]
    listed = server.complete(**{**first, "prompt": [*PROMPTS[1:], first["prompt"]]})["choices"]
    assert listed[-1]["text"] == alone[0]
    several = server.complete(**first, n=3)["choices"]
    assert several[0]["text"] == alone[0]


def test_a_prompt_that_is_found_in_the_cache_changes_nothing(server: Client) -> None:
    cache = server.state.models.get("mixed").scheduler.cache
    prompt = "The list of objects that is made by an object. "
    for more in ("", "The", "The method"):
        text = prompt + more
        first = server.complete(text, max_tokens=20, seed=4)
        hits = cache.hits
        again = server.complete(text, max_tokens=20, seed=4)
        assert cache.hits > hits
        assert again["choices"][0]["text"] == first["choices"][0]["text"]
        cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert cached == again["usage"]["prompt_tokens"]
