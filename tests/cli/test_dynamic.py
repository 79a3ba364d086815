"""`rhapsode evaluate --dynamic`."""

import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_evaluate_dynamic(cli: Cli, run_folder: Path, prose: str) -> None:
    Path("text.txt").write_text(prose[:3000], encoding="utf-8")
    before = (run_folder / "model.safetensors").read_bytes()
    plain = json.loads(cli("evaluate", str(run_folder), "text.txt", "--json").out)
    assert plain["dynamic"] is None
    done = cli("evaluate", str(run_folder), "text.txt", "--dynamic", "--json")
    found = json.loads(done.out)
    dynamic = found.pop("dynamic")
    assert {**found, "dynamic": None} == plain
    assert set(dynamic["losses"]) == {"static", "dynamic", "cache", "both"}
    assert dynamic["elements"] == dynamic["of"] == 3001
    assert dynamic["losses"]["static"]["loss"] == pytest.approx(plain["network"]["loss"], abs=1e-5)
    assert dynamic["losses"]["dynamic"]["loss"] < plain["network"]["loss"] - 0.01
    for one in dynamic["losses"].values():
        assert one["perplexity"] == pytest.approx(math.exp(one["loss"]))
        assert one["seconds"] > 0
    assert set(dynamic["protocol"]) == {"elements", *dynamic["losses"]}
    assert (run_folder / "model.safetensors").read_bytes() == before

    shown = cli("evaluate", str(run_folder), "text.txt", "--dynamic").out
    assert "all 3,001 of 3,001" in " ".join(shown.split())
    for name in ("dynamic", "cache", "both"):
        assert f"{dynamic['losses'][name]['loss']:.4f}" in shown


def test_no_time_to_come_to_what_is_scored(cli: Cli, run_folder: Path, prose: str) -> None:
    from rhapsode.config import SourceSettings
    from rhapsode.modalities.ids.learning_losses import losses_while_learning
    from rhapsode.modalities.text.metrics import read_part
    from rhapsode.modalities.text.model import TextModel

    pair = {"a": prose[:500], "b": prose[500:600]}
    Path("pairs.jsonl").write_text(json.dumps(pair), encoding="utf-8")
    model = TextModel(run_folder)
    source = SourceSettings(prompt_field="a", completion_field="b")
    store = read_part(model, ["pairs.jsonl"], source).store
    found = losses_while_learning(model.bundle, store, seconds=0.0)
    assert (found["losses"], found["elements"], found["of"]) == ({}, 0, 101)
    json.dumps(found, allow_nan=False)
