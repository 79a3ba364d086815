"""`rhapsode train --from`: the model's elements and network, a lower rate, the old loss beside the new one."""

import hashlib
import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhapsode.bundle import Provenance, read_bundle, write_bundle
from rhapsode.modalities.session import PlaySession
from rhapsode.modalities.text.model import TextModel
from rhapsode.training.planner import GENTLER
from rhapsode.workflows.runs.run import prepare_training
from tests.cli.conftest import Cli

FAST = ("--set", "training.precision=float32", "--set", "samples.length=0")
FEW = (*FAST, "--set", "training.evaluations=2")


@pytest.fixture
def new_text(tmp_path: Path) -> Path:
    path = tmp_path / "new.txt"
    line = "The parrot says: print the list, then the tuple, and then the list again.\n"
    path.write_text(line * 80, encoding="utf-8")
    return path


def read_summary(run: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(run, "summary.json").read_text())
    return found


def test_it_begins_where_the_model_ended(cli: Cli, run_folder: Path, new_text: Path) -> None:
    done = cli(
        "train", str(new_text), "--from", str(run_folder), "-o", "more", "--steps", "40", *FEW,
        "--set", "training.beside_counts=off",
    )  # fmt: skip
    assert done.code == 0, done.err
    old, new = read_bundle(run_folder), read_bundle("more")
    assert new.config == old.config
    assert new.encoder.fingerprint == old.encoder.fingerprint
    start = read_summary("more")["from"]
    file = run_folder / "model.safetensors"
    assert start["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    # The loss before the first update is that of the old model, and the text is easily learnt.
    before = start["validation_loss"]
    assert f"before: validation {before:.4f} on the new text" in done.err
    assert read_summary("more")["validation_loss"] < before - 0.3
    assert f"{before:.4f} before, {read_summary('more')['validation_loss']:.4f} now" in done.err
    # Its first loss is near that of the old model: the weights are its own.
    first = json.loads(Path("more/metrics.jsonl").read_text().splitlines()[0])
    assert abs(first["loss"] - before) < 0.3
    assert first["loss"] < 0.9 * np.log(old.encoder.vocab_size)


def test_the_rate_is_lower_and_the_ancestry_is_kept(
    cli: Cli, run_folder: Path, new_text: Path
) -> None:
    assert (
        cli("train", str(new_text), "--from", str(run_folder), "-o", "b", "--steps", "4", *FEW).code
        == 0
    )
    assert cli("train", str(new_text), "--from", "b", "-o", "c", "--steps", "4", *FEW).code == 0
    a, b, c = (read_bundle(run) for run in (run_folder, "b", "c"))
    rates = [run.provenance.section("training")["learning_rate"] for run in (a, b, c)]
    assert rates[1] == pytest.approx(GENTLER * rates[0])
    assert rates[2] == pytest.approx(GENTLER * rates[1])
    reasons = " ".join(read_summary("b")["plan"]["reasons"])
    assert f"{GENTLER:g} times the {rates[0]:g} it was trained with" in reasons
    line = c.provenance.ancestors
    assert [one["data_sha256"] for one in line] == [
        a.provenance.data_sha256, b.provenance.data_sha256,
    ]  # fmt: skip
    assert a.provenance.ancestors == ()
    done = cli("train", str(new_text), "--from", "b", "-o", "d", "--steps", "2", *FEW,
               "--set", "training.learning_rate=0.0003")  # fmt: skip
    assert done.code == 0
    assert read_bundle("d").provenance.section("training")["learning_rate"] == 0.0003


def test_a_model_that_gets_no_better_stays_the_old_one(cli: Cli, run_folder: Path) -> None:
    # Nothing in the training split helps with the validation split, at a rate that ruins the model.
    Path("noise.txt").write_text("zq" * 900 + "The value of the object is the name of it. " * 9)
    done = cli("train", "noise.txt", "--from", str(run_folder), "-o", "worse", "--steps", "12",
               "--set", "training.learning_rate=0.5", "--set", "data.test_share=0", *FEW)  # fmt: skip
    assert done.code == 0, done.err
    summary = read_summary("worse")
    assert summary["validation_loss"] == summary["from"]["validation_loss"]
    assert "no improvement, so the base model is kept" in done.err
    old, new = read_bundle(run_folder), read_bundle("worse")
    assert len(new.members) == 1
    assert sorted(new.arrays) == sorted(old.arrays)
    for name, array in old.arrays.items():
        np.testing.assert_array_equal(array, new.arrays[name])


CONTRADICTIONS = {
    "network": (["--set", "network.hidden_size=25"], "network.hidden_size is 24, not 25"),
    "input": (["--set", "network.input=onehot"], "network.input is table, not onehot"),
    "other family": (["--set", "network.num_heads=2"], "network.num_heads is not set, not 2"),
    "model": (["--model", "gru"], "model is lstm.v1, not gru"),
    "encoding": (["--encoding", "words"], "encoding is characters.v1, not words"),
    "encoder": (["--set", "encoder.lowercase=true"], "encoder.lowercase is False, not True"),
    "context": (["--set", "reading.context=fresh"], "reading.context is carried, not fresh"),
}


@pytest.mark.parametrize("name", sorted(CONTRADICTIONS))
def test_what_the_model_decides_cannot_be_set(
    cli: Cli, run_folder: Path, new_text: Path, name: str
) -> None:
    arguments, message = CONTRADICTIONS[name]
    done = cli("train", str(new_text), "--from", str(run_folder), "-o", "run", *arguments)
    assert done.code == 1
    assert message in done.err.splitlines()[-1]
    assert not Path("run").exists()


def test_the_same_settings_said_again_are_no_contradiction(
    cli: Cli, run_folder: Path, new_text: Path
) -> None:
    done = cli("train", str(new_text), "--from", str(run_folder), "-o", "run", "--steps", "2",
               "--config", str(run_folder / "config.toml"), "--model", "lstm",
               "--encoding", "characters")  # fmt: skip
    assert done.code == 0, done.err


def test_unknown_characters_are_counted_and_told(cli: Cli, run_folder: Path) -> None:
    Path("new.txt").write_text("the list of œufs and the tuple of æthers\n" * 60, encoding="utf-8")
    done = cli("train", "new.txt", "--from", str(run_folder), "-o", "run", "--steps", "2", *FEW)
    assert done.code == 0, done.err
    assert "120 of 2,461 elements (4.88%) are unknown to the model" in done.err
    assert "'œ' 60, 'æ' 60" in done.err
    assert "�" not in cli("generate", "run", "the ", "--length", "60", "--seed", "1").out


def test_a_text_of_unknown_characters_is_refused(cli: Cli, run_folder: Path) -> None:
    Path("new.txt").write_text("滚滚长江东逝水，浪花淘尽英雄。\n" * 60, encoding="utf-8")
    done = cli("train", "new.txt", "--from", str(run_folder), "-o", "run", "--steps", "2", *FEW)
    assert done.code == 1
    assert "of the text is unknown to the model" in done.err
    assert "train a new model on it, without --from" in done.err
    assert not Path("run").exists()


def test_a_model_that_is_none(cli: Cli, new_text: Path) -> None:
    done = cli("train", str(new_text), "--from", "nothing", "-o", "run")
    assert done.code == 1
    assert "nothing: no such model" in done.err
    assert not Path("run").exists()


def test_kept_texts_can_be_learnt(cli: Cli, run_folder: Path) -> None:
    session = PlaySession(TextModel(run_folder))
    for _ in range(3):
        session.add("The list is the value of the name. ")
    session.keep(Path("kept.jsonl"))
    done = cli("train", "kept.jsonl", "--field", "text", "--from", str(run_folder), "-o", "kept",
               "--steps", "4", *FEW)  # fmt: skip
    assert done.code == 0, done.err
    assert read_summary("kept")["steps"] == 4


def test_a_few_words_are_enough(cli: Cli, run_folder: Path) -> None:
    Path("few.txt").write_text("The value of the name is the list.\n")
    done = cli("train", "few.txt", "--from", str(run_folder), "-o", "few", "--steps", "4", *FEW)
    assert done.code == 0, done.err
    window = tomllib.loads(Path("few/config.toml").read_text())["training"]["window"]
    assert window < 35


def test_resumed_without_the_old_model(cli: Cli, run_folder: Path, new_text: Path) -> None:
    shutil.copytree(run_folder, "old")
    settings = {
        "steps": 12,
        "training": {"precision": "float32", "evaluations": 3},
        "samples": {"length": 0},
    }
    for name in ("whole", "halved"):
        training = prepare_training((str(new_text),), settings, output=name, base="old")
        for count, _ in enumerate(training.events()):
            if name == "halved" and count == 5:
                training.loop.stop()
        if name == "whole":
            training.finish()
    shutil.rmtree("old")
    refused = cli("train", "-o", "halved", "--resume", "--from", str(run_folder))
    assert refused.code == 1
    assert "keeps its base model" in refused.err
    done = cli("train", "-o", "halved", "--resume")
    assert done.code == 0, done.err
    whole, halved = read_summary("whole"), read_summary("halved")
    assert halved["loss"] == whole["loss"]
    assert halved["from"] == whole["from"]
    assert read_bundle("halved").provenance.ancestors == read_bundle("whole").provenance.ancestors


def test_resumed_before_its_first_checkpoint(cli: Cli, run_folder: Path, new_text: Path) -> None:
    shutil.copytree(run_folder, "old")
    assert cli("train", str(new_text), "--from", "old", "-o", "run", "--steps", "4", *FEW).code == 0
    loss = read_summary("run")["loss"]
    # As a process leaves it that is killed right behind making the folder.
    for name in ("summary.json", "model.safetensors"):
        Path("run", name).unlink()
    shutil.rmtree("run/checkpoints")
    Path("run/checkpoints").mkdir()
    Path("run/metrics.jsonl").write_text("")
    whole = Path("old/model.safetensors").read_bytes()
    other = read_bundle("old")
    write_bundle(Path("old/model.safetensors"), replace(other, provenance=Provenance()))
    done = cli("train", "-o", "run", "--resume")
    assert done.code == 1
    assert "the base model has changed since the run began" in done.err
    Path("old/model.safetensors").write_bytes(whole)
    assert cli("train", "-o", "run", "--resume").code == 0
    assert read_summary("run")["loss"] == loss
