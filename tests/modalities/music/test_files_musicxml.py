"""MusicXML from elsewhere, and files of every kind by suffix."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Notes, Score, Tempo, Track
from rhapsode.errors import DataError, SettingsError
from rhapsode.modalities.music.files import WRITERS, music_kind, read_score, write_score
from rhapsode.modalities.music.files.musicxml.xml_reader import read_musicxml
from rhapsode.modalities.music.files.musicxml.xml_writer import musicxml_text
from rhapsode.modalities.music.files.notation.spelling import spell


def document(measures: str, part: str = "") -> bytes:
    return (
        '<?xml version="1.0"?><score-partwise><part-list><score-part id="P1"><part-name>Horn'
        f'</part-name>{part}</score-part></part-list><part id="P1">{measures}</part>'
        "</score-partwise>"
    ).encode()


def note(step: str, duration: int, more: str = "", octave: int = 4) -> str:
    return (
        f"<note>{'<chord/>' if more == 'chord' else ''}<pitch><step>{step}</step>"
        f"<octave>{octave}</octave></pitch><duration>{duration}</duration>"
        f"{'' if more == 'chord' else more}</note>"
    )


ATTRIBUTES = (
    "<attributes><divisions>2</divisions><key><fifths>-1</fifths><mode>minor</mode></key>"
    "<time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
)


def rows(score: Score) -> list[tuple[int, int, int]]:
    notes = score.notes
    return sorted(
        zip(notes.start_N.tolist(), notes.length_N.tolist(), notes.pitch_N.tolist(), strict=True)
    )


def test_chords_voices_ties_grace_notes_and_forward() -> None:
    first = (
        note("C", 2) + note("E", 2, "chord") + note("G", 2, '<tie type="start"/>')
        + "<backup><duration>4</duration></backup><forward><duration>1</duration></forward>"
        + note("C", 3, octave=3)
        + "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note>"
    )  # fmt: skip
    second = note("G", 4, '<tie type="stop"/>')
    (piece,) = read_musicxml(
        document(f"<measure>{ATTRIBUTES}{first}</measure><measure>{second}</measure>"), "x.xml"
    )
    assert rows(piece.score) == [(0, 480, 60), (0, 480, 64), (240, 720, 48), (480, 1440, 67)]
    assert piece.repairs == {"grace notes left out": 1}
    assert piece.score.metres == (Metre(0, 2, 4),)
    assert piece.score.keys == (Key(0, -1, minor=True),)


def test_repeats_endings_harmony_tempo_and_transposition() -> None:
    harmony = (
        "<harmony><root><root-step>B</root-step><root-alter>-1</root-alter></root>"
        "<kind>dominant</kind><bass><bass-step>D</bass-step></bass></harmony>"
    )
    transposed = ATTRIBUTES.replace(
        "</attributes>", "<transpose><chromatic>-7</chromatic></transpose></attributes>"
    )
    forward = '<barline location="left"><repeat direction="forward"/></barline>'
    one = '<barline location="left"><ending number="1" type="start"/></barline>'
    back = '<barline><ending number="1" type="stop"/><repeat direction="backward"/></barline>'
    two = '<barline location="left"><ending number="2" type="start"/></barline>'
    tempo = '<direction><direction-type/><sound tempo="90"/></direction>'
    measures = (
        f"<measure>{transposed}{forward}{tempo}{harmony}{note('C', 4)}</measure>"
        f"<measure>{one}{note('D', 4)}{back}</measure><measure>{two}{note('E', 4)}</measure>"
    )
    (piece,) = read_musicxml(document(measures), "x.xml")
    assert [pitch + 7 for _, _, pitch in rows(piece.score)] == [60, 62, 60, 64]
    assert piece.score.chords == (ChordSymbol(0, "Bb7/D"), ChordSymbol(1920, "Bb7/D"))
    assert piece.score.tempos == (Tempo(0, 90.0),)
    (plain,) = read_musicxml(document(measures), "x.xml", repeats=False)
    assert len(plain.score.notes) == 3


def test_documents_ordered_by_measures_and_name_spaces() -> None:
    text = (
        '<score-timewise xmlns="urn:x"><part-list><score-part id="A"/></part-list>'
        f'<measure number="1"><part id="A">{ATTRIBUTES}{note("C", 4)}</part></measure>'
        f'<measure number="2"><part id="A">{note("D", 4)}</part></measure></score-timewise>'
    )
    (piece,) = read_musicxml(text.encode("utf-16"), "x.xml")
    assert [pitch for _, _, pitch in rows(piece.score)] == [60, 62]


BOMB = b'<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(12)
) + b"]><score-partwise>&l;</score-partwise>"  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<", b"<html></html>", b"<score-partwise/>", b"PK\x03\x04broken", BOMB,
        b"<a>" * 100_000, b'<?xml version="1.0" encoding="klingon"?><a/>',
        document("<measure><note><pitch/></note></measure>"),
        document(f"<measure>{note('C', 10**12)}</measure>"),
    ],
)  # fmt: skip
def test_hostile_files_are_one_clear_line(data: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read_musicxml(data, "hostile.musicxml")
    assert "hostile.musicxml" in str(caught.value)


def test_a_compressed_file_that_unpacks_to_too_much_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.xml", b" " * (65 << 20))
    with pytest.raises(DataError, match="more than 64 MB"):
        read_musicxml(stream.getvalue(), "big.mxl")


SCORE = Score(
    notes=Notes.of(
        [0, 480, 960, 960, 1440, 1600, 1760, 1920],
        [480, 480, 480, 480, 160, 160, 160, 3000],
        [60, 64, 67, 36, 62, 64, 65, 67],
        80,
        [0, 0, 0, 1, 0, 0, 0, 0],
    ),
    tracks=(Track(0, name="Piano"), Track(0, drums=True, name="Drums")),
    metres=(Metre(0, 4, 4),),
    keys=(Key(0, 0),),
    tempos=(Tempo(0, 100.0),),
    chords=(ChordSymbol(0, "C"), ChordSymbol(960, "G7")),
    end=5760,
    title="A 'title' < & more",
)


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_files_are_written_and_read_by_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"score{suffix}"
    write_score(SCORE, path)
    (piece,) = read_score(path)
    if suffix == ".json":  # sixteenths without drums
        assert piece.score.notes.pitch_N.tolist()[:3] == [60, 64, 67]
        return
    assert rows(piece.score) == rows(SCORE)
    assert piece.score.tracks == SCORE.tracks
    assert piece.score.chords == SCORE.chords
    assert piece.score.title == SCORE.title
    assert music_kind(path.name, path.read_bytes()[:4096])


def test_other_suffixes_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"use \.mid"):
        write_score(SCORE, tmp_path / "score.pdf")
    with pytest.raises(DataError, match="no such folder"):
        write_score(SCORE, tmp_path / "none" / "score.mid")
    with pytest.raises(DataError, match="no file of music"):
        read_score(b"<html>", "page.xml")


def test_the_notes_are_those_that_lytk_reads() -> None:
    lytk = pytest.importorskip("lytk")
    melody = SCORE.notes.select(SCORE.notes.track_N == 0)
    text = musicxml_text(Score(notes=melody, metres=SCORE.metres, end=SCORE.end))
    array = lytk.to_note_array(lytk.from_musicxml_string(text).to_music_document())
    assert sorted(map(tuple, array[:, :3].tolist())) == rows(Score(notes=melody))


def test_pitches_are_spelled_in_their_key() -> None:
    def names(fifths: int) -> list[str]:
        signs = {-1: "b", 0: "", 1: "#", 2: "x", -2: "bb"}
        return [
            step + signs[alteration]
            for step, alteration, _ in (spell(pitch, fifths) for pitch in range(60, 72))
        ]

    assert names(0) == ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"]
    assert names(-3)[::3] == ["C", "Eb", "Gb", "A"]
    assert names(7)[0] == "B#"
    assert spell(60, 7)[2] == 3
    assert spell(71, -7) == ("C", -1, 5)
