"""Networks trained beside the counts: better together, worse alone, and refused where it is not possible."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli

QUICK = (
    "--steps", "150", "--set", "network.hidden_size=32", "--set", "network.embedding_size=8",
    "--set", "training.window=32", "--set", "training.batch_size=16",
    "--set", "training.learning_rate=0.01", "--set", "training.evaluations=1",
    "--set", "training.precision=float32", "--set", "samples.length=0",
)  # fmt: skip


def brackets(size: int) -> str:
    """Words, known by their letters, in brackets that close far from where they open."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefgh"), 6)) for _ in range(60)]
    parts: list[str] = []
    while len(" ".join(parts)) < size:
        open_, close = ("[", "]") if random.integers(2) else ("(", ")")
        inner = " ".join(words[word] for word in random.integers(60, size=3))
        parts.append(f"{open_}{inner}{close}")
    return " ".join(parts)


@pytest.fixture
def text(cli: Cli, tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(brackets(12_000))
    return str(path)


def test_together_it_is_better_and_alone_it_is_worse(cli: Cli, text: str, tmp_path: Path) -> None:
    losses = {}
    for setting in ("auto", "off"):
        run = tmp_path / setting
        done = cli(
            "train", text, "-o", str(run), *QUICK, "--set", f"training.beside_counts={setting}"
        )
        assert done.code == 0, done.err
        summary = json.loads((run / "summary.json").read_text())
        losses[setting] = (
            summary["mixture"]["validation_loss"],
            summary["mixture"]["network_validation_loss"],
        )
        wanted = {"auto": "on", "off": "off"}[setting]
        assert summary["plan"]["training"]["beside_counts"] == wanted
    assert losses["auto"][0] < losses["off"][0]
    assert losses["auto"][1] > losses["off"][1]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (("training.counts_share=0.5",), "counts_share is set"),
        (("reading.context=window:32",), "windows"),
        (("data.validation_share=0",), "no validation split"),
    ],
)
def test_what_excludes_counts_is_named(
    cli: Cli, text: str, tmp_path: Path, asked: tuple[str, ...], reason: str
) -> None:
    settings = [word for each in asked for word in ("--set", each)]
    run = str(tmp_path / "run")
    few = [each if each != "150" else "2" for each in QUICK]
    done = cli("train", text, "-o", run, *few, *settings, "--set", "training.beside_counts=on")
    assert done.code == 1
    assert reason in done.err
    assert "beside_counts" in done.err
    done = cli("train", text, "-o", run, *few, *settings)
    assert done.code == 0, done.err
    summary = json.loads(Path(run, "summary.json").read_text())
    assert summary["plan"]["training"]["beside_counts"] == "off"


def test_a_model_whose_counts_are_missing_says_what_that_means(
    cli: Cli, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rhapsode.bundle import element_facts

    monkeypatch.setattr(element_facts, "MOST_INSIDE", 0)
    run = tmp_path / "run"
    few = [each if each != "150" else "20" for each in QUICK]
    assert cli("train", text, "-o", str(run), *few).code == 0
    (run / "ngram.safetensors").unlink()
    done = cli("generate", str(run), "a", "--length", "5")
    assert "trained beside the counts" in done.err
