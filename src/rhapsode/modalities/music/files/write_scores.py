"""Scores as files, by the suffix of their path."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.modalities.music.files.abc.abc_writer import abc_text
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes
from rhapsode.modalities.music.files.musicxml.xml_writer import musicxml_text

_STEPS = 4
_INNER = "score.musicxml"


def write_score(score: Score, path: str | Path) -> None:
    """Write a score as MIDI, ABC, MusicXML, or piano roll.

    The file appears whole or not at all.

    Arguments:
        score: the music.
        path: ends with one of `WRITERS`.

    Raises:
        SettingsError: another suffix.
        DataError: the folder does not exist.
        RunError: it cannot be written.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise SettingsError(
            f"scores are not written as {path.suffix or 'files without a suffix'}",
            where=str(path),
            hint=f"use {', '.join(WRITERS)}",
        )
    if not path.parent.is_dir():
        raise DataError("no such folder", where=str(path.parent))
    write_atomically(path, writer(score))


def _abc(score: Score) -> bytes:
    return abc_text(score).encode("utf-8")


def _musicxml(score: Score) -> bytes:
    return musicxml_text(score).encode("utf-8")


def _compressed(score: Score) -> bytes:
    container = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles>'
        f'<rootfile full-path="{_INNER}"/></rootfiles></container>\n'
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr(_INNER, _musicxml(score))
    return stream.getvalue()


def _roll(score: Score) -> bytes:
    """Pitches that sound at each sixteenth, from the highest down, without drums."""
    score = score.rescaled(_STEPS)
    steps: list[set[int]] = [set() for _ in range(score.end)]
    notes = score.notes
    rows = zip(
        notes.start_N.tolist(),
        notes.length_N.tolist(),
        notes.pitch_N.tolist(),
        notes.track_N.tolist(),
        strict=True,
    )
    for start, length, pitch, track in rows:
        if not score.tracks[track].drums:
            for step in steps[start : start + length]:
                step.add(pitch)
    pitches = [sorted(step, reverse=True) for step in steps]
    return json.dumps([pitches], separators=(",", ":")).encode() + b"\n"


WRITERS: MappingProxyType[str, Callable[[Score], bytes]] = MappingProxyType(
    {
        ".mid": midi_bytes,
        ".midi": midi_bytes,
        ".abc": _abc,
        ".musicxml": _musicxml,
        ".xml": _musicxml,
        ".mxl": _compressed,
        ".json": _roll,
    }
)
"""Contents of a file by its suffix."""
