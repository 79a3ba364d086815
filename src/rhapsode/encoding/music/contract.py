"""The contract of encoders of music: scores to ids and back."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    UNKNOWN_TEXT,
    Encoder,
    IncrementalDecoder,
    most_frequent,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.contract import Ids as AnyIds
from rhapsode.encoding.music.score import Notes, Score
from rhapsode.encoding.state_machine import Contexts, Grammar
from rhapsode.errors import BundleError, SettingsError

Ids = NDArray[np.uint16]
Table = NDArray[np.int64]

KEYS_APART = 6
"""Semitones up and down by which pieces are transposed to reach all keys."""
RESERVED = ("<end of sequence>", "<unknown element>")
LINE = "\n"
# White space of Unicode, written out: regular expressions differ in what `\s` is.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORDS = f"[^{_SPACE}]+"
_STEPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch: `C4` is 60."""
    return f"{_STEPS[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True)
class SnapReport:
    """Changes that an encoding makes to a score.

    Arguments:
        notes: number of notes that remain.
        moved: notes whose starts change.
        mean_shift, largest_shift: changes of starts, over all notes.
        unit: of these changes: quarters or seconds.
        lengths: notes whose lengths change.
        velocities: notes whose velocities change.
        dropped: numbers of things that the encoding does not keep, by name.
    """

    notes: int = 0
    moved: int = 0
    mean_shift: float = 0.0
    largest_shift: float = 0.0
    unit: str = "quarters"
    lengths: int = 0
    velocities: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        parts = [_counted(self.notes, "notes")]
        if self.moved:
            parts.append(
                f"{self.moved:,} moved by up to {self.largest_shift:.3g} {self.unit}, "
                f"{self.mean_shift:.2g} on average"
            )
        parts += [f"{_counted(self.lengths, 'lengths')} changed"] if self.lengths else []
        parts += [f"{_counted(self.velocities, 'velocities')} rounded"] if self.velocities else []
        dropped = [(count, name) for name, count in self.dropped.items() if count]
        parts += [f"{_counted(count, name)} dropped" for count, name in dropped]
        return ", ".join(parts)


def _counted(count: int, plural: str) -> str:
    """A number of things; one of "velocities" is a velocity."""
    if count == 1:
        plural = plural.removesuffix("s")
        plural = plural.removesuffix("ie") + "y" if plural.endswith("ie") else plural
    return f"{count:,} {plural}"


