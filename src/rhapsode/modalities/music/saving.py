"""Scores written into files, in the format of the suffix."""

from __future__ import annotations

from pathlib import Path

from rhapsode.encoding.music.score import Score
from rhapsode.errors import SettingsError
from rhapsode.files import write_atomically

MIDI = (".mid", ".midi")
PICTURES = (".svg",)
SUFFIXES = (*MIDI, *PICTURES)


def check_suffix(path: Path) -> None:
    """Check that a score can be written into a file.

    Raises:
        SettingsError: a suffix that music has no format for, or a folder that does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(
            f"music is written as {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'}",
            where=str(path),
        )
    if not path.parent.is_dir():
        raise SettingsError("there is no such folder", where=str(path.parent))


def save_score(score: Score, path: Path, *, prompt_end: int = 0) -> None:
    """Write a score in the format of the suffix.

    Arguments:
        score: the music.
        path: of the file.
        prompt_end: tick at which the prompt ends, for pictures.

    Raises:
        SettingsError: a suffix that music has no format for.
        RunError: it cannot be written.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    if suffix in MIDI:
        from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

        write_atomically(path, midi_bytes(score))
    else:
        from rhapsode.modalities.music.drawing.rolls import roll_svg

        write_atomically(path, roll_svg(score, seed_end=prompt_end).encode())
