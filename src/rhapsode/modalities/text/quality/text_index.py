"""Character index of a corpus: positions of text by document and line."""

from __future__ import annotations

import json
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts import suffix_file
from rhapsode.counts.suffix import SuffixIndex

# Above it no index is built: it would take a gigabyte of memory, and as much of the disk.
MOST_CHARACTERS = 64_000_000
_KIND = "rhapsode.text_index"
_SEPARATOR = 0
_CODES = 0x110000
_AROUND = 40
_UTF32 = "utf-32-le"


class Passage(NamedTuple):
    """A text of the corpus, or a part of one.

    Arguments:
        name: of the document it belongs to.
        text: its characters.
        opening: False if it continues the previous passage.
        offset: where in the document it begins, characters; ignored if it continues a passage.
        line: in which line of the document it begins, from 1; likewise.
    """

    name: str
    text: str
    opening: bool = True
    offset: int = 0
    line: int = 1


@dataclass(frozen=True)
class Place:
    """A place in the corpus.

    Arguments:
        document: its name.
        offset: characters of the document before it.
        line: its line, from 1; lines end with a line feed.
        before: the text before it, at most 40 characters of the same passage.
        after: the text after it, likewise.
    """

    document: str
    offset: int
    line: int
    before: str
    after: str


@dataclass(frozen=True)
class Copied:
    """A stretch of a query that occurs in the corpus.

    Arguments:
        text: the stretch.
        start: where it begins in the query, characters.
        count: how often it occurs in the corpus.
        place: where it occurs first.
    """

    text: str
    start: int
    count: int
    place: Place

    def to_mapping(self) -> dict[str, Any]:
        return {
            "length": len(self.text),
            "text": self.text,
            "start": self.start,
            "count": self.count,
            "document": self.place.document,
            "offset": self.place.offset,
            "line": self.place.line,
            "before": self.place.before,
            "after": self.place.after,
        }