class MusicEncoder(Encoder):
    """Encoder of scores.

    Elements have names, and the text of a piece is its notation: names separated by spaces and
    line ends. The first elements of the vocabulary follow from the settings alone; names that
    texts bring along, such as chord symbols, come after them, the most frequent first.

    Arguments:
        vocabulary: the name of every id from 2 on, in order.
        settings: those of `learn`.

    Raises:
        BundleError: the vocabulary lacks elements of these settings.
    """

    round_trip = "the notation, with single spaces"
    unknown_prompt = "error"
    spaced = True
    documents = "music"
    parallel = "processes"
    line_feeds: ClassVar[bool] = False
    """True if a line feed is an element."""
    openings: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of elements that stand first in a line of the notation."""

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        known = from_mapping(self.Settings, settings, where="encoder", error=BundleError)
        fixed = self.fixed(known)
        if tuple(vocabulary[: len(fixed)]) != fixed or len(set(vocabulary)) != len(vocabulary):
            raise BundleError("the encoder's vocabulary does not fit its settings")
        word = re.compile(_WORDS)
        if not all(word.fullmatch(name) or name in fixed for name in vocabulary):
            raise BundleError("the encoder's vocabulary holds white space")
        super().__init__(vocabulary, asdict(known))
        self._known = known
        self._fixed = len(fixed)
        self._transpositions: dict[int, Table] = {}
        self._ids = {name: index for index, name in enumerate(self.vocabulary, 2)}

    @classmethod
    @abstractmethod
    def fixed(cls, settings: Any) -> tuple[str, ...]:
        """Names of elements that the settings decide, in order of id."""

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Self:
        known = from_mapping(cls.Settings, settings, where="[encoder]")
        word = re.compile(_WORDS)
        counts = Counter(name for text in texts for name in word.findall(without_surrogates(text)))
        return cls.of_names(counts, known)

    @classmethod
    def of_names(cls, counts: Mapping[str, int], settings: Any) -> Self:
        """The encoder of the fixed elements and of others by frequency.

        Arguments:
            counts: occurrences of names.
            settings: complete.
        """
        fixed = cls.fixed(settings)
        known = set(fixed)
        more = [name for name in most_frequent(counts) if name not in known]
        return cls((*fixed, *more), asdict(settings))

    @classmethod
    def for_scores(cls, scores: Iterable[Score], settings: Mapping[str, Any]) -> Self:
        """The encoder of these scores.

        Raises:
            SettingsError: a setting that this encoding lacks, or out of range.
        """
        return cls.learn((), settings)

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Self:
        try:
            return cls(vocabulary_of(text, reserved=RESERVED), settings)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None

    def to_tokenizer_json(self) -> str:
        ids = {name: index for index, name in enumerate((*RESERVED, *self.vocabulary))}
        tokenizer = Tokenizer(models.WordLevel(vocab=ids, unk_token=RESERVED[UNKNOWN_ID]))
        # What the pattern does not match is removed: inverted, the space between names.
        tokenizer.pre_tokenizer = pre_tokenizers.Split(
            Regex(self._pattern), behavior="removed", invert=True
        )
        tokenizer.decoder = decoders.WordPiece(prefix="", cleanup=False)
        return str(tokenizer.to_str())

    @property
    def _pattern(self) -> str:
        return f"{LINE}|{_WORDS}" if self.line_feeds else _WORDS

    def _names(self, text: str) -> list[str]:
        return re.findall(self._pattern, without_surrogates(text))

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        ids = [self._ids.get(name, UNKNOWN_ID) for name in self._names(text)]
        return np.array(ids, dtype=np.uint32)

    def unknown_pieces(self, text: str) -> list[str]:
        return [name for name in self._names(text) if name not in self._ids]

    def decoder(self) -> IncrementalDecoder:
        return _Lines(("", UNKNOWN_TEXT, *self.vocabulary), self.openings)

    @cached_property
    def pitch_V(self) -> Table:
        """MIDI pitch of each element, (V,); -1 without.

        Drums have none.
        """
        names = {pitch_name(pitch): pitch for pitch in range(128)}
        own = self.vocabulary[: self._fixed]
        found = [-1, -1, *(names.get(name, -1) for name in own)]
        return np.array(found + [-1] * (self.vocab_size - len(found)))

    @abstractmethod
    def fields(self) -> tuple[tuple[str, ...], Table]:
        """Names of kinds of elements, and the kind of each element, (V,).

        Losses are split by them. Kind 0 is `end`: end-of-sequence and all else.
        """

    @abstractmethod
    def elements(self, score: Score) -> Ids:
        """Ids of a score, (N,), without end-of-sequence."""

    @abstractmethod
    def score_of(self, ids: AnyIds) -> Score:
        """The score of any elements.

        Those without a meaning where they stand are passed over.
        """

    def outside(self, ids: AnyIds) -> int:
        """Number of notes that begin after their bar has ended.

        `score_of` drops them.
        """
        return 0

    @abstractmethod
    def snap(self, score: Score) -> tuple[Score, SnapReport]:
        """The score as `score_of(elements(score))` returns it, and what has changed."""

    def notation(self, score: Score) -> str:
        """The text of a score."""
        return self.decode(self.elements(score))

    def score(self, notation: str) -> Score:
        """The score of a text.

        Names that are no elements are passed over.
        """
        return self.score_of(self.encode(notation))

    def grammar(self) -> Grammar | None:
        """The elements that may follow others; None without restrictions."""
        return None

    def contexts(self) -> Contexts | None:
        """Small integers for counts, such as the position in the bar."""
        return None

    def marks(self) -> Table | None:
        """Marks of bars, places and heights, (V,); None without bars.

        -2 for elements that begin a bar, -1 for those of places in it, 2 ** 32 plus the MIDI
        pitch for pitches, 2 ** 32 + 128 plus semitones above C for roots of chords, 0 for others.
        """
        return None

    def transposition(self, semitones: int) -> Table:
        """The element that each becomes a number of semitones higher, (V,).

        -1 where a pitch leaves the range, or a key or chord has no element.
        """
        id_by_pitch = np.full(128 + 2 * 128, -1)
        for element in np.flatnonzero(self.pitch_V >= 0):
            id_by_pitch[128 + self.pitch_V[element]] = element
        shift = max(-128, min(128, semitones))
        moved_V = id_by_pitch[128 + self.pitch_V + shift]
        return np.where(self.pitch_V >= 0, moved_V, np.arange(self.vocab_size))

    def transposed(self, ids: AnyIds, semitones: int) -> Ids | None:
        """The elements of a piece a number of semitones higher.

        None where a pitch would leave the range, or a key or chord would have no element.
        """
        if semitones not in self._transpositions:
            self._transpositions[semitones] = self.transposition(semitones)
        moved_N = self._transpositions[semitones][np.asarray(ids, dtype=np.int64)]
        return None if (moved_N < 0).any() else moved_N.astype(np.uint16)


class _Lines(IncrementalDecoder):
    """One space between names, none beside line ends, a line end before some names."""

    def __init__(self, texts: Sequence[str], openings: tuple[str, ...]) -> None:
        self._texts = texts
        self._openings = openings
        self._before = LINE

    def feed(self, ids: AnyIds) -> str:
        parts: list[str] = []
        for element in ids:
            text = self._texts[element]
            if not text:
                continue
            if LINE not in (text, self._before):
                parts.append(LINE if self._openings and text.startswith(self._openings) else " ")
            parts.append(text)
            self._before = text
        return "".join(parts)

    def finish(self) -> str:
        return ""


def pitch_range(scores: Iterable[Score]) -> tuple[int, int]:
    """Lowest and highest pitch of scores in all keys, without drums."""
    low, high = 60, 60
    for score in scores:
        pitch_N = score.notes.pitch_N[sounding(score.notes, score)]
        if len(pitch_N):
            low, high = min(low, int(pitch_N.min())), max(high, int(pitch_N.max()))
    return max(0, low - KEYS_APART), min(127, high + KEYS_APART)


def dropped_of(score: Score, *kinds: str) -> dict[str, int]:
    """Numbers of things in a score, by the names of its fields."""
    return {kind: len(getattr(score, kind)) for kind in kinds}


def shifts(before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Any]:
    """Numbers for a report: how many values change, by how much.

    Arguments:
        before: starts of notes.
        after: starts of the same notes.
    """
    shift_N = np.abs(after - before)
    if not len(shift_N):
        return {}
    moved_N = shift_N > 1e-9
    return {
        "moved": int(moved_N.sum()),
        "mean_shift": float(shift_N.mean()),
        "largest_shift": float(shift_N.max()),
    }


def rounded(ticks: NDArray[np.int64], steps: int, per: int) -> NDArray[np.int64]:
    """Ticks as the nearest steps; halves go up.

    Arguments:
        ticks: from 0.
        steps: steps a quarter.
        per: ticks a quarter.
    """
    return (2 * ticks * steps + per) // (2 * per)


def sounding(notes: Notes, score: Score) -> NDArray[np.bool_]:
    """True for each note that is not a drum's, (N,)."""
    drums_K = np.array([track.drums for track in score.tracks], dtype=np.bool_)
    return ~drums_K[notes.track_N] if len(notes) else np.zeros(0, np.bool_)
