"""Counts of characters, lines and elements of texts.

Texts are read piece by piece.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.document import Document

_CODE_POINTS = 0x110000
_BATCH = 1 << 20
_BINS = 48
_CURVE = 240
# Two figures of the edges of bins in a decade; the first whose bins are few enough is used.
_SERIES = ((10, 12, 16, 20, 25, 32, 40, 50, 63, 80), (10, 20, 50), (10,))
_KINDS = {
    "L": "letters",
    "M": "marks",
    "N": "digits",
    "P": "punctuation",
    "S": "symbols",
    "Z": "spaces",
    "C": "invisible",
}
# First words of Unicode names that are no script's name.
_SCRIPTS = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "KANGXI": "Han",
    "FEMININE": "Latin",
    "MASCULINE": "Latin",
    "KELVIN": "Latin",
    "ANGSTROM": "Latin",
    "SUPERSCRIPT": "Latin",
    "MICRO": "Greek",
    "OHM": "Greek",
    "MATHEMATICAL": "letterlike signs",
    "DOUBLE-STRUCK": "letterlike signs",
    "BLACK-LETTER": "letterlike signs",
    "SCRIPT": "letterlike signs",
    "MODIFIER": "modifier letters",
    "KATAKANA-HIRAGANA": "Katakana",
    "INFORMATION": "letterlike signs",
}
_FORMS = {"FULLWIDTH", "HALFWIDTH", "OLD", "NEW", "SQUARED", "PARENTHESIZED", "TURNED"}
_UNNAMED = {
    "Cc": "control character",
    "Co": "private use",
    "Cn": "unassigned",
    "Cs": "half of a surrogate pair",
}


class TextCounts:
    """Counts of the characters and lines of documents.

    Text is counted in batches of about a million characters.
    """

    def __init__(self) -> None:
        self.counts_C = np.zeros(_CODE_POINTS, dtype=np.int64)
        """The count of each code point."""
        self.lines: Counter[int] = Counter()
        """The number of lines of each length above 0, in characters."""
        self.crlf = 0
        """Carriage returns that are followed by a line feed."""
        self._waiting: list[str] = []
        self._size = 0
        self._ends = 0
        self._open = 0

    def watch(self, pieces: Iterator[Document]) -> None:
        """Count pieces of documents, in order, to their end."""
        for piece in pieces:
            self._waiting.append(piece.text)
            self._size += len(piece.text)
            if "\r" in piece.text:
                self.crlf += piece.text.count("\r\n")
            if piece.complete:
                # The end of a document ends its last line; what is added here is taken off again.
                self._waiting.append("\n")
                self._ends += 1
            if self._size >= _BATCH:
                self._flush()
        self._flush()

    def _flush(self) -> None:
        raw = "".join(self._waiting).encode("utf-32-le", "surrogatepass")
        self._waiting.clear()
        self._size = 0
        codes_N = np.frombuffer(raw, dtype=np.uint32)
        if not len(codes_N):
            return
        self.counts_C += np.bincount(codes_N, minlength=_CODE_POINTS)
        self.counts_C[0x0A] -= self._ends
        self._ends = 0
        feeds_L = np.flatnonzero(codes_N == 0x0A)
        if not len(feeds_L):
            self._open += len(codes_N)
            return
        lengths_L = np.diff(feeds_L, prepend=-1) - 1
        lengths_L[0] += self._open
        self._open = len(codes_N) - int(feeds_L[-1]) - 1
        for length, count in zip(*np.unique(lengths_L, return_counts=True), strict=True):
            if length:
                self.lines[int(length)] += int(count)

    def characters(self) -> dict[str, Any]:
        """Counts of characters by kind and script.

        Returns:
            `distinct`, `kinds` (counts by kind), `scripts` (letters by script, most first),
            `line_ends` and `odd`: invisible characters and those that replace lost ones, most
            first.
        """
        kinds: Counter[str] = Counter()
        scripts: Counter[str] = Counter()
        odd: Counter[str] = Counter()
        codes = np.flatnonzero(self.counts_C).tolist()
        for code in codes:
            character, count = chr(code), int(self.counts_C[code])
            category = unicodedata.category(character)
            kinds["spaces" if character in "\t\n\r" else _KINDS[category[0]]] += count
            if category[0] == "L":
                scripts[script_of(character)] += count
            if _is_odd(character, category):
                odd[character] += count
        feeds, returns = int(self.counts_C[0x0A]), int(self.counts_C[0x0D])
        return {
            "distinct": len(codes),
            "kinds": dict(kinds.most_common()),
            "scripts": dict(scripts.most_common()),
            "line_ends": {"lf": feeds - self.crlf, "crlf": self.crlf, "cr": returns - self.crlf},
            "odd": [
                {"code": f"U+{ord(character):04X}", "name": _name(character), "count": count}
                for character, count in odd.most_common(12)
            ],
        }


def _is_odd(character: str, category: str) -> bool:
    is_space = character in "\t\n\r \u3000"
    return not is_space and (category[0] in "CZ" or character == "\N{REPLACEMENT CHARACTER}")


def _name(character: str) -> str:
    unnamed = _UNNAMED.get(unicodedata.category(character), "unnamed")
    return unicodedata.name(character, unnamed).lower()


def script_of(letter: str) -> str:
    """Script of a letter by its Unicode name, as Latin or Han."""
    words = unicodedata.name(letter, "OTHER").split()
    if words[0] in _FORMS and len(words) > 1:
        if words[0] in ("OLD", "NEW"):
            return " ".join(words[:2]).title()
        words = words[1:]
    return _SCRIPTS.get(words[0], words[0].capitalize())


def lengths_summary(lengths: NDArray[np.int64] | Counter[int]) -> dict[str, Any] | None:
    """Order statistics and a histogram of lengths; None without lengths.

    A quantile is the least length that at least that fraction of the lengths do not exceed.

    Arguments:
        lengths: the lengths, or how often each occurs.

    Returns:
        `count`, `mean`, `min`, `quartile_1`, `median`, `quartile_3`, `percentile_95`, `max`, and
        `histogram` with `scale` (linear or log), `edges` and `counts`; a bin holds its lower edge
        and not its upper one.
    """
    if isinstance(lengths, Counter):
        values_L = np.array(sorted(lengths), dtype=np.int64)
        counts_L = np.array([lengths[value] for value in values_L.tolist()], dtype=np.int64)
    else:
        values_L, counts_L = np.unique(lengths, return_counts=True)
    if not len(values_L):
        return None
    below_L = np.cumsum(counts_L)
    total = int(below_L[-1])

    def quantile(share: float) -> int:
        return int(values_L[np.searchsorted(below_L, math.ceil(share * total))])

    low, high = int(values_L[0]), int(values_L[-1])
    # On a log scale where the usual lengths already differ by much.
    wide = quantile(0.95) > 8 * max(1, quantile(0.05)) or high > 8 * max(1, quantile(0.5))
    edges = _log_edges(low, high) if wide else _edges(low, high)
    counts_H, _ = np.histogram(values_L, bins=np.array(edges, dtype=np.float64), weights=counts_L)
    return {
        "count": total,
        "mean": round(float((values_L * counts_L).sum()) / total, 2),
        "min": low,
        "quartile_1": quantile(0.25),
        "median": quantile(0.5),
        "quartile_3": quantile(0.75),
        "percentile_95": quantile(0.95),
        "max": high,
        "histogram": {
            "scale": "log" if wide else "linear",
            "edges": edges,
            "counts": [int(count) for count in counts_H],
        },
    }


def _edges(low: int, high: int) -> list[int]:
    """Even edges on round numbers, the last above `high`."""
    step = next(
        step
        for exponent in range(20)
        for step in (10**exponent, 2 * 10**exponent, 5 * 10**exponent)
        if high // step - low // step < _BINS
    )
    return list(range(low // step * step, high + step + 1, step))[: high // step - low // step + 2]


def _log_edges(low: int, high: int) -> list[int]:
    """Whole-number edges that grow by about the same factor.

    The last one is above `high`.
    """
    for series in _SERIES:
        edges = sorted(
            {
                round(number * 10.0 ** (exponent - 1))
                for exponent in range(len(str(high)) + 1)
                for number in series
            }
        )
        below = max(edge for edge in edges if edge <= max(1, low))
        above = min(edge for edge in edges if edge > high)
        edges = [edge for edge in edges if below <= edge <= above]
        if len(edges) <= _BINS + 1:
            break
    return [min(low, edges[0]), *edges[1:]]


def coverage(counts_V: NDArray[np.int64], shares: Sequence[float]) -> list[int | None]:
    """Number of most frequent elements that cover each fraction of a text.

    Arguments:
        counts_V: the count of each element, the unknown one first.
        shares: fractions from 0 to 1.

    Returns:
        A number for each fraction; None if all elements together cover less.
    """
    total = int(counts_V.sum())
    known_V = np.sort(counts_V[1:])[::-1]
    sums_V = np.cumsum(known_V)
    # The rounding guards against 0.95 * 20 = 19.000000000000004.
    wanted = [math.ceil(round(share * total, 6)) for share in shares]
    places = (np.searchsorted(sums_V, wanted) + 1).tolist()
    return [place if total and place <= len(known_V) else None for place in places]


def frequency_curve(counts_V: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Counts and coverage of elements by frequency rank.

    Ranks are about evenly spaced on a log scale; `covered` is the fraction covered so far.

    Arguments:
        counts_V: how often each element occurs, the unknown one first.
    """
    total = max(1, int(counts_V.sum()))
    known_V = np.sort(counts_V[1:][counts_V[1:] > 0])[::-1]
    if not len(known_V):
        return {"rank": [], "count": [], "covered": []}
    ranks_R = np.unique(np.round(np.geomspace(1, len(known_V), _CURVE)).astype(np.int64))
    covered_R = np.cumsum(known_V)[ranks_R - 1] / total
    return {
        "rank": ranks_R.tolist(),
        "count": known_V[ranks_R - 1].tolist(),
        "covered": np.round(covered_R, 6).tolist(),
    }


def zipf_exponent(counts_V: NDArray[np.int64]) -> float | None:
    """The s of count ~ rank^-s, by least squares on both logarithms.

    Every stretch of log rank has the same weight.

    Elements seen once are left out, as their ranks are arbitrary. None for fewer than ten others.

    Arguments:
        counts_V: how often each element occurs, the unknown one first.
    """
    often_V = counts_V[1:][counts_V[1:] > 1]
    if len(often_V) < 10:
        return None
    curve = frequency_curve(np.concatenate((counts_V[:1], often_V)))
    ranks_R = np.log(curve["rank"])
    weights_R = np.sqrt(np.gradient(ranks_R))
    slope = np.polyfit(ranks_R, np.log(curve["count"]), 1, w=weights_R)[0]
    return round(-float(slope), 3)
