"""ABC: tune books, repeats, and what every sign means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.encoding.music.score import (
    ChordSymbol,
    Key,
    Metre,
    Notes,
    Score,
    Tempo,
    Track,
)
from rhapsode.errors import DataError
from rhapsode.modalities.music.files.abc.abc_book import split_book
from rhapsode.modalities.music.files.abc.abc_fields import read_key, read_parts
from rhapsode.modalities.music.files.abc.abc_reader import read_abc
from rhapsode.modalities.music.files.abc.abc_writer import abc_text
from rhapsode.modalities.music.files.musicxml.xml_reader import read_musicxml
from rhapsode.modalities.music.files.musicxml.xml_writer import musicxml_text
from rhapsode.modalities.music.files.notation.layers import GRID

NAMES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]


def tune(music: str, head: str = "M:4/4\nL:1/4\nK:C") -> Score:
    pieces, errors = read_abc(f"X:1\nT:Test\n{head}\n{music}\n", "test.abc")
    assert errors == []
    return pieces[0].score


def played(music: str, head: str = "M:4/4\nL:1/4\nK:C") -> str:
    """Letters of the notes in the order of playing."""
    return "".join(NAMES[pitch % 12] for pitch in tune(music, head).notes.pitch_N.tolist())


def timed(score: Score) -> list[tuple[float, float, int]]:
    """Start and length in quarters, and pitch."""
    notes = score.notes
    return [
        (start / score.ticks, length / score.ticks, pitch)
        for start, length, pitch in zip(
            notes.start_N.tolist(), notes.length_N.tolist(), notes.pitch_N.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize(
    ("music", "order"),
    [
        ("|:C4|D4:|E4|", "CDCDE"),
        ("C4|D4:|E4|F4:|", "CDCDEFEF"),  # a repeat without a beginning
        ("C4::D4:|", "CCDD"),
        ("C4:||:D4:|", "CCDD"),
        ("C4||D4|E4:|", "CDEDE"),  # it begins at the double bar
        ("|:C4||D4:|E4:|", "CDCDEE"),
        ("|:C4|[1D4:|[2E4||F4|", "CDCEF"),
        ("|:C4|1D4:|2E4|]", "CDCE"),
        ("|:C4|[1,3D4:|[2E4:|[4F4|]", "CDCECDCF"),
        ("|:C4|[1-2D4:|[3E4|]", "CDCDCE"),
        ("|:C4|[1D4:|[2E4:|F4|]", "CDCEF"),
        ("|::C4::|D4|", "CCCD"),
        ("|:C4:|:D4:|", "CCDD"),
        ("C4|D4", "CD"),
        ("|:C4|[1D4:|[2E4|]|:F4|[1G4:|[2A4|]", "CDCEFGFA"),
    ],
)
def test_repeats_are_played(music: str, order: str) -> None:
    assert played(music) == order


def test_parts_are_played_in_their_order() -> None:
    head = "P:A2(BA)2\nM:4/4\nL:1/4\nK:C"
    assert played("P:A\nC4|\nP:B\n|:D4:|\n", head) == "CC" + "DDC" * 2
    assert read_parts("A2(BC)2", "") == "AABCBC"
    for endless in ("((((A99)99)99)99)", "A)"):
        with pytest.raises(DataError, match="P:"):
            read_parts(endless, "x.abc:1")


@pytest.mark.parametrize(
    ("music", "notes"),
    [
        ("C2 D/ E// F3/2", [(0, 2, 60), (2, 0.5, 62), (2.5, 0.25, 64), (2.75, 1.5, 65)]),
        ("C>D E<F", [(0, 1.5, 60), (1.5, 0.5, 62), (2, 0.5, 64), (2.5, 1.5, 65)]),
        ("C>>D", [(0, 1.75, 60), (1.75, 0.25, 62)]),
        ("(3C2D2E2 F", [(0, 4 / 3, 60), (4 / 3, 4 / 3, 62), (8 / 3, 4 / 3, 64), (4, 1, 65)]),
        ("(3:2:2C2D F", [(0, 4 / 3, 60), (4 / 3, 2 / 3, 62), (2, 1, 65)]),
        ("C-C|C", [(0, 2, 60), (2, 1, 60)]),
        ("C4-|C -D", [(0, 5, 60), (5, 1, 62)]),
        ("[CEG]2 [C2E2]", [(0, 2, 67), (0, 2, 64), (0, 2, 60), (2, 2, 64), (2, 2, 60)]),
        ("[C-E]2 C", [(0, 2, 64), (0, 3, 60)]),
        ("z C x2 D", [(1, 1, 60), (4, 1, 62)]),
        ("C Z2|D", [(0, 1, 60), (9, 1, 62)]),
        ("^C C|C =C", [(0, 1, 61), (1, 1, 61), (2, 1, 60), (3, 1, 60)]),
        ("__B,, ^^c'", [(0, 1, 45), (1, 1, 86)]),
        ("{g}C !trill!D ~E .F", [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 65)]),
        ('"Am"C "^slow"D', [(0, 1, 60), (1, 1, 62)]),
        ("C2D2 & E4|", [(0, 4, 64), (0, 2, 60), (2, 2, 62)]),
        ("C D! E F!", [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 65)]),
        ("[M:3/4]C3|[K:D]F|[L:1/8]F2", [(0, 3, 60), (3, 1, 66), (4, 1, 66)]),
    ],
)
def test_signs_of_a_line(music: str, notes: list[tuple[float, float, int]]) -> None:
    found = timed(tune(music))
    assert [(start, pitch) for start, _, pitch in found] == [
        (pytest.approx(start, abs=1e-3), pitch) for start, _, pitch in notes
    ]
    assert [length for _, length, _ in found] == pytest.approx(
        [note[1] for note in notes], abs=2e-3
    )


@pytest.mark.parametrize(
    ("text", "fifths", "minor"),
    [
        ("G", 1, False), ("Am", 0, True), ("A Minor", 0, True), ("D Mixolydian", 1, False),
        ("EDor", 2, False), ("F#m", 3, True), ("Bb", -2, False), ("C lyd", 1, False),
        ("HP", 0, False), ("Hp", 2, False), ("none", 0, False), ("G clef=bass", 1, False),
        ("Dmaj", 2, False),
    ],
)  # fmt: skip
def test_keys(text: str, fifths: int, minor: bool) -> None:
    key = read_key(text)
    assert (key.fifths, key.minor) == (fifths, minor)


def test_keys_with_accidentals_and_transposition() -> None:
    assert played("FC", "L:1/4\nK:D exp ^f") == "F#C"
    assert played("FC", "L:1/4\nK:D =c") == "F#C"
    assert tune("C", "L:1/4\nK:C octave=-1").notes.pitch_N.tolist() == [48]
    assert tune("C", "L:1/4\nK:C transpose=-2").notes.pitch_N.tolist() == [58]


def test_metre_upbeat_tempo_chords_and_key_are_kept() -> None:
    head = "M:6/8\nL:1/8\nQ:3/8=100\nK:G"
    score = tune('D|"G"G3 B3|[M:9/8]"Am7"c3 d3 e3|[K:D]f3 f3 f3|]', head)
    assert score.upbeat == 240
    assert score.metres == (Metre(0, 6, 8), Metre(1680, 9, 8))
    assert score.tempos == (Tempo(0, 150.0),)
    assert score.chords == (ChordSymbol(240, "G"), ChordSymbol(1680, "Am7"))
    assert score.keys == (Key(0, 1), Key(3840, 2))
    assert [start for start, _ in score.bars()] == [0, 240, 1680, 3840]


def test_two_short_measures_make_a_bar_and_odd_ones_have_a_metre() -> None:
    assert tune("C|D4|E3||F|G4|").metres == (Metre(0, 4, 4),)
    odd = tune("C4|D3|E4|")
    assert [start // 480 for start, _ in odd.bars()] == [0, 4, 7]


def test_voices_are_tracks_and_equal_names_one_track() -> None:
    score = tune(
        'V:1 name="Flute"\n%%MIDI program 73\nC4|\nV:2 name="Drum"\n%%MIDI channel 10\nD4|\n'
        "[V:1] E4|[V:2] F4|"
    )
    assert score.tracks == (Track(73, name="Flute"), Track(0, drums=True, name="Drum"))
    assert score.notes.track_N.tolist() == [0, 1, 0, 1]


BOOK = """<html><body><pre>
Tunes of an evening, with | a bar line
M:6/8

