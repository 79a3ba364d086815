"""What each client sends, and what it reads: recorded from their sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from tests.serving.served import MODELS, Client

SEED = 11


def test_openai_python_reads_every_field(server: Client) -> None:
    answer = server.complete(
        "The ", max_tokens=12, seed=SEED, user="me", suffix=None, logprobs=None
    )
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert isinstance(answer["created"], int)
    assert answer["model"] == "mixed"
    assert answer["system_fingerprint"].startswith("fp_")
    (choice,) = answer["choices"]
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    assert choice["finish_reason"] in ("length", "stop")
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer["rhapsode"]["seed"] == SEED


@pytest.mark.parametrize("model", ["mixed", "bytes"])
def test_the_text_is_that_of_generate(server: Client, model: str) -> None:
    expected = rh.load(MODELS / model).generate("The ", length=40, seed=SEED, temperature=0.8)
    text = server.text("The ", model=model, max_tokens=40, seed=SEED, temperature=0.8)
    assert str(expected).removesuffix(text).strip() == "The"


def test_the_seed_is_returned_where_none_was_sent(server: Client) -> None:
    first = server.complete("The ", max_tokens=20, seed=None)
    again = server.text("The ", max_tokens=20, seed=first["rhapsode"]["seed"])
    assert again == first["choices"][0]["text"]
    assert first["rhapsode"]["seed"] != server.complete("The ", max_tokens=1)["rhapsode"]["seed"]


def test_prompts_of_all_four_kinds(server: Client) -> None:
    ids = server.post("/tokenize", json={"prompt": "The"}).json()["tokens"]
    other = server.post("/tokenize", json={"prompt": "a"}).json()["tokens"]
    fields = {"max_tokens": 10, "seed": SEED}
    one = server.text("The", **fields)
    assert server.text(ids, **fields) == one
    texts = [choice["text"] for choice in server.complete(["The", "a"], **fields)["choices"]]
    assert texts[0] == one
    listed = server.complete([ids, other], **fields)["choices"]
    assert [choice["text"] for choice in listed] == texts
    assert [choice["index"] for choice in listed] == [0, 1]


def test_n_is_prompt_major_and_keyed_by_prompt(server: Client) -> None:
    fields = {"max_tokens": 10, "seed": SEED, "n": 3}
    both = server.complete(["The", "a"], **fields)
    assert [choice["index"] for choice in both["choices"]] == list(range(6))
    alone = [choice["text"] for choice in server.complete("a", **fields)["choices"]]
    assert [choice["text"] for choice in both["choices"]][3:] == alone
    assert len(set(alone)) > 1
    assert both["usage"]["prompt_tokens"] == 4  # once for each prompt


class TestLmEval:
    """lm-evaluation-harness: `local-completions`."""

    def body(self, prompt: Any, **fields: Any) -> dict[str, Any]:
        return {
            "model": "mixed",
            "prompt": prompt,
            "temperature": 0,
            "max_tokens": 1,
            "logprobs": 1,
            "seed": 1234,
            "echo": True,
            **fields,
        }

    def test_likelihoods_of_echoed_ids(self, server: Client) -> None:
        ids = server.post("/tokenize", json={"prompt": "The list is"}).json()["tokens"]
        answer = server.post("/v1/completions", json=self.body([ids])).json()
        (choice,) = answer["choices"]
        found = choice["logprobs"]
        assert {len(found[name]) for name in found} == {len(ids) + 1}
        assert found["token_logprobs"][0] is None
        assert found["top_logprobs"][0] is None
        for own, top in zip(found["token_logprobs"][1:], found["top_logprobs"][1:], strict=True):
            assert own in top.values()
            assert own == pytest.approx(min(own, max(top.values())))
        expected = rh.load(MODELS / "mixed").log_prob("The list is")
        np.testing.assert_allclose(found["token_logprobs"][1:-1], expected[1:], rtol=1e-5)

    def test_the_greedy_element_is_the_likeliest_by_equality(self, server: Client) -> None:
        text = "The"
        for _ in range(5):
            answer = server.post("/v1/completions", json=self.body(text)).json()
            found = answer["choices"][0]["logprobs"]
            assert found["token_logprobs"][-1] == max(found["top_logprobs"][-1].values())
            text = answer["choices"][0]["text"]

    def test_an_empty_context_begins_with_the_end(self, server: Client) -> None:
        answer = server.post("/v1/completions", json=self.body([0])).json()
        found = answer["choices"][0]["logprobs"]
        assert len(found["tokens"]) == 2
        assert found["tokens"][0] == "<end>"
        ids = server.post("/tokenize", json={"prompt": "The list is"}).json()["tokens"]
        answer = server.post("/v1/completions", json=self.body([0, *ids])).json()
        found = answer["choices"][0]["logprobs"]["token_logprobs"]
        assert found[0] is None
        expected = rh.load(MODELS / "mixed").log_prob("The list is")
        np.testing.assert_allclose(found[1:-1], expected, rtol=1e-5)

    def test_scoring_alone_writes_nothing(self, server: Client) -> None:
        answer = server.post("/v1/completions", json=self.body("The", max_tokens=0)).json()
        (choice,) = answer["choices"]
        assert choice["text"] == "The"
        assert len(choice["logprobs"]["tokens"]) == 3
        assert choice["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 0
        error = server.refused(prompt="The", max_tokens=0)
        assert error["param"] == "max_tokens"

    def test_the_tokenizer_at_the_root(self, server: Client) -> None:
        info = server.get("/tokenizer_info").json()
        assert info["eos_token"] == "<end>"
        end = server.post("/tokenize", json={"prompt": "<end>", "add_special_tokens": False}).json()
        assert end == {"tokens": [0], "count": 1, "max_model_len": 3000}
        assert server.post("/tokenize", json={"prompt": "a<end>"}).json()["count"] == 6
        assert server.post("/tokenize", json={"content": "好"}).json()["tokens"] == [1]
        ids = server.post("/tokenize", json={"prompt": "The"}).json()["tokens"]
        back = server.post("/detokenize", json={"tokens": ids}).json()
        assert back == {"prompt": "The", "content": "The"}

    def test_stops_of_every_kind(self, server: Client) -> None:
        plain = server.text("The ", max_tokens=60, seed=SEED)
        for stop in (None, "", [], [""]):
            assert server.text("The ", max_tokens=60, seed=SEED, stop=stop) == plain
        many = [f"{number}xyz" for number in range(20)] + [plain[5:8]]
        cut = server.complete("The ", max_tokens=60, seed=SEED, stop=many)["choices"][0]
        assert cut["text"] == plain[: plain.index(plain[5:8])]
        assert cut["finish_reason"] == "stop"


def test_langchain_sends_a_list_and_nulls(server: Client) -> None:
    answer = server.complete(
        ["The "] * 20, max_tokens=256, temperature=0.7, top_p=1, frequency_penalty=0,
        presence_penalty=0, n=1, seed=None, logprobs=None, logit_bias=None,
    )  # fmt: skip
    assert len(answer["choices"]) == 20
    assert len({choice["text"] for choice in answer["choices"]}) == 1  # equal prompts, one seed


def test_llm_streams_with_usage(server: Client) -> None:
    fields = {"prompt": "The ", "max_tokens": 30, "seed": SEED, "logprobs": 2}
    *chunks, last = server.events(**fields, stream_options={"include_usage": True})
    whole = server.complete(**fields)
    (choice,) = whole["choices"]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert all("text" in chunk["choices"][0] for chunk in chunks)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == choice["text"]
    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert ends == [None] * (len(chunks) - 1) + [choice["finish_reason"]]
    joined: dict[str, list[Any]] = {name: [] for name in choice["logprobs"]}
    for chunk in chunks:
        for name, values in (chunk["choices"][0]["logprobs"] or {}).items():
            joined[name] += values
    assert joined == choice["logprobs"]


def test_offsets_count_code_points_from_the_start_of_the_choice(server: Client) -> None:
    (choice,) = server.complete("The", max_tokens=8, seed=SEED, logprobs=0, echo=True)["choices"]
    found = choice["logprobs"]
    assert found["text_offset"][:4] == [0, 1, 2, 3]
    for name, offset in zip(found["tokens"], found["text_offset"], strict=True):
        assert name == "<end>" or choice["text"][offset : offset + len(name)] == name
    assert all(len(top) == 1 for top in found["top_logprobs"][1:])


def test_chats_of_the_ai_sdk(server: Client) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "The list"}]}]
    fields = {"messages": messages, "max_tokens": 12, "seed": SEED}
    whole = server.post("/v1/chat/completions", json=fields).json()
    assert whole["object"] == "chat.completion"
    message = whole["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert message["content"] == server.text("The list\n\n", max_tokens=12, seed=SEED)
    first, *rest = server.events("/v1/chat/completions", **fields)
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"]["role"] == "assistant"
    parts = [chunk["choices"][0]["delta"].get("content", "") for chunk in (first, *rest)]
    assert "".join(parts) == message["content"]
    assert first["choices"][0]["finish_reason"] is None
    scored = server.post(
        "/v1/chat/completions", json={**fields, "logprobs": True, "top_logprobs": 3}
    ).json()["choices"][0]["logprobs"]["content"]
    assert {*scored[0]} == {"token", "logprob", "bytes", "top_logprobs"}
    assert len(scored[0]["top_logprobs"]) in (3, 4)


def test_llama_cpp_clients(server: Client) -> None:
    props = server.get("/props").json()
    assert props["total_slots"] == 64
    assert "chat_template" in props
    fields = {"prompt": "The ", "n_predict": 12, "seed": SEED, "n_probs": 2, "cache_prompt": True}
    whole = server.post("/completion", json={**fields, "mirostat": 0, "id_slot": -1}).json()
    assert whole["content"] == server.text("The ", max_tokens=12, seed=SEED)
    assert whole["stop"] is True
    entry = whole["completion_probabilities"][0]
    assert {*entry} == {"id", "token", "bytes", "logprob", "top_logprobs"}
    events = server.events("/completion", **fields)
    assert "".join(event["content"] for event in events) == whole["content"]
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]


def test_open_webui_lists_models(server: Client) -> None:
    listing = server.get("/v1/models").json()["data"]
    assert [entry["id"] for entry in listing] == ["mixed", "bytes"]
    assert {entry["status"] for entry in listing} == {"ready"}
    assert server.get("/v1/models/bytes").json()["id"] == "bytes"
    assert server.get("/v1/models/none").json()["error"]["code"] == "model_not_found"


def test_every_sampler_changes_the_text(server: Client) -> None:
    plain = server.text("The ", max_tokens=60, seed=SEED)
    for fields in (
        {"top_k": 1},
        {"min_p": 0.5},
        {"typical_p": 0.2},
        {"mirostat_tau": 1.0},
        {"dry_multiplier": 5.0, "dry_allowed_length": 1},
        {"repetition_penalty": 2.0},
        {"temperature": 0},
        {"no_repeat_ngram": 1, "top_k": 5},
        {"prefix": "zz"},
        {"ban": ["e"]},
        {"logit_bias": {"5": 50}},
    ):
        assert server.text("The ", max_tokens=60, seed=SEED, **fields) != plain, fields
    assert server.text("The ", max_tokens=60, seed=SEED, bias=["#5=50"]) == server.text(
        "The ", max_tokens=60, seed=SEED, logit_bias={"5": 50}
    )


def test_best_of_and_beams_search(server: Client) -> None:
    model = rh.load(MODELS / "mixed")
    for own in ({"best_of": 4}, {"beams": 3, "temperature": 1}):
        expected = model.continuations("The ", length=10, seed=SEED, **own)[0].text
        assert server.text("The ", max_tokens=10, seed=SEED, **own) == expected
    assert server.refused(prompt="The", best_of=4, n=2)["code"] == "unsupported_parameter"


def test_log_probabilities_of_other_kinds(server: Client) -> None:
    fields = {"max_tokens": 10, "seed": SEED, "logprobs": 1, "top_k": 2}
    raw, processed, network = (
        server.complete("The ", **fields, logprobs_mode=mode)["choices"][0]
        for mode in ("raw", "processed", "network")
    )
    assert raw["text"] == processed["text"] == network["text"]
    values = [each["logprobs"]["token_logprobs"] for each in (raw, processed, network)]
    assert values[0] != values[1]
    assert values[0] != values[2]
    assert all(len(top) <= 2 for top in processed["logprobs"]["top_logprobs"])
    assert all(value <= 0 for each in values for value in each)


def test_traces_explain_the_choices(server: Client) -> None:
    (choice,) = server.complete("The ", max_tokens=5, seed=SEED, trace=3)["choices"]
    trace = choice["rhapsode"]["trace"]
    assert len(trace) == 5
    assert {"rank", "raw_log_prob", "removed", "contribution"} <= set(trace[0])
    assert all(math.isfinite(each["raw_log_prob"]) for each in trace)
