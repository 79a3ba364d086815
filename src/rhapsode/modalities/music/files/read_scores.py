"""Files of music as scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rhapsode.errors import DataError, RhapsodeError
from rhapsode.modalities.music.files.abc.abc_reader import read_abc
from rhapsode.modalities.music.files.midi.midi_reader import PedalRule, read_midi
from rhapsode.modalities.music.files.musicxml.xml_reader import read_musicxml
from rhapsode.modalities.music.files.reading_result import ReadScore

MIDI = (".mid", ".midi", ".kar", ".rmi", ".smf")
ABC = (".abc",)
XML = (".musicxml", ".mxl")
PLAIN_XML = ".xml"
SUFFIXES = (*MIDI, *ABC, *XML)
"""Suffixes that only files of music have."""


@dataclass(frozen=True)
class ReadingRules:
    """Rules of reading files of music.

    Arguments:
        pedal: extend lengthens notes until the pedal is released, keep keeps pedals apart, drop
            leaves them out.
        repeats: True plays repeats of ABC and MusicXML out.
        step: of piano rolls, steps a quarter note; 0 takes it from the file's name.
    """

    pedal: PedalRule = "extend"
    repeats: bool = True
    step: int = 0


RULES = ReadingRules()


def music_kind(name: str, head: bytes) -> str | None:
    """Kind of a file of music; None for anything else.

    Kinds are midi, abc, musicxml and rolls, which are piano rolls in JSON.

    Arguments:
        name: of the file.
        head: its first bytes, a few hundred at least.
    """
    from rhapsode.modalities.music.pieces.json_rolls import looks_like_rolls

    suffix = Path(name).suffix.lower()
    if head[:4] == b"MThd" or (head[:4] == b"RIFF" and head[8:12] == b"RMID") or suffix in MIDI:
        return "midi"
    if suffix in ABC:
        return "abc"
    if suffix == ".json" and looks_like_rolls(head):
        return "rolls"
    if suffix in XML or (suffix == PLAIN_XML and b"<score-" in head):
        return "musicxml"
    return None


def read_score(
    source: str | Path | bytes, name: str = "", rules: ReadingRules = RULES
) -> list[ReadScore]:
    """Pieces of a file of music.

    A piece of a file that cannot be read is an error only if no other piece can be.

    Arguments:
        source: path, or contents.
        name: of the file, where contents are passed.
        rules: rules of reading.

    Raises:
        DataError: the file cannot be read, is of another kind, or holds no piece.
    """
    pieces, errors = read_file(source, name, rules)
    if not pieces:
        raise (
            errors[0] if errors else DataError("there is no music in it", where=name or str(source))
        )
    return pieces


def read_file(
    source: str | Path | bytes, name: str = "", rules: ReadingRules = RULES
) -> tuple[list[ReadScore], list[RhapsodeError]]:
    """Pieces of a file, and an error for each unreadable one.

    Arguments:
        source: path, or contents.
        name: of the file, where contents are passed.
        rules: rules of reading.

    Raises:
        DataError: the file cannot be read, or is of another kind.
    """
    if isinstance(source, bytes):
        data, name = source, name or "<bytes>"
    else:
        name = name or str(source)
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise DataError(f"cannot read: {reason}", where=name) from None
    from rhapsode.modalities.music.pieces.json_rolls import read_rolls, step_of

    kind = music_kind(name, data[:4096])
    if kind == "midi":
        return read_midi(data, name, pedal=rules.pedal), []
    if kind == "abc":
        return read_abc(data, name, repeats=rules.repeats)
    if kind == "musicxml":
        return read_musicxml(data, name, repeats=rules.repeats), []
    if kind == "rolls":
        step = step_of(name, rules.step)
        return [
            ReadScore(piece, score, split=split, rolls=True)
            for piece, split, score in read_rolls(data, name, step)
        ], []
    raise DataError(
        "this is no file of music",
        where=name,
        hint=f"music is read from {', '.join(SUFFIXES)} and piano rolls in .json",
    )
