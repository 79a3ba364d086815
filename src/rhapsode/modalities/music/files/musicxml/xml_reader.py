"""MusicXML documents as scores."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element
from xml.parsers.expat import ExpatError, ParserCreate

from rhapsode.encoding.music.score import Track
from rhapsode.errors import DataError
from rhapsode.modalities.music.files.notation.measures import UNIT, Measure, WrittenNote
from rhapsode.modalities.music.files.notation.score_assembly import score_of_measures
from rhapsode.modalities.music.files.reading_result import ReadScore, Repairs

MOST_BYTES = 64 << 20
MOST_PARTS = 256
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_KINDS = {
    "major": "", "minor": "m", "dominant": "7", "major-seventh": "maj7", "minor-seventh": "m7",
    "diminished": "dim", "augmented": "aug", "half-diminished": "m7b5",
    "diminished-seventh": "dim7", "major-sixth": "6", "minor-sixth": "m6",
    "suspended-fourth": "sus4", "suspended-second": "sus2",
    "dominant-ninth": "9", "major-ninth": "maj9", "minor-ninth": "m9", "power": "5",
}  # fmt: skip


def read_musicxml(data: bytes, name: str, *, repeats: bool = True) -> list[ReadScore]:
    """The piece of a MusicXML file, compressed or not.

    Arguments:
        data: contents of the file.
        name: of the file.
        repeats: True plays repeats out.

    Raises:
        DataError: this is no MusicXML, or too large.
    """
    if data[:2] == b"PK":
        data = _unpack(data, name)
    if len(data) > MOST_BYTES:
        raise DataError(f"MusicXML of more than {MOST_BYTES >> 20} MB is not read", where=name)
    root = _parse(data, name)
    if root.tag == "score-timewise":
        root = _partwise(root)
    if root.tag != "score-partwise":
        raise DataError(f"MusicXML begins with score-partwise, not {root.tag[:40]}", where=name)
    repairs = Repairs()
    instruments = {part.get("id", ""): part for part in root.iterfind("part-list/score-part")}
    voices, tracks = [], []
    parts = root.findall("part")[:MOST_PARTS]
    for part in parts:
        reader = _Part(
            name, repairs, drum_numbers=_drum_numbers(instruments.get(part.get("id", "")))
        )
        for number, measure in enumerate(part.iterfind("measure"), 1):
            reader.read(measure, number)
        if reader.measures:
            voices.append(reader.measures)
            tracks.append(_track(instruments.get(part.get("id", "")), reader))
    if not any(measure.notes for voice in voices for measure in voice):
        raise DataError("the piece has no notes", where=name)
    _share_marks(voices)
    if len(set(tracks)) < len(tracks):  # equal parts stay apart, unlike voices of ABC
        tracks = [
            Track(track.program, track.drums, f"{track.name} {number}".strip())
            for number, track in enumerate(tracks, 1)
        ]
    title = root.findtext("work/work-title") or root.findtext("movement-title") or ""
    try:
        score = score_of_measures(
            voices, tracks, title=" ".join(title.split()), repeats=repeats, repairs=repairs
        )
    except DataError as problem:
        raise DataError(problem.what, where=problem.where or name) from None
    return [ReadScore(name, score, repairs.counts)]


def _unpack(data: bytes, name: str) -> bytes:
    """The document of a compressed file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [item for item in archive.namelist() if not item.startswith("META-INF/")]
            if "META-INF/container.xml" in archive.namelist():
                container = _parse(archive.read("META-INF/container.xml"), name)
                roots = [
                    item.get("full-path", "")
                    for item in container.iter()
                    if "full-path" in item.attrib
                ]
                names = [item for item in roots if item in names] + names
            chosen = next(item for item in names if item.lower().endswith((".xml", ".musicxml")))
            if archive.getinfo(chosen).file_size > MOST_BYTES:
                raise DataError(
                    f"MusicXML of more than {MOST_BYTES >> 20} MB is not read", where=name
                )
            return archive.read(chosen)
    except StopIteration:
        raise DataError("there is no MusicXML in this file", where=name) from None
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        KeyError,
    ):
        raise DataError("this compressed file is damaged", where=name) from None


class _Builder:
    """Elements without name spaces, not nested too deeply, and without entities."""

    deepest = 64

    def __init__(self) -> None:
        self.stack: list[Element] = []
        self.texts: list[list[str]] = []
        self.root: Element | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag.rpartition(" ")[2], attributes)
        if len(self.stack) > self.deepest:
            raise DataError(f"elements are nested more than {self.deepest} deep")
        if self.stack:
            self.stack[-1].append(element)
        else:
            self.root = element
        self.stack.append(element)
        self.texts.append([])

    def end(self, tag: str) -> None:
        self.stack.pop().text = "".join(self.texts.pop())

    def data(self, text: str) -> None:
        if self.texts:
            self.texts[-1].append(text)

    def refuse_entity(self, *declared: object) -> None:
        raise DataError("entities are declared in this XML, which MusicXML has none of")


