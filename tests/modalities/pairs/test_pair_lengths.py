"""Outputs of trained lengths and of twice these, with attention that moves forward only."""

from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.cli.main import main

LONGEST = 8


def letters(count: int, shortest: int, longest: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    lengths = random.integers(shortest, longest + 1, size=count)
    return ["".join("abcdefgh"[i] for i in random.integers(8, size=n)) for n in lengths]


@pytest.mark.slow
def test_a_window_copies_texts_of_twice_the_trained_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RHAPSODE_CACHE", str(tmp_path / "cache"))
    pairs = "".join(f"{text}\t{text}\n" for text in letters(4000, 1, LONGEST, seed=1))
    (tmp_path / "copy.tsv").write_text(pairs)
    asked = ["train", str(tmp_path / "copy.tsv"), "--pairs", "0:1", "-o", str(tmp_path / "run")]
    asked += ["--steps", "400", "--set", "pairs.attention=gaussian_window"]
    for name, value in (
        ("network.hidden_size", "64"), ("network.dropout", "0"), ("training.batch_size", "32"),
        ("training.evaluations", "1"), ("pairs.answers", "50"), ("training.precision", "float32"),
        ("pairs.source_encoding", "characters"), ("data.test_share", "0.0"),
    ):  # fmt: skip
        asked += ["--set", f"{name}={value}"]
    assert main([*asked, "--encoding", "characters"]) == 0
    for length, wanted in ((LONGEST, 0.99), (2 * LONGEST, 0.9)):
        inputs = letters(100, length, length, seed=2)
        answers = rh.answer(tmp_path / "run", inputs)
        right = [found[0].text == text for found, text in zip(answers, inputs, strict=True)]
        assert np.mean(right) >= wanted
