"""ABC: notes, lengths and bars are elements, and every text comes back."""

import os
import random
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rhapsode.encoding.music import AbcEncoder
from tests.contracts.encoder_contract import EncoderContract

DATA = os.environ.get("RHAPSODE_DATA")
TUNE = """X:1
T:The Example
M:6/8
K:Gm
|:"Gm"G2B d>ef|_e,3/2 z/ (3^c'BA !trill!g2:|1 [GBd]4 |]
"""


class TestAbc(EncoderContract):
    encoding = "abc.v1"


class TestAllPieces(EncoderContract):
    encoding = "abc.v1"
    settings: ClassVar[dict[str, Any]] = {"min_count": 1}


def test_notes_lengths_and_bars_are_elements():
    encoder = AbcEncoder.learn([TUNE], {"min_count": 1})
    music = TUNE.split("\n")[4]
    pieces = [encoder.label(element) for element in encoder.encode(music)]
    assert pieces == [
        "|:", '"Gm"', "G", "2", "B", " ", "d", ">", "e", "f", "|", "_e,", "3/2", " ", "z", "/",
        " ", "(3", "^c'", "B", "A", " ", "!trill!", "g", "2", ":|1", " ", "[", "G", "B", "d", "]",
        "4", " ", "|]",
    ]  # fmt: skip


def test_rare_pieces_are_spelled():
    encoder = AbcEncoder.learn([TUNE], {})
    assert "_e," not in encoder.vocabulary
    assert encoder.decode(encoder.encode(TUNE)) == TUNE
    assert encoder.unknown("_e,") == []


@pytest.mark.skipif(not DATA, reason="RHAPSODE_DATA is not set")
def test_tune_books_are_lossless():
    paths = sorted(Path(str(DATA)).glob("irish_abc/**/*.abc"))
    paths += sorted(Path(str(DATA)).glob("nottingham/abc_cleaned/*.abc"))
    texts = [path.read_text("utf-8", "replace") for path in paths]
    texts = random.Random(0).sample(texts, min(4, len(texts)))
    assert texts
    encoder = AbcEncoder.learn(texts, {})
    for text in texts:
        ids_N = encoder.encode(text)
        assert encoder.decode(ids_N) == text
        assert len(ids_N) < 0.95 * len(text)