def _parse(data: bytes, name: str) -> Element:
    builder = _Builder()
    parser = ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = builder.refuse_entity
    try:
        parser.Parse(data, True)
    except ExpatError as problem:
        raise DataError("this is not well-formed XML", where=f"{name}:{problem.lineno}") from None
    except DataError as problem:
        raise DataError(problem.what, where=name) from None
    except (ValueError, LookupError):
        raise DataError("the encoding of this XML is unknown", where=name) from None
    if builder.root is None:  # a document of comments alone
        raise DataError("there is no XML in this file", where=name)
    return builder.root


def _partwise(root: Element) -> Element:
    """A document ordered by measures as one ordered by parts."""
    found = Element("score-partwise")
    for child in root:
        if child.tag != "measure":
            found.append(child)
    parts: dict[str, Element] = {}
    for measure in root.iterfind("measure"):
        for part in measure.iterfind("part"):
            label = part.get("id", "")
            if label not in parts:
                parts[label] = Element("part", {"id": label})
                found.append(parts[label])
            inner = Element("measure", dict(measure.attrib))
            inner.extend(list(part))
            parts[label].append(inner)
    return found


def _track(described: Element | None, reader: _Part) -> Track:
    if described is None:
        return Track(drums=reader.drums)
    name = " ".join((described.findtext("part-name") or "").split())
    program = _integer(described.findtext("midi-instrument/midi-program"), 1)
    channel = _integer(described.findtext("midi-instrument/midi-channel"), 1)
    return Track(max(0, min(127, program - 1)), channel == 10 or reader.drums, name)


def _drum_numbers(described: Element | None) -> dict[str, int]:
    """MIDI numbers of the drums of a part, by the names of their instruments."""
    found = {}
    for instrument in described.iterfind("midi-instrument") if described is not None else ():
        number = _integer(instrument.findtext("midi-unpitched"), 0)
        if 0 < number <= 128:
            found[instrument.get("id", "")] = number - 1
    return found


def _share_marks(voices: list[list[Measure]]) -> None:
    """Give repeats that stand in any part to the first one."""
    for others in zip(*voices, strict=False):
        first = others[0]
        for other in others[1:]:
            first.opens = first.opens or other.opens
            first.closes = max(first.closes, other.closes)
            first.endings = first.endings or other.endings
            first.last = first.last or other.last
            first.tempos = first.tempos or other.tempos
            first.chords = first.chords or other.chords


