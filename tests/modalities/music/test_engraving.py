"""Engraved scores: notes on staves, and a process that may die."""

import re
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Notes, Score, Track
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.modalities.music.drawing import engraver, engraving
from rhapsode.modalities.music.drawing.engraving import engrave
from rhapsode.modalities.music.drawing.written_score import in_hands, legible_score, notated
from tests.modalities.music.listening import TICKS, band, melody
from tests.modalities.music.test_rolls import NASTY, texts_of

pytest.importorskip("verovio")


def count(page: str, kind: str) -> int:
    """Elements of a class in a page."""
    return len(re.findall(rf'class="{kind}[" ]', page))


def test_all_notes_and_bars_are_engraved() -> None:
    (page,) = engrave(melody((60, 62, 64, 65, 67, 69, 71, 72)))
    ET.fromstring(page)
    assert count(page, "note") == 8
    assert count(page, "measure") == 2
    (page,) = engrave(band(4))
    assert count(page, "measure") == 4
    assert {"flute", "fingered bass", "piano", "drums", "Four chords"} <= set(
        re.findall(r">([^<>]+)<", page)
    )


def test_cymbals_have_crosses_and_other_drums_have_none() -> None:
    text = notated(melody((36, 42, 38, 49, 45), drums=True))
    heads = re.findall(r"<display-octave>.*?</note>", text)
    assert [("<notehead>x" in head) for head in heads] == [False, True, False, True, False]
    assert "<notehead>" not in notated(melody((60, 77, 81)))


def test_a_hostile_title_is_a_title() -> None:
    score = replace(melody((60,)), title=NASTY, tracks=(Track(0, name=NASTY),))
    picture = ET.fromstring(engrave(score)[0].encode("utf-8"))
    assert "script" not in {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert any('a <b> & "c"' in text for text in texts_of(picture))


def nasty_scores() -> list[Score]:
    random = np.random.default_rng(2)
    times = random.integers(0, 8 * TICKS, 200)
    lengths = random.integers(1, 3 * TICKS, 200)
    return [
        Score(),
        Score(end=3 * TICKS, ticks=TICKS),
        Score(ticks=TICKS, notes=Notes.of(times, lengths, random.integers(0, 128, 200), 80)),
        Score(ticks=7, notes=Notes.of(np.arange(60), 1, 60 + np.arange(60) % 12, 80)),
        Score(ticks=1, notes=Notes.of(0, 400, [0, 1, 2, 127], 1)),
        replace(melody((60,) * 9), metres=(Metre(0, 7, 8), Metre(1680, 1, 64), Metre(1710, 99, 4))),
        replace(melody((61, 70) * 9), upbeat=TICKS, keys=(Key(0, -7, minor=True), Key(5, 7))),
        replace(melody((60,)), chords=(ChordSymbol(0, 'C<"&>/zz'), ChordSymbol(3, ""))),
        melody(range(128), drums=True, length=50),
        Score(ticks=TICKS, notes=Notes.of(0, 9, 60, 80, np.arange(30)), tracks=(Track(),) * 30),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(nasty_scores())))
def test_a_nasty_score_is_engraved(number: int) -> None:
    for page in engrave(nasty_scores()[number]):
        ET.fromstring(page)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "ends with"),
        ("raise SystemExit(1)", "is not understood"),
        ("pass", "ends with 0"),
        ("import time; time.sleep(60)", "more than 1 seconds"),
    ],
)
def test_a_process_that_fails_is_an_error_of_one_line(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engraver.py").write_text(program, encoding="utf-8", newline="\n")
    monkeypatch.setattr(engraver, "__file__", str(tmp_path / "engraver.py"))
    monkeypatch.setattr(engraving, "SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(DataError, match=message) as caught:
        engrave(melody((60,)))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


def test_verovio_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engraving.sys.modules, "verovio", None)
    with pytest.raises(MissingExtraError, match=r"rhapsode\[music\]"):
        engrave(melody((60,)))


def test_played_times_become_written_ones() -> None:
    played = Score(
        ticks=480,
        notes=Notes.of(
            [3, 478, 965, 1441], [430, 300, 475, 400], [60, 62, 64, 65], [9, 80, 100, 127]
        ),
        metres=(Metre(0, 4, 4),),
    )
    written = legible_score(played).notes
    assert written.start_N.tolist() == [0, 24, 48, 72]
    assert written.length_N.tolist() == [24, 18, 24, 24]
    triplets = legible_score(melody((60, 62, 64, 65, 67, 69), length=160)).notes
    assert triplets.start_N.tolist() == [0, 8, 16, 24, 32, 40]
    assert triplets.length_N.tolist() == [8] * 6


def test_a_keyboard_has_two_staves() -> None:
    wide = in_hands(legible_score(melody((40, 47, 64, 72))))
    assert [track.name for track in wide.tracks] == ["piano", ""]
    assert wide.notes.track_N.tolist() == [1, 1, 0, 0]
    assert len(in_hands(legible_score(melody((60, 64, 67)))).tracks) == 1
    assert len(in_hands(legible_score(melody((40, 72), 73))).tracks) == 1
