"""The presets: each is read, is what it says, and trains for a few steps on text of its form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import read_bundle
from rhapsode.config import from_mapping, presets, read_settings
from rhapsode.errors import SettingsError
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.workflows.runs.run import prepare_training
from tests.cli.conftest import Cli

RECIPES = [
    {"title": f"Soup No. {n}", "directions": ["Boil the water.", f"Add {n % 7} carrots; stir."]}
    for n in range(300)
]
REVIEW = "This movie is the best film I have seen.<br /><br />It's a great, great story! {n}\n"


def write_source(name: str, prose: str) -> list[str]:
    """A small source of the form that a preset is for."""
    if name == "recipes-word-lstm":
        Path("recipes.json").write_text(json.dumps(RECIPES))
        return ["recipes.json"]
    if name == "chinese-word-rnn":
        Path("novel.txt").write_text("话说天下大势，分久必合，合久必分。\n" * 200, encoding="utf-8")
        return ["novel.txt"]
    if name == "imdb-transformer":
        Path("reviews").mkdir()
        for n in range(120):
            Path("reviews", f"{n}.txt").write_text(REVIEW.format(n=n % 9))
        return ["reviews"]
    Path("book.txt").write_text(prose)
    return ["book.txt"]


OF_TEXT = sorted(set(presets()) - {"series-lstm"})


@pytest.mark.parametrize("name", OF_TEXT)
def test_it_trains_and_writes(cli: Cli, prose: str, name: str) -> None:
    if name == "chinese-word-rnn":
        pytest.importorskip("jieba")
    source = write_source(name, prose[:12_000])
    done = cli("train", *source, "--config", name, "-o", "run", "--steps", "3",
               "--set", "samples.length=6", "--set", "training.precision=float32",
               "--set", "training.evaluations=1")  # fmt: skip
    assert done.code == 0, done.err
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["steps"] == 3
    training = read_bundle("run").provenance.section("training")
    asked = {**read_settings(name)["training"], "precision": "float32", "evaluations": 1}
    assert {key: training[key] for key in asked} == asked
    temperatures = read_settings(name)["samples"]["temperatures"]
    written = Path("run/samples.md").read_text(encoding="utf-8")
    for temperature in temperatures:
        assert f"Temperature {temperature:g}:" in written


WHAT: dict[str, dict[str, Any]] = {
    "nietzsche-char-lstm": {
        "model": "lstm", "epochs": 40, "encoder.lowercase": True, "reading.context": "window:60", "reading.stride": 3,
        "reading.loss": "last", "network.input": "onehot", "network.hidden_size": 128, "training.optimiser": "rmsprop",
        "training.learning_rate": 0.01, "training.batch_size": 128, "samples.length": 400,
        "samples.temperatures": [0.2, 0.5, 1.0, 1.2], "samples.passage": 60, "training.evaluations": 40,
    },
    "recipes-word-lstm": {
        "source.template": "Recipe for {title} | {directions}", "encoding": "words", "encoder.max_vocabulary": 10000,
        "encoder.lowercase": True, "encoder.punctuation": True, "training.window": 200, "network.embedding_size": 100,
        "network.hidden_size": 128, "training.optimiser": "adam", "training.batch_size": 32, "samples.length": 100,
        "samples.prompt": "recipe for",
    },
    "chinese-word-rnn": {
        "source.limit": 30000, "encoding": "jieba", "encoder.max_vocabulary": 10000, "reading.context": "window:20",
        "network.embedding_size": 256, "model": "rnn", "network.num_layers": 2, "network.hidden_size": 512,
        "training.batch_size": 64, "training.optimiser": "adam", "training.learning_rate": 0.001, "training.clip": 5,
        "epochs": 20,
    },
    "imdb-transformer": {
        "encoder.max_vocabulary": 15000, "reading.context": "window:100", "training.batch_size": 32,
        "model": "transformer_classic", "network.embedding_size": 256, "network.feedforward_size": 2048,
        "network.num_heads": 2, "network.num_layers": 1, "samples.length": 50, "samples.prompt": "This movie",
        "samples.temperatures": [0.2, 0.5, 1.0, 1.5],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OF_TEXT)
def test_it_is_what_it_says(name: str) -> None:
    settings = read_settings(name)
    from_mapping(TrainSettings, settings, where=name)
    for place, wanted in WHAT[name].items():
        section, _, key = place.rpartition(".")
        found = settings[section][key] if section else settings[key]
        assert found == wanted, place
    text = Path(__file__, "../../../src/rhapsode/configs", f"{name}.toml").resolve().read_text()
    assert f"--config {name}" in text
    assert "# Where it differs" in text


def test_the_shapes_of_the_classics(cli: Cli, prose: str) -> None:
    source = write_source("nietzsche-char-lstm", prose[:12_000])
    asked = {**read_settings("nietzsche-char-lstm"), "epochs": None, "steps": 1}
    training = prepare_training(tuple(source), asked, output="run")
    assert sorted(training.run.network.model.state_dict()) == [
        "bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0",
    ]  # fmt: skip
    vocab_size = training.run.planned.corpus.encoder.vocab_size
    assert training.run.network.model.state_dict()["weight_ih_l0"].shape == (512, vocab_size)
    first, second = training.run.stream.batch(0), training.run.stream.batch(0)
    assert first.inputs.shape == (128, 60)
    assert first.weights_BT.sum() == 128
    np.testing.assert_array_equal(first.inputs, second.inputs)


def test_flags_and_set_win_over_a_preset(cli: Cli, prose: str) -> None:
    source = write_source("nietzsche-char-lstm", prose[:6000])
    done = cli("train", *source, "--config", "nietzsche-char-lstm", "-o", "run", "--steps", "2",
               "--set", "network.hidden_size=9", "--set", "samples.length=0", "--model", "gru")  # fmt: skip
    assert done.code == 0, done.err
    bundle = read_bundle("run")
    assert bundle.config.model.name == "gru.v1"
    assert bundle.config.model.settings["hidden_size"] == 9


def test_presets_are_told(cli: Cli) -> None:
    help_text = cli("train", "--help").out
    missing = cli("train", "x", "--config", "nietzsche-char-lstn")
    assert missing.code == 1
    assert "did you mean 'nietzsche-char-lstm'" in missing.err
    for name in presets():
        assert f"{name}:" in help_text
        assert name in missing.err


def test_a_file_of_that_name_wins(cli: Cli) -> None:
    Path("imdb-transformer").write_text("steps = 3\n")
    assert read_settings("imdb-transformer") == {"steps": 3}
    with pytest.raises(SettingsError, match="no such settings file"):
        read_settings("../pyproject")


def test_a_passage_to_continue(cli: Cli, prose: str) -> None:
    Path("book.txt").write_text(prose[:12_000])
    quick = ("--set", "network.hidden_size=8", "--set", "training.precision=float32",
             "--set", "training.evaluations=3", "--set", "samples.temperatures=[0.0]",
             "--set", "samples.length=5")  # fmt: skip
    for name in ("one", "two"):
        done = cli(
            "train", "book.txt", "-o", name, "--steps", "9", "--set", "samples.passage=70", *quick
        )
        assert done.code == 0, done.err
    written = Path("one/samples.md").read_text(encoding="utf-8")
    passages = [part.split("\n```")[0][:70] for part in written.split("```text\n")[1:]]
    assert len(passages) == 3
    assert len(set(passages)) == 3
    for passage in passages:
        assert passage in prose
    assert Path("two/samples.md").read_text(encoding="utf-8") == written
    done = cli(
        "train",
        "book.txt",
        "-o",
        "three",
        "--set",
        "samples.passage=9",
        "--set",
        "samples.prompt=A",
    )
    assert done.code == 1
    assert "a prompt or a passage, not both" in done.err
