"""Tune books in ABC notation as scores."""

from __future__ import annotations

import codecs
import re

from rhapsode.encoding.music.score import Score, Track
from rhapsode.errors import DataError, RhapsodeError
from rhapsode.modalities.music.files.abc.abc_book import BODY_FIELDS, Tune, split_book
from rhapsode.modalities.music.files.abc.abc_fields import (
    KeySettings,
    default_unit,
    read_key,
    read_metre,
    read_parts,
    read_tempo,
    read_unit,
)
from rhapsode.modalities.music.files.abc.abc_music import Voice, read_field, read_music
from rhapsode.modalities.music.files.notation.score_assembly import score_of_measures
from rhapsode.modalities.music.files.reading_result import ReadScore, Repairs

MOST_CHARACTERS = 64 << 20
MOST_VOICES = 64
_FIELD = re.compile(r"\s*([A-Za-z]):(.*)", re.DOTALL)
_PROGRAM = re.compile(r"%%\s*MIDI\s+program\s+(?:\d+\s+)?(\d{1,3})\s*$")
_CHANNEL = re.compile(r"%%\s*MIDI\s+channel\s+(\d{1,2})\s*$")
_NAME = re.compile(r'\b(?:name|nm)\s*=\s*(?:"([^"]*)"|(\S+))')


def read_abc(
    data: bytes | str, name: str, *, repeats: bool = True
) -> tuple[list[ReadScore], list[RhapsodeError]]:
    """Tunes of a book, and an error for each unreadable one.

    Arguments:
        data: contents of the file.
        name: of the file.
        repeats: True plays repeats out.

    Raises:
        DataError: no tune at all, or too large a file.
    """
    if len(data) > MOST_CHARACTERS:
        raise DataError(
            f"an ABC file of more than {MOST_CHARACTERS >> 20} MB is not read", where=name
        )
    text = data if isinstance(data, str) else decode(data)
    tunes = split_book(text)
    if not tunes:
        raise DataError(
            "there is no tune in this file", where=name, hint="a tune begins with X: and a number"
        )
    pieces: list[ReadScore] = []
    errors: list[RhapsodeError] = []
    for tune in tunes:
        label = " ".join(part for part in (tune.number, tune.title) if part)
        piece = name if len(tunes) == 1 else f"{name}: {label or f'line {tune.line}'}"
        repairs = Repairs()
        try:
            score = read_tune(tune, f"{name}:{tune.line}", repairs, repeats=repeats)
        except RhapsodeError as problem:
            errors.append(problem)
        else:
            pieces.append(ReadScore(piece, score, repairs.counts))
    return pieces, errors


def decode(data: bytes) -> str:
    """Text of a file in UTF-8 or UTF-16, or else in Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if len(data) > 1 and (data[0] == 0) != (data[1] == 0):
        # A tune book begins with a character of ASCII.
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_tune(tune: Tune, where: str, repairs: Repairs, *, repeats: bool = True) -> Score:
    """The score of a tune.

    Arguments:
        tune: from `split_book`.
        where: for messages.
        repairs: counts what is left out.
        repeats: True plays repeats out.

    Raises:
        DataError: it has no notes, or is endless.
    """
    book, _, _ = where.rpartition(":")
    repairs.add("lines of text left out", tune.prose)
    header = _Header(where)
    for line, letter, value in tune.fields:
        header.read(letter, value, f"{book}:{line}")
    voices: dict[str, Voice] = {}
    voice = header.voice("1", voices)
    voice.set_tempo(header.quarters)
    for line, text in tune.body:
        place = f"{book}:{line}"
        if text.startswith("%%"):
            program = _PROGRAM.match(text)
            if program:
                voice.program = min(127, int(program[1]))
            channel = _CHANNEL.match(text)
            if channel:
                voice.drums = int(channel[1]) == 10
            continue
        found = _FIELD.fullmatch(text)
        if found and found[1] in BODY_FIELDS:
            value = found[2].strip()
            if found[1] == "V":
                voice = header.voice(value, voices, place)
            elif found[1] in "KMLQP":
                for other in voices.values() if found[1] == "P" else (voice,):
                    read_field(other, found[1], value, line)
            continue
        rest: Voice | str = text
        while isinstance(rest, str):
            if "\n" in rest:
                label, _, rest = rest.partition("\n")
                voice = header.voice(label, voices, place)
            rest = read_music(voice, rest, place, line, repairs)
    for each in voices.values():
        each.close(0)
    filled = {label: each for label, each in voices.items() if each.measures}
    if not any(measure.notes for each in filled.values() for measure in each.measures):
        raise DataError("the tune has no notes", where=where)
    try:
        return score_of_measures(
            [each.measures for each in filled.values()],
            [
                Track(each.program, each.drums, header.names.get(label, ""))
                for label, each in filled.items()
            ],
            title=tune.title,
            parts=header.parts,
            repeats=repeats,
            repairs=repairs,
        )
    except DataError as problem:
        raise DataError(problem.what, where=problem.where or where) from None


class _Header:
    """Fields before the music."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.metre: tuple[int, int] | None = (4, 4)
        self.unit: int | None = None
        self.key = KeySettings()
        self.tempo: str | None = None
        self.parts = ""
        self.names: dict[str, str] = {}
        self.shifts: dict[str, int] = {}

    def read(self, letter: str, value: str, where: str) -> None:
        """Read a field."""
        if letter == "M":
            self.metre = read_metre(value)
        elif letter == "L":
            self.unit = read_unit(value) or self.unit
        elif letter == "K":
            self.key = read_key(value)
        elif letter == "Q":
            self.tempo = value
        elif letter == "P":
            self.parts = read_parts(value, where)
        elif letter == "V":
            self._describe(value)

    def _describe(self, value: str) -> str:
        """Note the name of a voice; return its label."""
        label, _, rest = value.strip().partition(" ")
        named = _NAME.search(rest)
        if named:
            self.names[label] = named[1] or named[2] or ""
        if "transpose" in rest or "octave" in rest:
            self.shifts[label] = read_key(rest, KeySettings()).shift
        return label

    @property
    def quarters(self) -> float | None:
        """Quarters a minute."""
        unit = self.unit or default_unit(self.metre)
        return None if self.tempo is None else read_tempo(self.tempo, unit)

    def voice(self, value: str, voices: dict[str, Voice], where: str = "") -> Voice:
        """The voice of a `V:` field; a new one begins as the header says.

        Raises:
            DataError: too many voices.
        """
        label = self._describe(value) or "1"
        if label in voices:
            return voices[label]
        if len(voices) == 1 and not next(iter(voices.values())).measures and "1" in voices:
            only = voices["1"]
            if only.at == 0 and not only.current.notes:  # nothing came before the first V:
                voices[label] = voices.pop("1")
                voices[label].key = self._shifted(label)
                return voices[label]
        if len(voices) >= MOST_VOICES:
            raise DataError(f"more than {MOST_VOICES} voices", where=where or self.where)
        unit = self.unit or default_unit(self.metre)
        voices[label] = Voice(
            unit, self.metre, self._shifted(label), has_unit=self.unit is not None
        )
        return voices[label]

    def _shifted(self, label: str) -> KeySettings:
        key, shift = self.key, self.shifts.get(label, 0)
        return KeySettings(key.fifths, key.minor, key.alterations, key.shift + shift)
