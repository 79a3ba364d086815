"""Music as notes in bars: the default encoding."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from rhapsode.config import from_mapping
from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.contract import (
    Ids,
    MusicEncoder,
    SnapReport,
    Table,
    pitch_range,
    shifts,
)
from rhapsode.encoding.music.notes.note_elements import (
    KIND_NAMES,
    VELOCITY_WIDTH,
    Kind,
    NoteElements,
    NoteSettings,
    bar_name,
    chord_name,
    fixed_names,
)
from rhapsode.encoding.music.notes.note_grammar import note_tables
from rhapsode.encoding.music.notes.note_reading import notes_outside, read_notes, velocity_of
from rhapsode.encoding.music.notes.note_writing import placed, written
from rhapsode.encoding.music.score import Score
from rhapsode.encoding.music.transposition import (
    chord_root,
    key_name,
    keys_by_name,
    transposed_chord,
    transposed_key,
)
from rhapsode.encoding.state_machine import Contexts, FiniteContexts, FiniteGrammar, Grammar

_MOST_CHORDS = 100
# Heights begin here, see `MusicEncoder.marks`; those of roots of chords follow those of pitches.
_HEIGHT = 1 << 32


class NoteEncoder(MusicEncoder):
    """Encoder of notes in bars.

    A line of the notation is a bar:

        bar:6/8 at:0 G4 len:24 at:24 B4 len:12 D4 len:12

    A piece begins with its instruments. A bar tells its metre, then its key and tempo where they
    change. `short` makes it an incomplete bar: `short at:48` begins it at a position, as an upbeat;
    `at:48 short` ends it there. Positions and lengths are parts of a quarter. At a position come a
    chord symbol, and notes by track and descending pitch, drums last. The track is the first one
    unless told. A drum has no length.
    """

    Settings = NoteSettings
    name = "notes.v1"
    openings = ("bar:",)
    _known: NoteSettings

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        self._elements = NoteElements(self.vocabulary, self._known.limits)

    @classmethod
    def fixed(cls, settings: NoteSettings) -> tuple[str, ...]:
        return fixed_names(settings.limits)

    @classmethod
    def for_scores(cls, scores: Iterable[Score], settings: Mapping[str, Any]) -> Self:
        known = from_mapping(NoteSettings, settings, where="[encoder]")
        scores = list(scores)
        whole = _settled(known, scores)
        counts = Counter(name for score in scores for name in _names(score, whole))
        return cls.of_names(counts + _kindred(counts), whole)

    def fields(self) -> tuple[tuple[str, ...], Table]:
        names = tuple(dict.fromkeys(KIND_NAMES))
        kinds = np.array([names.index(name) for name in KIND_NAMES])
        return names, kinds[self._elements.kind_V]

    def elements(self, score: Score) -> Ids:
        return written(placed(score, self._elements), self._elements)

    def score_of(self, ids: AnyIds) -> Score:
        return read_notes(np.asarray(ids, dtype=np.int64), self._elements)

    def outside(self, ids: AnyIds) -> int:
        return notes_outside(np.asarray(ids, dtype=np.int64), self._elements)

    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        piece = placed(score, self._elements)
        snapped = self.score_of(written(piece, self._elements))
        notes, bars, grid = piece.score.notes.select(piece.index_N), piece.bars, self._known.grid
        # A bar may have another length than before: positions are compared within it.
        bar_N = np.searchsorted(bars.tick_K, notes.start_N, "right") - 1
        before_N = (notes.start_N - bars.tick_K[bar_N]) / bars.ticks
        after_N = (piece.start_N - bars.begin_K[bar_N]) / grid
        limits = self._known.limits
        loud_N = velocity_of(piece.level_N) if limits.velocities else limits.velocity
        report = SnapReport(
            notes=len(snapped.notes),
            lengths=int((piece.length_N * bars.ticks != notes.length_N * grid).sum()),
            velocities=int((notes.velocity_N.astype(np.int64) != loud_N).sum()),
            dropped={
                "notes": len(score.notes) - len(notes),
                "tempos": max(0, len(score.tempos) - len(snapped.tempos)),
                "keys": max(0, len(score.keys) - len(snapped.keys)),
                "chords": max(0, len(score.chords) - len(snapped.chords)),
                "pedals": len(score.pedals),
            },
            **shifts(before_N, after_N),
        )
        return snapped, report

    @cached_property
    def _tables(self) -> tuple[GrammarTable, ContextsTable]:
        return note_tables(self._elements)

    def grammar(self) -> Grammar:
        """Tracks ascend, their pitches descend, and positions ascend within a bar."""
        return FiniteGrammar(self._tables[0])

    def contexts(self) -> Contexts:
        """Kind of the last element, position in the bar, and track."""
        return FiniteContexts(self._tables[1])

    def marks(self) -> Table:
        kind_V = self._elements.kind_V
        marks_V = np.where(kind_V == Kind.BAR, -2, np.where(kind_V == Kind.AT, -1, 0))
        marks_V = np.where(self.pitch_V >= 0, _HEIGHT + self.pitch_V, marks_V)
        for element in self._elements.of_kind(Kind.CHORD):
            root = chord_root(self._elements.names[element].removeprefix("chord:"))
            if root is not None:
                marks_V[element] = _HEIGHT + 128 + root
        return marks_V

    def transposition(self, semitones: int) -> Table:
        moved_V = super().transposition(semitones)
        elements = self._elements
        for element in elements.of_kind(Kind.KEY):
            fifths, minor = keys_by_name()[elements.names[element].removeprefix("key:")]
            name = key_name(transposed_key(fifths, semitones), minor)
            moved_V[element] = elements.by_name.get(f"key:{name}", -1)
        for element in elements.of_kind(Kind.CHORD):
            chord = transposed_chord(elements.names[element].removeprefix("chord:"), semitones)
            moved_V[element] = elements.by_name.get(f"chord:{chord}", -1)
        return moved_V


def _settled(known: NoteSettings, scores: Sequence[Score]) -> NoteSettings:
    """The settings with those that are null decided by scores."""
    bars, tempos, tracks = {4.0}, {120.0}, {1}
    low, high = pitch_range(scores)
    loud: Counter[int] = Counter()
    drums = False
    for score in scores:
        kit_K = np.array([track.drums for track in score.tracks], dtype=np.bool_)
        tracks.add(int((~kit_K).sum()))
        bars.update(4 * metre.beats / metre.unit for metre in score.metres)
        tempos.update(tempo.quarters for tempo in score.tempos)
        loud.update(score.notes.velocity_N.tolist())
        if len(score.notes):
            drums = drums or bool(kit_K[score.notes.track_N].any())
    found: dict[str, Any] = {
        "lowest": low,
        "highest": high,
        "tracks": min(16, max(tracks)),
        "longest_bar": max(1, *(math.ceil(bar) for bar in bars if bar <= 8)),
        "drums": drums,
        "velocities": len({(velocity - 1) // VELOCITY_WIDTH for velocity in loud}) > 1,
        "velocity": loud.most_common(1)[0][0] if loud else 80,
        "slowest": min(400, max(20, math.floor(min(tempos)))),
        "fastest": max(20, min(400, math.ceil(max(tempos)))),
    }
    missing = {name: value for name, value in found.items() if getattr(known, name) is None}
    return replace(known, **missing)


def _names(score: Score, settings: NoteSettings) -> Iterator[str]:
    """Names of a score's elements that may be no fixed ones."""
    limits = settings.limits
    for metre in score.metres:
        if limits.bar_length(metre) and metre.unit <= 32:
            yield bar_name(metre)
    for track in score.tracks:
        if not track.drums:
            yield f"inst:{track.program}"
    if settings.keys:
        for key in score.keys:
            yield f"key:{key_name(key.fifths, key.minor)}"
    if settings.chords:
        for chord in score.chords:
            if chord.name.strip():
                yield chord_name(chord.name)


def _kindred(counts: Counter[str]) -> Counter[str]:
    """Keys and chords in other keys."""
    more: Counter[str] = Counter()
    keys = keys_by_name()
    chords = Counter({name: n for name, n in counts.items() if name.startswith("chord:")})
    for name, _ in chords.most_common(_MOST_CHORDS):
        chord = name.removeprefix("chord:")
        more.update(f"chord:{transposed_chord(chord, semitones)}" for semitones in range(12))
    for name in counts:
        if name.startswith("key:"):
            fifths, minor = keys[name.removeprefix("key:")]
            more.update(
                f"key:{key_name(transposed_key(fifths, semitones), minor)}"
                for semitones in range(12)
            )
    return more