@dataclass
class _Part:
    """Reader of the measures of one part."""

    name: str
    repairs: Repairs
    measures: list[Measure] = field(default_factory=list)
    divisions: float = 1.0
    metre: tuple[int, int] | None = (4, 4)
    key: tuple[int, bool] = (0, False)
    shift: int = 0
    drums: bool = False
    drum_numbers: dict[str, int] = field(default_factory=dict)
    velocity: int = 80
    at: int = 0
    last: int = 0  # start of the last note, for chords

    def read(self, element: Element, number: int) -> None:
        """Read a measure."""
        measure = Measure(number, metre=self.metre, key=self.key)
        self.at = self.last = 0
        for child in element:
            if child.tag == "note":
                self._note(child, measure)
            elif child.tag == "backup":
                self.at = max(0, self.at - self._time(child))
            elif child.tag == "forward":
                self.at += self._time(child)
            elif child.tag == "attributes":
                self._attributes(child, measure)
            elif child.tag == "barline":
                _barline(child, measure)
            elif child.tag == "harmony":
                symbol = _chord(child)
                if symbol:
                    offset = self._units(_number(child.findtext("offset"), 0.0))
                    measure.chords.append((max(0, self.at + offset), symbol))
            sounds = [child] if child.tag == "sound" else child.findall("sound")
            for sound in sounds if child.tag in ("sound", "direction") else ():
                tempo = _number(sound.get("tempo"), 0.0)
                if 1 <= tempo <= 2000:
                    measure.tempos.append((self.at, tempo))
                loudness = _number(sound.get("dynamics"), 0.0)
                if loudness > 0:  # a hundredth of the usual velocity of 90
                    self.velocity = max(1, min(127, round(loudness * 0.9)))
            measure.length = max(measure.length, self.at)
        if measure.length > 64 * UNIT * 4:
            raise DataError("a measure of more than 64 whole notes", where=f"{self.name}: {number}")
        self.measures.append(measure)

    def _attributes(self, element: Element, measure: Measure) -> None:
        divisions = _number(element.findtext("divisions"), 0.0)
        if 0 < divisions <= 1e6:
            self.divisions = divisions
        fifths = element.findtext("key/fifths")
        if fifths is not None:
            mode = (element.findtext("key/mode") or "").strip()
            self.key = max(-7, min(7, _integer(fifths, 0))), mode in ("minor", "aeolian")
            if self.at == 0:
                measure.key = self.key
            else:
                measure.keys.append((self.at, *self.key))
        time = element.find("time")
        if time is not None:
            beats = sum(_integer(part, 0) for part in (time.findtext("beats") or "").split("+"))
            unit = _integer(time.findtext("beat-type"), 0)
            known = 0 < beats < 256 and unit in (1, 2, 4, 8, 16, 32, 64)
            self.metre = (beats, unit) if known else None
            measure.metre = self.metre
        transpose = element.find("transpose")
        if transpose is not None:
            octaves = _integer(transpose.findtext("octave-change"), 0)
            self.shift = _integer(transpose.findtext("chromatic"), 0) + 12 * octaves
        if element.findtext("clef/sign") == "percussion":
            self.drums = True

    def _note(self, element: Element, measure: Measure) -> None:
        if element.find("grace") is not None:
            self.repairs.add("grace notes left out")
            return
        if element.find("cue") is not None:
            self.repairs.add("cue notes left out")
            self.at += self._time(element)
            return
        units = self._time(element)
        if element.find("chord") is None:
            self.last = self.at
            self.at += units
        pitch = self._pitch(element)
        if pitch is None:
            return
        if units == 0:
            self.repairs.add("notes without a duration left out")
            return
        ties = {tie.get("type") for tie in element.iterfind("tie")}
        measure.notes.append(WrittenNote(self.last, units, pitch, "start" in ties, self.velocity))

    def _pitch(self, element: Element) -> int | None:
        """MIDI pitch of a note; None for a rest."""
        found = element.find("pitch")
        prefix, shift = "", self.shift
        if found is None:
            found, prefix, shift = element.find("unpitched"), "display-", 0
            if found is None:
                return None
            instrument = element.find("instrument")
            name = instrument.get("id", "") if instrument is not None else ""
            if name in self.drum_numbers:
                return self.drum_numbers[name]
        step = (found.findtext(f"{prefix}step") or "").strip()
        if step not in _STEPS:
            self.repairs.add("notes without a pitch left out")
            return None
        alteration = round(_number(found.findtext("alter"), 0.0))
        octave = _integer(found.findtext(f"{prefix}octave"), 4)
        return max(0, min(127, 12 * (octave + 1) + _STEPS[step] + alteration + shift))

    def _time(self, element: Element) -> int:
        return self._units(max(0.0, _number(element.findtext("duration"), 0.0)))

    def _units(self, duration: float) -> int:
        return round(min(duration / self.divisions, 1e6) * UNIT)


def _barline(element: Element, measure: Measure) -> None:
    repeat = element.find("repeat")
    if repeat is not None:
        if repeat.get("direction") == "forward":
            measure.opens = True
        else:
            measure.closes = max(1, min(8, _integer(repeat.get("times"), 2) - 1))
    ending = element.find("ending")
    if ending is not None:
        if ending.get("type") == "start":
            numbers = (ending.get("number") or "").replace(" ", ",").split(",")
            measure.endings = frozenset(
                number for number in (_integer(part, 0) for part in numbers) if 0 < number < 64
            )
        else:
            measure.last = True
    if element.findtext("bar-style") in ("light-light", "light-heavy"):
        measure.last = True


def _chord(element: Element) -> str:
    """Name of a chord symbol."""
    root = (element.findtext("root/root-step") or "").strip()
    if root not in _STEPS:
        return ""
    kind = element.find("kind")
    quality = ""
    if kind is not None:
        written = kind.get("text")
        quality = written if written is not None else _KINDS.get((kind.text or "").strip(), "")
    name = root + _sign(element.findtext("root/root-alter")) + "".join(quality.split())
    bass = (element.findtext("bass/bass-step") or "").strip()
    if bass in _STEPS and "/" not in quality:
        name += f"/{bass}{_sign(element.findtext('bass/bass-alter'))}"
    return name


def _sign(text: str | None) -> str:
    return {1: "#", -1: "b"}.get(round(_number(text, 0.0)), "")


def _number(text: str | None, otherwise: float) -> float:
    try:
        found = float(text) if text else otherwise
    except ValueError:
        return otherwise
    return found if abs(found) < 1e9 else otherwise


def _integer(text: str | None, otherwise: int) -> int:
    return round(_number(text, float(otherwise)))
