"""Piano rolls: what an SVG picture and a terminal show of a score."""

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.cells import cell_len

from rhapsode.encoding.music.score import Metre, Notes, Score, Tempo, Track
from rhapsode.modalities.music.drawing.instruments import DRUMS, PROGRAMS
from rhapsode.modalities.music.drawing.rolls import facts, roll_of, roll_svg
from rhapsode.views.pictures.piano_roll import WIDTH
from rhapsode.views.terminal.small_roll import small_roll
from tests.modalities.music.listening import TICKS, band, melody

SVG = "{http://www.w3.org/2000/svg}"
NASTY = (
    "a <b> & \"c\" 'd' ]]> </svg><script>x</script> \x00\x07\x1b[31m\ud800\ufffe 日本 عربي\n&amp;"
)


def notes_of(picture: ET.Element) -> list[dict[str, Any]]:
    """Rectangles of notes: part, name, place and opacity."""
    found = []
    for system, group in enumerate(picture.findall(f"{SVG}g")):
        for part in group.findall(f"{SVG}g"):
            for rect in part.findall(f"{SVG}rect"):
                place = {name: float(rect.attrib[name]) for name in ("x", "y", "width", "height")}
                name = rect.findtext(f"{SVG}title")
                opacity = float(rect.attrib["opacity"])
                found.append(
                    {
                        "part": part.get("class"),
                        "name": name,
                        "system": system,
                        "o": opacity,
                        **place,
                    }
                )
    return found


