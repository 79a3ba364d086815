"""What a model writes beside real text, as `train` and `evaluate` show it and the card keeps it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhapsode.bundle import read_bundle, write_bundle
from rhapsode.modalities.ids.counting.ngram_sidecar import inner_ngram
from tests.cli.conftest import Cli


def move_out(run: Path, folder: Path) -> None:
    """Put the model of a run into a folder, its counts beside it as larger ones lie."""
    bundle = read_bundle(run)
    inner_ngram(bundle.facts).save(folder / "ngram.safetensors")
    facts = replace(bundle.facts, ngram=None)
    write_bundle(folder / "model.safetensors", replace(bundle, facts=facts))


def test_train_leaves_the_measures_and_the_index(cli: Cli, run_folder: Path) -> None:
    assert (run_folder / "text_index.safetensors").exists()
    writing = json.loads((run_folder / "summary.json").read_text())["writing"]
    assert writing["reason"] is None
    assert [one["temperature"] for one in writing["temperatures"]] == [1.0, 0.7]
    card = (run_folder / "README.md").read_text(encoding="utf-8")
    section = card.partition("## Does it copy?")[2].partition("## Limits")[0]
    assert "longest passage shared with the training text" in section
    assert "| measure | temperature 1 | temperature 0.7 | real text |" in section
    longest = writing["temperatures"][0]["written"]["longest_copy"]
    assert f"line {longest['line']:,}" in section


def test_train_ends_with_a_line_on_copying(cli: Cli, prose_file: Path) -> None:
    done = cli(
        "train", str(prose_file), "-o", "run", "--steps", "2", "--set", "network.hidden_size=8",
        "--set", "training.window=16", "--set", "training.batch_size=4", "--set", "samples.length=0",
        "--set", "training.precision=float32",
    )  # fmt: skip
    assert done.code == 0
    assert "longest passage shared with the training text: " in done.err


def test_evaluate_shows_the_measures(cli: Cli, run_folder: Path, prose: str) -> None:
    Path("text.txt").write_text(prose[-3500:], encoding="utf-8")
    writing = json.loads(cli("evaluate", str(run_folder), "text.txt", "--json").out)["writing"]
    one = writing["temperatures"][1]
    assert one["held_out"]["copied_share"] is not None
    shown = cli("evaluate", str(run_folder), "text.txt").out
    assert "generated text" in shown
    assert f"{writing['texts']} texts of {writing['length']} characters" in shown
    assert "invented words" in shown
    assert f"line {one['written']['longest_copy']['line']:,}" in shown


def test_evaluate_of_the_training_text_says_so(cli: Cli, run_folder: Path, prose: str) -> None:
    Path("text.txt").write_text(prose[:3000], encoding="utf-8")
    shown = " ".join(cli("evaluate", str(run_folder), "text.txt").out.split())
    assert "of that real text is in the training text" in shown


def test_evaluate_without_an_index_or_enough_text(cli: Cli, run_folder: Path, prose: str) -> None:
    Path("alone").mkdir()
    shutil.copy(run_folder / "model.safetensors", "alone")
    Path("text.txt").write_text(prose[-3500:], encoding="utf-8")
    shown = cli("evaluate", "alone", "text.txt").out
    assert "there is no text_index.safetensors beside the model" in " ".join(shown.split())
    assert "self-BLEU" in shown
    assert "longest copy" not in shown
    baselines = json.loads(cli("evaluate", "alone", "text.txt", "--json").out)["baselines"]
    assert baselines["ngram"] is not None  # its counts lie inside the file
    move_out(run_folder, Path("alone"))
    Path("alone/ngram.safetensors").unlink()
    baselines = json.loads(cli("evaluate", "alone", "text.txt", "--json").out)["baselines"]
    assert baselines["ngram"] is None
    assert baselines["ngram_reason"] == "there is no ngram.safetensors beside the model"
    Path("text.txt").write_text(prose[-500:], encoding="utf-8")
    shown = cli("evaluate", str(run_folder), "text.txt").out
    assert "at least 1,600 are needed" in " ".join(shown.split())


def test_evaluate_knows_its_own_counts(cli: Cli, run_folder: Path, prose: str) -> None:
    from rhapsode.counts import NGramModel

    shutil.copytree(run_folder, "run")
    move_out(run_folder, Path("run"))
    Path("text.txt").write_text(prose[-300:], encoding="utf-8")

    def baselines() -> dict[str, object]:
        found = json.loads(cli("evaluate", "run", "text.txt", "--json").out)["baselines"]
        assert isinstance(found, dict)
        return found

    sidecar = Path("run/ngram.safetensors")
    assert baselines()["ngram"] is not None
    ngram = NGramModel.load(sidecar)
    other = np.full(ngram.trie.elements, 2)
    NGramModel.learn(other, ngram.vocab_size, order=2).save(sidecar)
    assert "counts another text" in str(baselines()["ngram_reason"])
    sidecar.write_bytes(sidecar.read_bytes()[:100])
    assert "cannot be used" in str(baselines()["ngram_reason"])
