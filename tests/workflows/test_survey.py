"""What is counted of sources, against texts small enough to count by hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.data import Document
from rhapsode.data.statistics import (
    TextCounts,
    coverage,
    frequency_curve,
    lengths_summary,
    script_of,
    zipf_exponent,
)
from rhapsode.encoding import ENCODERS
from rhapsode.errors import DataError, SettingsError
from rhapsode.workflows.inference.sources import describe


def survey(*sources: str, **asked: Any) -> dict[str, Any]:
    return describe(*sources, **asked).found


def counted(*pieces: Document) -> TextCounts:
    counts = TextCounts()
    counts.watch(iter(pieces))
    return counts


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_counts_do_not_depend_on_pieces(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ab\n\nc红楼\r\nlast \u200b\ufffd"
    whole = counted(Document(text, "a"), Document("one\n", "b"))
    monkeypatch.setattr("rhapsode.data.statistics._BATCH", 2)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    # Pieces are cut behind line feeds: never inside CR LF.
    parts = "".join(parts).splitlines(keepends=True) if size < 1000 else parts
    cut = counted(
        *(
            Document(part, "a", opening=place == 0, complete=place == len(parts) - 1)
            for place, part in enumerate(parts)
        ),
        Document("one\n", "b"),
    )
    assert (cut.counts_C == whole.counts_C).all()
    assert int(whole.counts_C.sum()) == len(text) + 4
    assert cut.lines == whole.lines == Counter({2: 1, 4: 1, 7: 1, 3: 1})
    assert cut.characters() == whole.characters()


def test_characters() -> None:
    found = counted(Document("Ab 红楼梦 д1+\r\n\n\x07\u200bｆ", "a")).characters()
    assert found["scripts"] == {"Han": 3, "Latin": 3, "Cyrillic": 1}
    assert found["kinds"] == {
        "letters": 7, "spaces": 5, "invisible": 2, "digits": 1, "symbols": 1,
    }  # fmt: skip
    assert found["line_ends"] == {"lf": 1, "crlf": 1, "cr": 0}
    assert {"code": "U+200B", "name": "zero width space", "count": 1} in found["odd"]
    assert {"code": "U+0007", "name": "control character", "count": 1} in found["odd"]


@pytest.mark.parametrize(
    ("letter", "script"),
    [("a", "Latin"), ("ﾊ", "Katakana"), ("Ａ", "Latin"), ("가", "Hangul"), ("ß", "Latin"),
     ("〆", "Han"), ("𐌰", "Gothic"), ("µ", "Greek"), ("ה", "Hebrew"), ("ก", "Thai"),
     ("𐌀", "Old Italic")],
)  # fmt: skip
def test_scripts(letter: str, script: str) -> None:
    assert script_of(letter) == script


def test_lengths() -> None:
    found = lengths_summary(np.array([1, 2, 3, 4, 100], dtype=np.int64))
    assert found is not None
    figures = (found["min"], found["quartile_1"], found["median"], found["quartile_3"])
    assert figures == (1, 2, 3, 4)
    assert (found["percentile_95"], found["max"], found["mean"], found["count"]) == (
        100,
        100,
        22,
        5,
    )
    assert found["histogram"]["scale"] == "log"
    assert lengths_summary(Counter({1: 1, 2: 1, 3: 1, 4: 1, 100: 1})) == found
    assert lengths_summary(Counter()) is None


@pytest.mark.parametrize("high", [1, 2, 9, 10, 99, 100, 47_999, 48_000, 10**9])
@pytest.mark.parametrize("low", [1, 7, 950])
def test_every_length_is_in_a_bin(low: int, high: int) -> None:
    for lengths in ([low, low + high], [low] * 9 + [low + high // 2, low + high]):
        found = lengths_summary(np.array(lengths, dtype=np.int64))
        assert found is not None
        edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
        assert sum(counts) == len(lengths)
        assert edges == sorted(set(edges))
        assert edges[0] <= low <= low + high < edges[-1]
        assert len(counts) <= 60


def test_coverage_and_curve() -> None:
    # The unknown one first: never among what covers.
    counts_V = np.array([10, 5, 60, 20, 5])
    assert coverage(counts_V, [0.5, 0.6, 0.8, 0.9, 1.0]) == [1, 1, 2, 4, None]
    assert coverage(np.array([0, 1]), [0.5, 1.0]) == [1, 1]
    curve = frequency_curve(counts_V)
    assert curve == {
        "rank": [1, 2, 3, 4],
        "count": [60, 20, 5, 5],
        "covered": [0.6, 0.8, 0.85, 0.9],
    }
    law = np.array([0, *(round(1e9 / rank**1.2) for rank in range(1, 3000))])
    assert zipf_exponent(law) == pytest.approx(1.2, abs=1e-3)
    assert zipf_exponent(counts_V) is None


def test_a_survey_is_plain_values_and_adds_up() -> None:
    found = survey("kitchen")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert sum(share["characters"] for share in found["shares"].values()) == found["characters"]
    words = found["vocabulary"]
    assert words["encoding"] == "characters.v1"
    assert words["elements"] == found["shares"]["train"]["characters"]
    assert words["seen"] == words["coverage"]["100"] == words["size"] - 2
    assert found["lengths"]["documents_in_elements"] == found["lengths"]["documents_in_characters"]
    assert found["training"]["context"] == "fresh"


def test_lengths_in_elements_are_those_of_the_encoder(tmp_path: Path) -> None:
    texts = [f"word {number} " * (number % 17 + 1) + f"and {number}" for number in range(120)]
    texts[7] = texts[3]
    for number, text in enumerate(texts):
        (tmp_path / f"{number:03}.txt").write_text(text)
    for duplicates in ("keep", "drop"):
        data = {"split": "documents", "duplicates": duplicates}
        found = survey(str(tmp_path), encoding="words", data=data)
        encoder = ENCODERS.get("words").learn(texts, {})
        lengths = np.array([len(encoder.encode(text)) for text in texts])
        assert found["lengths"]["documents_in_elements"] == lengths_summary(lengths)
        assert found["duplicates"]["documents"] == 1
        assert found["duplicates"]["example"]["copy"].endswith("007.txt")
        assert found["duplicates"]["example"]["of"].endswith("003.txt")
        assert found["duplicates"]["characters"] == len(texts[3])
    assert found["duplicates"]["left_out"] == 1


def test_one_long_text_that_the_split_cuts(tmp_path: Path) -> None:
    text = "".join(f"Line {number} of the one long text.\n" for number in range(3000))
    (tmp_path / "long.txt").write_text(text)
    found = survey(str(tmp_path / "long.txt"))
    assert found["lengths"]["documents_in_elements"]["max"] == len(text)
    assert found["lengths"]["lines_in_characters"]["count"] == 3000
    assert found["training"]["context"] == "carried"


def test_unknown_elements_stand_in_the_way_of_full_coverage(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("to be or not to be. " * 400 + "unheard " + "to be or not. " * 60)
    found = survey(str(path), encoding="words", encoder={"min_count": 2})
    assert found["vocabulary"]["coverage"]["50"] is not None
    # Held out, and seen there only.
    assert max(found["shares"][name]["unknown"] for name in ("train", "validation", "test")) > 0


def test_tiny_and_wrong_sources(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.\n")
    found = survey(str(path))
    assert "model" not in found["training"]
    assert "too little to learn from" in found["training"]["reasons"][0]
    path.write_text("x")
    assert survey(str(path))["vocabulary"] is None
    with pytest.raises(DataError):
        survey(str(tmp_path / "none.txt"))
    with pytest.raises(SettingsError, match="unknown encoding"):
        survey(str(path), encoding="runes")


def test_how_a_file_was_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes(("naïve café\r\n" * 60).encode("cp1252"))
    found = survey(str(path), source={"newlines": "keep"})
    assert found["reading"]["encodings"] == {"cp1252": 1}
    assert found["text"]["line_ends"] == {"lf": 0, "crlf": 60, "cr": 0}
    assert any("read as cp1252" in line for line in found["reading"]["lines"])


def test_a_setting_of_another_kind_names_it(tmp_path: Path) -> None:
    """A text's encoding beside a table of numbers tells how the file was read."""
    table = tmp_path / "table.csv"
    table.write_text("date,v\n" + "".join(f"2020-01-0{day},{day}\n" for day in range(1, 9)))
    with pytest.raises(SettingsError, match=r"read as series.*source\.text_encoding") as caught:
        survey(str(table), source={"text_encoding": "latin-1"})
    assert "--modality text" in str(caught.value)
