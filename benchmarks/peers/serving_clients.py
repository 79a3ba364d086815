"""Unmodified clients against a running server; prints what each has read as JSON.

    python serving_clients.py URL MODEL [CLIENT...]

Runs in an environment of its own: openai, langchain-openai, llm.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

URL, MODEL, *ONLY = sys.argv[1:]
FIELDS = {"max_tokens": 20, "seed": 7}


def of_openai():
    import openai

    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
    ids = [2, 3, 4]
    prompts = ("The ", ["The ", "a"], ids, [ids, ids[:2]])
    whole = [client.completions.create(model=MODEL, prompt=each, **FIELDS) for each in prompts]
    assert [len(each.choices) for each in whole] == [1, 2, 1, 2]
    text = whole[0].choices[0].text
    assert whole[1].choices[0].text == text
    events = list(
        client.completions.create(
            model=MODEL,
            prompt="The ",
            stream=True,
            stream_options={"include_usage": True},
            logprobs=2,
            extra_body={"min_p": 0.0},
            **FIELDS,
        )
    )
    assert "".join(each.choices[0].text for each in events if each.choices) == text
    assert events[-1].usage.completion_tokens == whole[0].usage.completion_tokens
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "The"}], **FIELDS
    )
    pieces = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "The"}], stream=True, **FIELDS
    )
    said = "".join(each.choices[0].delta.content or "" for each in pieces)
    assert said == chat.choices[0].message.content
    errors = []
    for fields in ({"top_p": 3}, {"model": "none"}, {"prompt": "\u597d"}):
        try:
            client.completions.create(**{"model": MODEL, "prompt": "The ", **fields})
        except openai.APIStatusError as problem:
            errors.append([type(problem).__name__, problem.code, problem.param])
    return {"text": text, "models": [each.id for each in client.models.list()], "errors": errors}


def of_langchain():
    from langchain_openai import OpenAI

    model = OpenAI(
        base_url=f"{URL}/v1", api_key="none", model=MODEL, max_tokens=20, seed=7, temperature=1
    )
    batch = model.generate(["The "] * 3)
    return {
        "text": model.invoke("The "),
        "list": [each[0].text for each in batch.generations],
        "stream": "".join(model.stream("The ")),
        "usage": batch.llm_output["token_usage"]["total_tokens"],
    }


def of_llm():
    folder = Path(tempfile.mkdtemp())
    os.environ["LLM_USER_PATH"] = str(folder)
    (folder / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: {MODEL}\n  api_base: {URL}/v1\n  completion: true\n"
    )
    import llm

    answer = llm.get_model("ours").prompt("The ", max_tokens=20, seed=7)
    text = answer.text()
    return {"text": text, "output": answer.usage().output}


found = {}
for name, read in (("openai", of_openai), ("langchain", of_langchain), ("llm", of_llm)):
    if ONLY and name not in ONLY:
        continue
    try:
        found[name] = read()
    except ImportError as problem:
        found[name] = {"missing": str(problem)}
print(json.dumps(found))
