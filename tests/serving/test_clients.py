"""Unmodified clients in environments of their own; see `benchmarks/peers/README.md`."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import rhapsode as rh
from rhapsode.serving.run_server import ModelServer
from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.served import MODELS
from tests.serving.test_sockets import answer_of, get

PEERS = Path(os.environ.get("RHAPSODE_PEERS", "/tmp/peers")) / "serving" / "bin"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "peers" / "serving_clients.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PEERS.is_dir(), reason=f"no environment of clients at {PEERS}"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    server = ModelServer([MODELS / "mixed"], ServeSettings(port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while b" 200 " not in answer_of(server, get("/health")):
        time.sleep(0.02)
    yield server
    server.stop()
    thread.join(10)


def test_clients_read_the_same_text(running: ModelServer) -> None:
    url = running.url.rstrip("/")
    done = subprocess.run(
        [str(PEERS / "python"), str(SCRIPT), url, "mixed"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    expected = str(rh.load(MODELS / "mixed").generate("The ", length=20, seed=7))[4:]
    assert found["openai"]["text"] == expected
    assert found["openai"]["models"] == ["mixed"]
    assert found["openai"]["errors"] == [
        ["BadRequestError", "invalid_value", "top_p"],
        ["NotFoundError", "model_not_found", "model"],
        ["BadRequestError", "unknown_character", "prompt"],
    ]
    assert {found["langchain"][key] for key in ("text", "stream")} == {expected}
    assert found["langchain"]["list"] == [expected] * 3
    assert found["llm"]["text"] == expected


NODE = PEERS.parents[1] / "node"


@pytest.mark.skipif(not NODE.is_dir(), reason=f"no library of Node at {NODE}")
def test_node_reads_the_same_text(running: ModelServer) -> None:
    done = subprocess.run(
        ["node", str(SCRIPT.with_name("serving_client.mjs")), running.url.rstrip("/"), "mixed"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "NODE_PATH": str(NODE)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    expected = str(rh.load(MODELS / "mixed").generate("The ", length=20, seed=7))[4:]
    assert found["text"] == expected
    assert found["models"] == ["mixed"]
    assert [name for name, *_ in found["errors"]] == [
        "BadRequestError",
        "NotFoundError",
        "BadRequestError",
    ]


TASK = """
task: own
dataset_path: json
dataset_kwargs:
  data_files: {data}
output_type: loglikelihood_rolling
test_split: train
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
"""


def test_lm_eval_has_the_likelihood_of_evaluate(running: ModelServer, tmp_path: Path) -> None:
    text = "The list of objects is what the method returns.\nAn object is a thing. " * 8
    data = tmp_path / "texts.jsonl"
    data.write_text(json.dumps({"text": text}) + "\n")
    (tmp_path / "own.yaml").write_text(TASK.format(data=data))
    url = running.url.rstrip("/")
    arguments = (
        f"model=mixed,base_url={url}/v1/completions,max_length=1000000,num_concurrent=1,"
        "tokenizer_backend=remote"
    )
    done = subprocess.run(
        [str(PEERS / "lm_eval"), "--model", "local-completions", "--tasks", "own",
         "--include_path", str(tmp_path), "--model_args", arguments,
         "--output_path", str(tmp_path / "out"), "--log_samples"],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = (tmp_path / "out").rglob("results*.json")
    bits = json.loads(results.read_text())["results"]["own"]["bits_per_byte,none"]
    source = tmp_path / "text.txt"
    source.write_text(text)
    expected = rh.load(MODELS / "mixed").log_prob(text).sum()
    assert bits * len(text.encode()) == pytest.approx(-expected / 0.6931471805599453, rel=1e-7)
