"""Real files: every one gives a result or one clear line."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rhapsode.errors import DataError
from rhapsode.modalities.music.files import read_file
from rhapsode.modalities.music.files.midi.midi_reader import read_midi
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

NASTY = {
    "test-2-tracks-type-2.mid": [8, 8],
    "test-corrupt-file-extra-byte.mid": [8],
    "test-empty-file.mid": "the file is empty",
    "test-illegal-message-f1-xx.mid": [8],
    "test-illegal-message-f5.mid": [8],
    "test-not-a-midi-file.mid": "this is no MIDI file",
    "test-running-status-sysex.mid": [8],
    "test-smpte-offset.mid": [8],
}


@pytest.mark.parametrize("name", sorted(NASTY))
def test_every_awkward_file(name: str, shared_data: Path) -> None:
    path = shared_data / "nasty" / "midi" / name
    expected = NASTY[name]
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            read_file(path)
        return
    pieces, errors = read_file(path)
    assert errors == []
    assert [len(piece.score.notes) for piece in pieces] == expected
    assert all(set(piece.score.notes.length_N.tolist()) == {96} for piece in pieces)


@pytest.mark.parametrize("folder", ["jsb_chorales", "irish_abc", "nottingham", "midi_classical"])
def test_every_file_gives_a_result_or_one_line(folder: str, shared_data: Path) -> None:
    counts = {"jsb_chorales": 4 * 382, "irish_abc": 804, "nottingham": 969, "midi_classical": 33}
    refused, pieces = [], 0
    for path in sorted((shared_data / folder).rglob("*")):
        if path.is_file():
            try:
                found, errors = read_file(path)
            except DataError as problem:
                refused.append((path.suffix, str(problem).count("\n")))
            else:
                assert errors == []
                pieces += len(found)
    assert pieces == counts[folder]
    assert refused in ([], [(".npz", 0)], [(".gz", 0)])


def test_nottingham_s_midi_files_come_back(shared_data: Path) -> None:
    with tarfile.open(shared_data / "nottingham" / "nottingham_midi.tar.gz") as archive:
        members = [member for member in archive if member.isfile()]
        assert len(members) == 969
        for member in members[::40]:
            stream = archive.extractfile(member)
            assert stream is not None
            (piece,) = read_midi(stream.read(), member.name)
            (again,) = read_midi(midi_bytes(piece.score), member.name)
            assert again.score.notes.start_N.tolist() == piece.score.notes.start_N.tolist()
            assert again.score.metres == piece.score.metres
