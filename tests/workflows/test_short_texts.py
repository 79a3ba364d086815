"""Texts shorter than a planned window, and documents of one element or none."""

import json
from pathlib import Path

import pytest

import rhapsode as rh
from rhapsode.errors import DataError
from rhapsode.models import FAMILIES

LINE = "The cat sat on the mat.\n"


TEXT_FAMILIES = [name for name in FAMILIES.names() if not FAMILIES.get(name).sees_inputs]


@pytest.mark.parametrize("family", sorted(TEXT_FAMILIES))
def test_every_family_learns_from_less_than_a_window(family: str, tmp_path: Path) -> None:
    asked = {"model": family, "steps": 2, "samples": {"length": 5}}
    run = rh.train([LINE * 3], output=tmp_path / "run", **asked)
    plan = json.loads((tmp_path / "run" / "summary.json").read_text())["plan"]
    assert plan["training"]["window"] < 64
    assert len(str(run.generate("The", length=8, seed=1))) >= 3


@pytest.mark.parametrize("family", ["lstm", "transformer_classic"])
@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["abcde"], "the training split has 3 elements: too little to learn from"),
        (["a"], "1 character of text: too little to learn from"),
        (["", ""], "it contains no text"),
    ],
)
def test_too_little_is_one_line(family: str, texts: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        rh.train(texts, output=tmp_path / "run", model=family, steps=2)
    assert reason in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("texts", [["a", "b", "", "c"] * 20, ["ab", "", "cde"] * 80])
def test_documents_of_one_element_or_none(texts: list[str], tmp_path: Path) -> None:
    run = rh.train(texts, output=tmp_path / "run", steps=2, samples={"length": 5})
    assert set(str(run.generate(length=8, seed=1))) <= set("abcde")


def test_a_window_that_was_asked_for_is_not_changed(tmp_path: Path) -> None:
    for asked in ({"training": {"window": 90}}, {"reading": {"context": "window:90"}}):
        with pytest.raises(DataError, match="fewer than one window of 90"):
            rh.train([LINE * 3], output=tmp_path / "run", steps=2, **asked)