def texts_of(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def test_every_instrument_and_drum_has_a_name() -> None:
    assert len(PROGRAMS) == 128
    assert len(set(PROGRAMS)) == 128
    assert sorted(DRUMS) == list(range(35, 82))
    assert (PROGRAMS[0], PROGRAMS[40], PROGRAMS[73], PROGRAMS[127]) == (
        "piano",
        "violin",
        "flute",
        "gunshot",
    )
    assert (DRUMS[36], DRUMS[38], DRUMS[42], DRUMS[49], DRUMS[81]) == (
        "kick", "snare", "closed hat", "crash", "open triangle",
    )  # fmt: skip


def test_every_note_stands_at_its_time_and_pitch() -> None:
    score = melody((60, 64, 67, 72), velocity=127)
    score = replace(
        score, notes=replace(score.notes, velocity_N=np.array([127, 1, 64, 64], np.uint8))
    )
    notes = notes_of(ET.fromstring(roll_svg(score)))
    assert [note["name"] for note in notes] == ["C4", "E4", "G4", "C5"]
    steps = np.diff([note["x"] for note in notes])
    np.testing.assert_allclose(steps, steps[0], atol=0.11)
    rises = np.diff([note["y"] for note in notes]) / -notes[0]["height"]
    np.testing.assert_allclose(rises / rises[0], [1, 0.75, 1.25], rtol=0.02)
    assert notes[1]["o"] < notes[2]["o"] < notes[0]["o"] == 1.0


def test_a_hostile_title_is_a_title() -> None:
    score = replace(band(1), title=NASTY, tracks=(Track(0, name=NASTY), *band(1).tracks[1:]))
    svg = roll_svg(score)
    picture = ET.fromstring(svg.encode("utf-8"))
    assert "script" not in {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert any('a <b> & "c"' in text for text in texts_of(picture))
    assert svg.count("<svg") == 1
    assert ET.fromstring(roll_svg(replace(score, title="x" * 5000))).get("viewBox")


def test_long_pieces_wrap_into_systems_of_whole_bars() -> None:
    picture = ET.fromstring(roll_svg(band(20)))
    numbers = [text for text in texts_of(picture) if text.isdigit()]
    assert numbers == [str(bar) for bar in range(1, 21)]
    notes = notes_of(picture)
    assert {note["system"] for note in notes} == {0, 1, 2}
    assert len(notes) == len(band(20).notes)
    assert all(note["x"] > 0 and note["x"] + note["width"] <= WIDTH for note in notes)
    height = float(picture.attrib["height"])
    assert all(note["y"] < height for note in notes)


def test_a_note_across_systems_is_drawn_in_both() -> None:
    score = replace(melody((60,) * 64), notes=Notes.of([0, 31 * TICKS], 2 * TICKS, [60, 62], 80))
    parts = [note for note in notes_of(ET.fromstring(roll_svg(score))) if note["name"] == "D4"]
    assert [part["system"] for part in parts] == [0, 1]


def test_drums_have_rows_of_their_own() -> None:
    picture = ET.fromstring(roll_svg(band(2)))
    assert {"kick", "snare", "closed hat"} <= set(texts_of(picture))
    drums = [note for note in notes_of(picture) if note["part"] == "drums"]
    others = [note for note in notes_of(picture) if note["part"] != "drums"]
    assert min(note["y"] for note in drums) > max(note["y"] for note in others)
    only = replace(melody((36, 38, 42, 27), drums=True), title="drums")
    assert len(notes_of(ET.fromstring(roll_svg(only)))) == 4


def test_a_prompt_is_shaded_to_its_end() -> None:
    score = band(16)
    assert 'class="seed"' not in roll_svg(score)
    for bars, shades, lines in ((4, 1, 1), (8, 1, 0), (10, 2, 1)):
        svg = roll_svg(score, seed_end=bars * 4 * TICKS)
        assert svg.count('class="seed"') == shades
        assert svg.count('class="seed-end"') == lines


@pytest.mark.parametrize(
    "score",
    [
        Score(),
        Score(end=1),
        Score(end=100 * TICKS, ticks=TICKS),
        melody((0, 127)),
        melody((127,) * 3, drums=True),
        replace(melody((60,) * 9), metres=(Metre(0, 7, 8), Metre(1680, 1, 64), Metre(1710, 99, 4))),
        replace(melody((60,) * 9), upbeat=TICKS),
        Score(ticks=1, notes=Notes.of(np.arange(500), 1, 60, 64, 0)),
        Score(ticks=480, notes=Notes.of(0, 1, 60, 64, np.arange(40)), tracks=(Track(),) * 40),
    ],
    ids=lambda score: f"{len(score.notes)} notes, {score.end} ticks",
)  # fmt: skip
def test_odd_scores_have_rolls(score: Score) -> None:
    picture = ET.fromstring(roll_svg(score, title="odd", seed_end=score.end // 2))
    assert "nan" not in ET.tostring(picture, "unicode")
    assert len(notes_of(picture)) >= len(score.notes)
    for line in small_roll(roll_of(score), 60, seed_end=1.0):
        assert cell_len(line.plain) <= 60


def test_an_upbeat_is_bar_zero() -> None:
    score = replace(melody((60,) * 9), upbeat=TICKS)
    numbers = [text for text in texts_of(ET.fromstring(roll_svg(score))) if text.isdigit()]
    assert numbers == ["1", "2"]
    assert facts(score).startswith("2 bars")


def test_beats_of_compound_metres_are_dotted() -> None:
    score = replace(melody((60,) * 6), metres=(Metre(0, 6, 8),))
    assert roll_of(score).beats == (0.0, 1.5, 3.0, 4.5)
    assert roll_of(replace(score, metres=(Metre(0, 3, 4),))).beats == (0, 1, 2, 3, 4, 5)


def test_facts_are_in_words() -> None:
    score = replace(band(16), tempos=(Tempo(0, 100.0), Tempo(TICKS, 120.0)))
    assert re.split(r"\s+·\s+", facts(score))[:3] == ["16 bars", "4/4", "♩ = 100 to 120"]
    assert facts(melody((60,))).endswith("1 note   ·   0:01")


def test_a_terminal_shows_the_contour() -> None:
    lines = small_roll(roll_of(melody((60, 67, 72, 84))), 40)
    assert len(lines) == 8
    rows = [next(r for r, line in enumerate(lines) if line.plain[4 + 4 * n : 8 + 4 * n].strip(" ┊"))
            for n in range(4)]  # fmt: skip
    assert rows == sorted(rows, reverse=True)
    assert len(set(rows)) == 4
    assert lines[0].plain.startswith("E5") or lines[0].plain[:2].strip()


def test_a_terminal_shows_parts_in_colours_and_the_prompt_dim() -> None:
    lines = small_roll(roll_of(band(4)), 80, rows=8, seed_end=8.0)
    assert len(lines) == 8
    assert lines[-1].plain.startswith("drum")
    styles = {str(span.style) for line in lines for span in line.spans}
    assert {"cyan", "cyan dim", "yellow", "magenta"} <= styles
    assert all(cell_len(line.plain) <= 80 for line in lines)
    assert small_roll(roll_of(Score()), 80) == []