@dataclass(frozen=True, eq=False)
class TextIndex:
    """The characters of a corpus with their suffixes in order.

    Create it by `build` or `load`. It takes 13 bytes per character for up to 255 different
    characters, 14 for up to 65,535, 16 above. No stretch that it finds goes from one document into
    the next.

    Arguments:
        suffixes: over the numbers of characters; 0 follows every passage.
        characters_V: the code point of each number, from 1 on, uint32.
        starts_P: where each passage begins in the sequence, int64.
        offsets_P: where it begins in its document, characters, int64.
        lines_P: in which line of its document it begins, int64.
        names: of the document of each passage.
    """

    suffixes: SuffixIndex
    characters_V: NDArray[np.uint32]
    starts_P: NDArray[np.int64]
    offsets_P: NDArray[np.int64]
    lines_P: NDArray[np.int64]
    names: list[str]

    @classmethod
    def build(
        cls,
        passages: Iterable[Passage | tuple[str, str]],
        *,
        most_characters: int = MOST_CHARACTERS,
    ) -> TextIndex | str:
        """Index a corpus.

        Arguments:
            passages: in order; a pair of name and text is a whole document.
            most_characters: how many are indexed at most.

        Returns:
            the index; or, if there is too much text or none, the reason why there is no index, in
            words to print after "null, because".
        """
        codes: list[NDArray[np.uint32]] = []
        end_1 = np.array([_CODES], dtype=np.uint32)
        names: list[str] = []
        starts, offsets, lines = array("q"), array("q"), array("q")
        size = total = 0
        for passage in passages:
            name, text, opening, offset, line = Passage(*passage)
            total += len(text)
            if total > most_characters:
                return (
                    f"the text has more than {most_characters:,} characters, the most that are "
                    "indexed"
                )
            if opening or not names:
                if codes:
                    codes.append(end_1)
                    size += 1
                names.append(name)
                starts.append(size)
                offsets.append(offset)
                lines.append(line)
            codes.append(_code_points(text))
            size += len(text)
        if not total:
            return "there is no text to index"
        codes.append(end_1)
        present_U = np.zeros(_CODES + 1, dtype=bool)
        for piece_N in codes:
            present_U[piece_N] = True
        present_U[_CODES] = False
        characters_V = np.flatnonzero(present_U).astype(np.uint32)
        numbers_U = _numbers(characters_V)
        elements_N = np.empty(size + 1, dtype=numbers_U.dtype)
        at = 0
        for i, piece_N in enumerate(codes):
            elements_N[at : at + len(piece_N)] = numbers_U[piece_N]
            at += len(piece_N)
            codes[i] = end_1  # what has been copied is given back
        suffixes = SuffixIndex.build(elements_N, separator=_SEPARATOR)
        starts_P, offsets_P, lines_P = (
            np.array(values, dtype=np.int64) for values in (starts, offsets, lines)
        )
        return cls(suffixes, characters_V, starts_P, offsets_P, lines_P, names)

    def __len__(self) -> int:
        """Characters, passage ends not counted."""
        return len(self.suffixes) - len(self.names)

    @cached_property
    def _ends(self) -> list[int]:
        return [start - 1 for start in (*self.starts_P[1:].tolist(), len(self.suffixes))]

    @cached_property
    def _numbers_U(self) -> NDArray[np.unsignedinteger]:
        return _numbers(self.characters_V)

    def _query(self, text: str) -> NDArray[np.int64]:
        """The numbers of characters; the separator, which matches nothing, for unknown ones."""
        return self._numbers_U[_code_points(text)].astype(np.int64)

    def text(self, start: int, end: int) -> str:
        """The text at positions of the sequence, without passage ends."""
        numbers_M = np.asarray(self.suffixes.elements_N[max(start, 0) : max(end, 0)])
        codes_M = self.characters_V[numbers_M[numbers_M != _SEPARATOR].astype(np.int64) - 1]
        return str(codes_M.astype("<u4").tobytes(), _UTF32, "surrogatepass")

    def passages(self) -> Iterator[str]:
        """The passages in order, continued ones joined."""
        for start, end in zip(self.starts_P.tolist(), self._ends, strict=True):
            yield self.text(start, end)

    def place(self, at: int, length: int = 0) -> Place:
        """The place at a position of the sequence.

        Arguments:
            at: the position, as in `suffixes`.
            length: characters of the stretch; `after` is the text that follows it.
        """
        passage = int(np.searchsorted(self.starts_P, at, side="right")) - 1
        begin, end = int(self.starts_P[passage]), self._ends[passage]
        # Without any line feed, its number is that of the separator, which is in no passage.
        line_ends = self.suffixes.elements_N[begin:at] == self._numbers_U[ord("\n")]
        after = at + length
        return Place(
            self.names[passage],
            int(self.offsets_P[passage]) + at - begin,
            int(self.lines_P[passage]) + int(np.count_nonzero(line_ends)),
            self.text(max(begin, at - _AROUND), at),
            self.text(after, min(end, after + _AROUND)),
        )

    def match_lengths(self, text: str) -> NDArray[np.int32]:
        """Length of the longest copy from each character of a text, (M,)."""
        return self.suffixes.matches(self._query(text))[0]

    def longest_copy(self, text: str) -> Copied | None:
        """The longest stretch of a text in the corpus; None without any."""
        span = self.suffixes.longest(self._query(text))
        if span is None:
            return None
        copied = text[span.start : span.start + span.length]
        return Copied(copied, span.start, span.count, self.place(span.place, span.length))

    def copies(self, text: str, least: int) -> list[Copied]:
        """Stretches of a text that occur in the corpus, without overlap.

        Arguments:
            text: the text.
            least: characters of the shortest stretch to report.
        """
        query_M = self._query(text)
        lengths_M = self.suffixes.matches(query_M)[0]
        copies, start = [], 0
        while start < len(text):
            length = int(lengths_M[start])
            if length < least:
                start += 1
                continue
            low, high = self.suffixes.interval(query_M[start : start + length])
            place = self.place(int(self.suffixes.order_N[low:high].min()), length)
            copies.append(Copied(text[start : start + length], start, high - low, place))
            start += length
        return copies

    def has_word(self, word: str) -> bool:
        """True if a text occurs as a whole word.

        No letter, digit or underscore may be next to it.
        """
        return self.suffixes.stands_alone(self._query(word), self._inside_V)

    @cached_property
    def _inside_V(self) -> NDArray[np.bool_]:
        """Mask of the characters of words: letters, digits, marks, underscore."""
        characters = map(chr, self.characters_V.tolist())
        inside = (c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M" for c in characters)
        return np.array([False, *inside])

    def save(self, path: Path) -> None:
        """Write the index into one safetensors file, whole or not at all.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        names = json.dumps(self.names).encode("ascii")
        arrays = {
            **self.suffixes.to_arrays(),
            "characters": self.characters_V,
            "starts": self.starts_P,
            "offsets": self.offsets_P,
            "lines": self.lines_P,
            "names": np.frombuffer(names, dtype=np.uint8),
        }
        suffix_file.write_index(path, _KIND, arrays, {})

    @classmethod
    def load(cls, path: Path) -> TextIndex:
        """The index in a file, mapped.

        Raises:
            BundleError: missing, torn, altered, or no index of text.
        """
        arrays, _ = suffix_file.read_index(path, _KIND)
        suffixes = SuffixIndex.from_arrays(arrays, _SEPARATOR, path)
        try:
            names = json.loads(arrays["names"].tobytes())
            characters_V = arrays["characters"]
            starts_P, offsets_P, lines_P = (arrays[name] for name in ("starts", "offsets", "lines"))
        except (KeyError, ValueError, RecursionError):
            raise suffix_file.damaged("no names, characters or places", path) from None
        whole = (
            isinstance(names, list)
            and bool(names)
            and all(isinstance(name, str) for name in names)
            and characters_V.dtype == np.uint32
            and all(
                array.dtype == np.int64 and array.shape == (len(names),)
                for array in (starts_P, offsets_P, lines_P)
            )
        )
        if not whole or not _fits(suffixes, characters_V, starts_P):
            raise suffix_file.damaged("names, characters or places that do not fit", path)
        return cls(suffixes, characters_V, starts_P, offsets_P, lines_P, names)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode(_UTF32, "surrogatepass"), dtype="<u4")


def _numbers(characters_V: NDArray[np.uint32]) -> NDArray[np.unsignedinteger]:
    """The number of every code point, 0 for those without one; (1114113,)."""
    known = len(characters_V)
    dtype: np.dtype[np.unsignedinteger] = np.dtype(
        np.uint8 if known < 1 << 8 else np.uint16 if known < 1 << 16 else np.uint32
    )
    numbers_U = np.zeros(_CODES + 1, dtype=dtype)
    numbers_U[characters_V] = np.arange(1, known + 1)
    return numbers_U


def _fits(
    suffixes: SuffixIndex, characters_V: NDArray[np.uint32], starts_P: NDArray[np.int64]
) -> bool:
    """True if numbers have characters and passages lie inside the sequence."""
    return bool(
        len(suffixes)
        and len(characters_V)
        and characters_V.max() < _CODES
        and (np.diff(characters_V.astype(np.int64)) > 0).all()
        and suffixes.elements_N.max() <= len(characters_V)
        and starts_P[0] == 0
        and (np.diff(starts_P) > 0).all()
        and starts_P[-1] < len(suffixes)
    )