X:1
T:First
K:G
G3|

A3|!
Some words about it.

T:Second, without a number
M:4/4
K:D
D4|<br>
</pre>
X:3
T:Third
K:C
X:4
T:Fourth
K:C
C8|
"""


def test_a_book_is_taken_apart() -> None:
    tunes = split_book(BOOK)
    assert [(tune.line, tune.title) for tune in tunes] == [
        (5, "First"), (13, "Second, without a number"), (18, "Third"), (21, "Fourth"),
    ]  # fmt: skip
    pieces, errors = read_abc(BOOK.replace("\n", "\r\n").encode("cp1252"), "book.abc")
    assert [len(piece.score.notes) for piece in pieces] == [2, 1, 1]
    assert pieces[0].score.metres == (Metre(0, 6, 8),)  # from the head of the book
    assert [str(error) for error in errors] == ["book.abc:18: the tune has no notes"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252"])
def test_encodings_of_characters_are_recognised(encoding: str) -> None:
    data = "X:1\r\nT:Käse\r\nK:G\r\nGABc|\r\n".encode(encoding)
    pieces, errors = read_abc(data, "test.abc")
    assert (errors, pieces[0].score.title) == ([], "Käse")


def test_files_without_tunes_are_one_clear_line() -> None:
    for data in (b"", b"just prose", b"\xff\xfe\x00"):
        with pytest.raises(DataError, match="no tune"):
            read_abc(data, "prose.abc")


@settings(max_examples=200, deadline=None)
@given(st.text("CDEg|:[]1289(/{}-<>&!\"'^_=zZ,VKMLP\nx ", max_size=80))
def test_no_text_ends_the_reader(text: str) -> None:
    pieces, errors = read_abc(f"X:1\nP:A(AB)2\nK:C\n{text}\n", "random.abc")
    for piece in pieces:
        again, _ = read_abc(abc_text(piece.score), "again.abc")
        assert len(again[0].score.notes) == len(piece.score.notes)
    assert all("\n" not in str(error) for error in errors)


def test_endless_tunes_are_refused() -> None:
    for music in ("C99999999", "|:" * 3 + "C4" + ":::::::::|" * 3 + "Z1000|" * 200):
        pieces, errors = read_abc(f"X:1\nK:C\n{music}\n", "long.abc")
        assert len(pieces) + len(errors) == 1


@st.composite
def written(draw: st.DrawFn) -> Score:
    """Scores on the grid of written music."""
    tracks = [Track(program=draw(st.integers(0, 127)), name="one"), Track(drums=True, name="two")]
    tracks = tracks[: draw(st.integers(1, 2))]
    step = draw(st.sampled_from((3, 4, 6, 8, 12, 24)))
    found, kept = [], dict[tuple[int, int], int]()
    drawn = st.tuples(
        st.integers(0, 60),
        st.integers(1, 20),
        st.integers(30, 100),
        st.integers(0, len(tracks) - 1),
    )
    for start, length, pitch, track in sorted(draw(st.lists(drawn, min_size=1, max_size=25))):
        if kept.get((pitch, track), 0) <= start:
            kept[pitch, track] = start + length
            found.append((start * step * 10, length * step * 10, pitch, 80, track))
    bar = GRID * 10 * 3
    metre = draw(st.sampled_from(((3, 4), (6, 8))))
    symbols = draw(st.dictionaries(st.integers(0, 8), st.sampled_from(("Am7", "G", "F#m/C#"))))
    tempos = draw(st.dictionaries(st.integers(0, 8), st.sampled_from((60.0, 90.5, 120.0))))
    tempos = {start: tempo for start, tempo in tempos.items() if start == min(tempos)}
    fifths = draw(st.integers(-7, 7))
    keys = [Key(0, fifths, minor=draw(st.booleans()))]
    if draw(st.booleans()):
        keys.append(Key(bar, -fifths, minor=not keys[0].minor))
    last = max(start + length for start, length, *_ in found)
    last = max(last, 10 * 240)
    return Score(
        ticks=480,
        notes=Notes.of(*zip(*found, strict=True)),
        tracks=tuple(tracks),
        tempos=tuple(Tempo(start * 240, tempos[start]) for start in sorted(tempos)),
        metres=(Metre(0, *metre),),
        keys=tuple(keys),
        chords=tuple(ChordSymbol(start * 240, symbols[start]) for start in sorted(symbols)),
        end=-(-last // bar) * bar,
        title="Test",
    )


def plain(score: Score) -> tuple[object, ...]:
    notes = score.notes
    rows = zip(
        notes.start_N.tolist(), notes.length_N.tolist(), notes.pitch_N.tolist(),
        notes.track_N.tolist(), strict=True,
    )  # fmt: skip
    used = set(notes.track_N.tolist())
    return (
        sorted(rows), score.tempos, score.metres, score.keys, score.chords, score.upbeat, score.end,
        [track for index, track in enumerate(score.tracks) if index in used],
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(written())
def test_a_score_comes_back_from_its_tune(score: Score) -> None:
    pieces, errors = read_abc(abc_text(score), "again.abc")
    assert errors == []
    assert pieces[0].repairs == {}
    assert plain(pieces[0].score) == plain(score)


@settings(max_examples=100, deadline=None)
@given(written())
def test_a_score_comes_back_from_its_musicxml(score: Score) -> None:
    (piece,) = read_musicxml(musicxml_text(score).encode(), "again.musicxml")
    assert piece.repairs == {}
    assert plain(piece.score) == plain(score)
