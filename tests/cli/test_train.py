"""`rhapsode train`: every flag does what it says, and input that cannot be used leaves nothing behind."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from rhapsode.bundle import read_bundle
from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import QUICK, Cli


def test_a_run_folder_holds_everything(cli: Cli, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "-o", "run", "--steps", "20", *QUICK)
    assert done.code == 0
    assert done.out == ""
    assert "validation" in done.err
    assert "test split" in done.err
    run = Path("run")
    assert {path.name for path in run.iterdir()} == {
        "README.md", "checkpoints", "config.toml", "curve.svg", "metrics.jsonl", "model.safetensors",
        "samples.md", "summary.json", "text_index.safetensors",
    }  # fmt: skip
    summary = json.loads((run / "summary.json").read_text())
    text = prose_file.read_text(encoding="utf-8")
    assert summary["steps"] == 20
    assert summary["elements"] == len(text) - int(0.9 * len(text)) + 1
    assert summary["loss"] < summary["baselines"]["uniform"]
    assert set(summary["protocol"]) == {
        "split", "selected_on", "context", "normalisation", "unknown_cost",
    }  # fmt: skip
    for name in (
        "seconds", "finishing_seconds", "elements_per_second", "parameters", "plan", "machine",
        "perplexity", "bits_per_byte", "bits_per_character", "unknown_rate",
    ):  # fmt: skip
        assert summary[name] is not None
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in steps if entry["event"] == "step"] == list(range(1, 21))
    assert (run / "samples.md").read_text().count("Temperature 0.8") == 2
    assert "SHA-256" in (run / "README.md").read_text()


def test_output(cli: Cli, prose_file: Path) -> None:
    for flag, name in (("-o", "one"), ("--output", "two")):
        assert cli("train", str(prose_file), flag, name, "--steps", "2", *QUICK).code == 0
        assert Path(name, "model.safetensors").exists()
    again = cli("train", str(prose_file), "-o", "one", "--steps", "2", *QUICK)
    assert again.code == 1
    assert again.err.startswith(
        "error: one: this folder exists already; continue the run with --resume"
    )


def test_default_output_takes_the_next_free_number(cli: Cli, prose_file: Path) -> None:
    for name in ("prose", "prose-2", "prose-3"):
        assert cli("train", str(prose_file), "--steps", "2", *QUICK).code == 0
        assert Path("runs", name, "summary.json").exists()


def test_budget(cli: Cli, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "-o", "run", "--budget", "2s", *QUICK)
    assert done.code == 0
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["steps"] > 10
    assert tomllib.loads(Path("run/config.toml").read_text())["budget"] == "2s"


def test_epochs(cli: Cli, prose_file: Path) -> None:
    assert cli("train", str(prose_file), "-o", "run", "--epochs", "0.5", *QUICK).code == 0
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["epochs"] == pytest.approx(0.5, abs=0.01)


def test_steps_and_config_and_set(cli: Cli, prose_file: Path) -> None:
    assert cli("train", str(prose_file), "-o", "one", "--steps", "3", *QUICK).code == 0
    assert cli("train", str(prose_file), "-o", "two", "--config", "one/config.toml").code == 0
    one, two = (json.loads(Path(run, "summary.json").read_text()) for run in ("one", "two"))
    assert one["steps"] == two["steps"] == 3
    assert one["loss"] == two["loss"]
    cli("train", str(prose_file), "-o", "three", "--config", "one/config.toml", "--budget", "1s")
    assert tomllib.loads(Path("three/config.toml").read_text()).get("steps") is None
    cli("train", str(prose_file), "-o", "four", "--config", "one/config.toml",
        "--set", "network.hidden_size=7")  # fmt: skip
    assert read_bundle("four").config.model.settings["hidden_size"] == 7


def test_model_and_encoding(cli: Cli, prose_file: Path) -> None:
    done = cli(
        "train", str(prose_file), "-o", "run", "--steps", "3", "--model", "transformer",
        "--encoding", "bytes", "--set", "network.embedding_size=16", "--set", "network.num_heads=2",
        "--set", "training.window=16",
    )  # fmt: skip
    assert done.code == 0
    bundle = read_bundle("run")
    assert bundle.config.model.name == "transformer.v1"
    assert bundle.encoder.name == "bytes.v1"


def test_seed(cli: Cli, prose_file: Path) -> None:
    losses = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        cli("train", str(prose_file), "-o", name, "--steps", "3", "--seed", seed, *QUICK)
        losses.append(json.loads(Path(name, "summary.json").read_text())["validation_loss"])
    assert losses[0] == losses[1] != losses[2]


def test_device(cli: Cli, prose_file: Path) -> None:
    for name, more in (("a", ()), ("b", ("--device", "cpu"))):
        asked = ("train", str(prose_file), "-o", name, "--steps", "3", *more, *QUICK)
        assert cli(*asked).code == 0
    assert tomllib.loads(Path("b/config.toml").read_text())["device"] == "cpu"
    one, other = (read_bundle(Path(name)).arrays for name in "ab")
    assert all(np.array_equal(array, other[name]) for name, array in one.items())
    refused = cli("train", str(prose_file), "-o", "c", "--device", "cuda:77", *QUICK)
    assert refused.code == 1
    assert "this PyTorch has no device cuda:77, only cpu" in refused.err
    assert not Path("c").exists()


def test_one_hot_input(cli: Cli, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "-o", "run", "--steps", "3",
               "--set", "network.input=onehot", "--set", "training.precision=float32")  # fmt: skip
    assert done.code == 0
    assert TextModel("run").bundle.config.input.name == "onehot.v1"
    assert cli("generate", "run", "The", "--length", "5").code == 0


def test_resume(cli: Cli, prose_file: Path) -> None:
    assert cli("train", str(prose_file), "-o", "run", "--steps", "4", *QUICK).code == 0
    again = cli("train", "-o", "run", "--resume")
    assert again.code == 1
    assert "this run is finished; lengthen it with more than --steps 4" in again.err
    Path("run/summary.json").unlink()
    other = cli("train", "-o", "run", "--resume", "--seed", "9")
    assert other.code == 1
    assert "seed (0 -> 9)" in other.err
    assert cli("train", "-o", "run", "--resume").code == 0
    assert Path("run/summary.json").exists()


BAD_INPUT = {
    "empty": (b"", "the file is empty"),
    "one": (b"x", "too little to learn from"),
    "short": (b"to be", "too little to learn from"),
    "binary": (b"\x7fELF\x00\x01\x02" * 50, "not a text file"),
    "torn": ("naïve\ncafé\n".encode() * 9 + b"caf\xef", "byte 0xef at offset 120, line 19"),
}


@pytest.mark.parametrize("name", sorted(BAD_INPUT))
def test_a_source_that_cannot_be_learnt_from(cli: Cli, name: str) -> None:
    content, message = BAD_INPUT[name]
    Path(name).write_bytes(content)
    done = cli("train", name, "-o", "run", "--steps", "3")
    assert done.code == 1
    assert done.out == ""
    assert message in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not Path("run").exists()


BAD_REQUESTS = {
    "no source": ([], "no source was given"),
    "missing path": (["nowhere.txt"], "nowhere.txt: no such file or folder"),
    "empty folder": (["folder"], "folder: no file in this folder"),
    "budget words": (["ok.txt", "--budget", "soon"], "'soon' is not a length of time"),
    "budget zero": (["ok.txt", "--budget", "0s"], "out of range"),
    "budget below zero": (["ok.txt", "--budget", "-3m"], "not a length of time"),
    "two lengths": (["ok.txt", "--steps", "3", "--epochs", "1"], "epochs and steps cannot"),
    "zero steps": (["ok.txt", "--steps", "0"], "--steps: expected a whole number >= 1"),
    "zero epochs": (["ok.txt", "--epochs", "0"], "--epochs: expected a number >= 1e-09"),
    "model": (["ok.txt", "--model", "lstm.v2"], "did you mean 'lstm.v1'"),
    "encoding": (["ok.txt", "--encoding", "runes"], "unknown encoding 'runes'"),
    "section": (["ok.txt", "--set", "trainning.window=3"], "unknown setting 'trainning'"),
    "key": (["ok.txt", "--set", "training.windw=3"], "'training.windw'"),
    "family key": (["ok.txt", "--set", "network.num_heads=3"], "'network.num_heads' for lstm.v1"),
    "decided": (["ok.txt", "--set", "network.input_size=3"], "network.input_size"),
    "range": (["ok.txt", "--set", "network.hidden_size=0"], "hidden_size"),
    "type": (["ok.txt", "--set", "training.window=wide"], "expected a whole number, got text"),
    "no assignment": (["ok.txt", "--set", "window"], "write section.key=value"),
    "no settings file": (["ok.txt", "--config", "no.toml"], "no such settings file"),
    "prompt": (["ok.txt", "--set", "samples.prompt=ß", "--steps", "2"], "'ß'"),
    "window": (["ok.txt", "--set", "training.window=90000"], "fewer than one window"),
    "resume nothing": (["--resume", "-o", "none"], "there is no run here"),
    "resume nowhere": (["--resume"], "needs the run folder"),
}


@pytest.mark.parametrize("name", sorted(BAD_REQUESTS))
def test_a_request_that_makes_no_sense(cli: Cli, name: str) -> None:
    Path("ok.txt").write_text("the quick brown fox jumps over the lazy dog. " * 100)
    Path("folder").mkdir()
    arguments, message = BAD_REQUESTS[name]
    done = cli("train", *arguments)
    assert done.code == 1, done.err
    assert message in done.err.splitlines()[-1]
    assert not Path("runs").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "ok.txt"]


def test_bad_usage_exits_with_two(cli: Cli) -> None:
    assert cli("train", "--steps", "many").code == 2
    assert cli("train", "--no-such-flag").code == 2
    assert cli("frobnicate").code == 2
    assert "did you mean 'train'" in cli("trian").err


def test_members_are_trained_in_turn_and_used_as_one_model(cli: Cli, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "-o", "run", "--steps", "400", "--members", "2", *QUICK)
    assert done.code == 0, done.err
    assert done.err.index("member 1 of 2:") < done.err.index("member 2 of 2:")
    assert "validation of the networks: " in done.err
    assert "member 2 begins after 200 updates" in Path("run/curve.svg").read_text()
    summary = json.loads(Path("run/summary.json").read_text())
    assert len(summary["members"]) == 2
    several = all(member["averaged"] for member in summary["members"])
    assert ("2 networks, of weights 0.5, 0.5" in cli("info", "run").out) == several
    scored = json.loads(cli("evaluate", "run", "--split", "test", "--json").out)
    assert scored["loss"] == pytest.approx(summary["loss"], abs=1e-5)
    texts = [
        cli("generate", "run", "The ", "--length", "30", "--seed", "4", "--engine", engine).out
        for engine in ("compiled", "torch")
    ]
    assert texts[0] == texts[1]
