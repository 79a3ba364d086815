"""A model without a network: counts alone predict, wherever a model is used."""

import json
from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.bundle import write_bundle
from rhapsode.bundle.combined.mixed_predictor import NGramPredictor
from rhapsode.bundle.element_facts import IdBundle, NGramPart
from rhapsode.cli.main import main
from rhapsode.config import GenerateSettings
from rhapsode.counts import NGramModel
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.modalities.session import PlaySession
from rhapsode.modalities.text.facts import TextFacts


@pytest.fixture(scope="module")
def path(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = CharacterEncoder.learn([prose], {})
    ids_N = encoder.encode(prose[:20_000]).astype(np.int64)
    ngram = NGramModel.learn(ids_N, encoder.vocab_size, order=4)
    counts_V = np.bincount(ids_N, minlength=encoder.vocab_size).astype(np.int64)
    facts = TextFacts(counts_V, NGramPart(*ngram.to_arrays()))
    path = tmp_path_factory.mktemp("counts") / "model.safetensors"
    write_bundle(path, IdBundle(None, encoder, facts))
    return path


def test_counts_write_and_tell_what_comes_next(path: Path, prose: str) -> None:
    model = rh.load(path)
    assert isinstance(model.predictor, NGramPredictor)
    text = model.generate("The ", length=60, seed=2)
    assert text == model.generate("The ", length=60, seed=2, engine="torch")
    assert len(text) == 64
    settings = GenerateSettings()
    ((table,),) = model.following([model.prompt("th", settings)], settings).tables
    assert table.top[0].share == pytest.approx(table.share_V.max())


def test_counts_are_evaluated_and_described(
    path: Path, tmp_path: Path, prose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "held.txt"
    held.write_text(prose[20_000:24_000])
    assert main(["evaluate", str(path), str(held), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert 0 < figures["loss"] < figures["baselines"]["unigram"]
    assert main(["info", str(path)]) == 0
    assert "none: n-gram counts only" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"] is None


def test_counts_play_and_keep_their_session(path: Path, tmp_path: Path) -> None:
    session = PlaySession(rh.load(path), GenerateSettings(length=12, seed=1))
    session.add("The ")
    written = "".join(session.write())
    session.save(tmp_path / "session.json")
    other = PlaySession(rh.load(path), GenerateSettings(length=12, seed=1))
    other.load(tmp_path / "session.json")
    assert other.text == f"The {written}"


def test_training_and_adapting_need_a_network(
    path: Path, tmp_path: Path, prose_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", str(prose_file), "--from", str(path), "-o", str(tmp_path / "run")]
    assert main([*asked, "--steps", "2"]) == 1
    assert (
        "only a model of one network can be trained further, this one has 0"
        in capsys.readouterr().err
    )
    assert main(["evaluate", str(path), str(prose_file), "--dynamic"]) == 1
    assert "needs one network, this model has 0" in capsys.readouterr().err
