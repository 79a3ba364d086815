"""Which sources are music: by suffix and first bytes, in folders, in memory, by name."""

import shutil
from pathlib import Path

import pytest

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, SettingsError
from rhapsode.modalities.choose import choose_modality
from rhapsode.modalities.contract import Degree
from rhapsode.modalities.music.claims import claim_sources
from rhapsode.modalities.music.pieces.reading import read_pieces
from rhapsode.modalities.music.settings import MusicSettings
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities.music.chorales import roll_file, tune, write_tunes

ABC = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:G\nGABc d2 B2|G4 z4|]\n"


def chosen(source: object, **asked: object) -> str:
    return choose_modality([source], asked)[0].name


def test_files_and_folders_of_music_are_claimed(tmp_path: Path) -> None:
    folder = write_tunes(tmp_path / "midi", 3)
    assert chosen(folder) == "music.v1"
    assert chosen(str(folder / "*.mid")) == "music.v1"
    nameless = tmp_path / "nameless"
    shutil.copy(folder / "tune-01.mid", nameless)
    assert chosen(nameless) == "music.v1"
    archive = shutil.make_archive(str(tmp_path / "tunes"), "zip", folder)
    assert chosen(archive) == "music.v1"
    assert len(read_pieces([archive], MusicSettings()).pieces) == 3
    assert chosen(roll_file(tmp_path)) == "music.v1"
    book = tmp_path / "book.abc"
    book.write_text(ABC)
    assert chosen(book) == "music.v1"
    assert chosen([tune(1), tune(2)]) == "music.v1"


def test_texts_stay_texts(tmp_path: Path) -> None:
    book = tmp_path / "book.abc"
    book.write_text(ABC)
    assert chosen(book, encoding="characters") == "text.v1"
    assert chosen(book, modality="text") == "text.v1"
    plain = tmp_path / "numbers.json"
    plain.write_text('{"a": [1, 2]}')
    assert chosen(plain, field="a") == "text.v1"
    mixed = write_tunes(tmp_path / "mixed", 1)
    for name in "abc":
        (mixed / f"{name}.txt").write_text("Some words.\n")
    assert chosen(mixed) == "text.v1"
    assert claim_sources(["nowhere.txt"], "auto").degree == Degree.NONE
    assert claim_sources([3], "auto").degree == Degree.NONE
    assert claim_sources([Score()], "no such encoding").degree == Degree.NONE


def test_a_missing_file_is_named_beside_others(tmp_path: Path) -> None:
    sources = [str(write_tunes(tmp_path / "midi", 1)), str(tmp_path / "nowhere.mid")]
    assert choose_modality(sources, {})[0].name == "music.v1"
    with pytest.raises(DataError, match=r"no such file or folder$") as caught:
        read_pieces(sources, MusicSettings())
    assert caught.value.where == sources[1]


def test_errors_name_the_whole_path(tmp_path: Path) -> None:
    broken = tmp_path / "sub" / "broken.mid"
    broken.parent.mkdir()
    broken.write_bytes(b"MThd")
    with pytest.raises(DataError, match=f"^{broken}: "):
        read_pieces([broken], MusicSettings())
    with pytest.raises(DataError, match=f"^{broken}: "):
        read_pieces([tmp_path], MusicSettings())


@pytest.mark.parametrize("entry", ["NaN", "1e999", "true", "60.5", "-2", '"C4"', "[60]", "{}"])
def test_rolls_of_anything_but_pitches_are_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "rolls.json"
    path.write_text(f'{{"train": [[[60, {entry}]]]}}', encoding="utf-8-sig")
    with pytest.raises(DataError, match="is not a pitch from 0 to 127"):
        read_pieces([path], MusicSettings())


def test_a_folder_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    folder = write_tunes(tmp_path / "midi", 2)
    (folder / "broken.mid").write_bytes(b"MThd")
    (folder / "notes.txt").write_text("Some words.\n")
    read = read_pieces([folder], MusicSettings())
    assert len(read.pieces) == 2
    assert any("cannot be read" in note and "broken.mid" in note for note in read.notes)
    assert any("hold no music" in note for note in read.notes)
    for path in folder.glob("tune*"):
        path.unlink()
    with pytest.raises(DataError, match="broken"):
        read_pieces([folder], MusicSettings())


def test_encodings_of_music_are_refused_for_texts(tmp_path: Path) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text("Some words.\n" * 40)
    with pytest.raises(SettingsError, match="frames encodes music") as caught:
        prepare_training((prose,), {"encoding": "frames"}, output=str(tmp_path / "run"))
    assert "characters" in str(caught.value)
