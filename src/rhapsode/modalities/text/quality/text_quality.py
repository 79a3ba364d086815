"""Quality measures of texts: loops, repetition, self-BLEU, invented words, copying.

All measures apply to generated and real text alike. Most depend on the length and number of the
texts: compare only equal lengths and numbers. No measure needs a model.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError
from rhapsode.modalities.text.quality.text_index import TextIndex

Unit = Literal["word", "character"]
ORDERS = (1, 2, 3, 4)
LOOP_REPEATS = 3
LOOP_CHARACTERS = 24
SELF_BLEU_TEXTS = 200
EXAMPLES = 10
_SMOOTH = 0.1
_SAMPLE = 100_000
# Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Lengths at which novelty is told, characters.
LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
# Characters from which on a copied span counts as one.
SPAN = 50


def measure_writing(
    texts: Iterable[str],
    index: TextIndex | str,
    *,
    length: int,
    number: int | None = None,
    unit: Unit | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure generated or real texts; plain values.

    Arguments:
        texts: generated or real texts, without prompts.
        index: of the training text, or the reason why there is none.
        length: characters that each text is cut to; shorter ones are left out.
        number: how many are measured, the first ones that are long enough. [default: all]
        unit: of n-grams. [default: suits the training text, or the texts without an index]
        seed: of the choice of texts for self-BLEU.

    Returns:
        texts, length: how many were measured, and the characters that each was cut to.
        left_out: how many were shorter, and are not measured.
        unit: of n-grams: words and punctuation marks, or characters without spaces.
        distinct_n: different n-grams / all n-grams, over all texts, 0 to 1.
        rep_n: 1 - different n-grams / all n-grams of one text, the mean over the texts, 0 to 1.
        self_bleu, self_bleu_texts: likeness of the texts: the mean BLEU-4 of one against the
            others, 0 to 1, and of how many; None for a single text.
        loops, longest_loop: fraction of the texts that end in a loop; the longest period of those
            loops, characters, 0 without any.
        invented_words, invented_examples: fraction of words that the training text lacks, and the
            most frequent of them; None if unknown.
        novelty, longest_copy, copied_share: as `measure_copying` gives them; None without an index.
        reason: why measures on the training text are None; absent otherwise.

    Raises:
        DataError: fewer texts than `number`, or none, are that long.
    """
    all_texts = list(texts)
    cut = cut_equally(all_texts, length=length, number=number)
    if unit is None:
        unit = choose_unit([index.text(0, _SAMPLE)] if isinstance(index, TextIndex) else cut)
    pieces = [units_of(text, unit) for text in cut]
    chosen = pieces
    if len(pieces) > SELF_BLEU_TEXTS:
        picked = np.random.default_rng(seed).choice(len(pieces), SELF_BLEU_TEXTS, replace=False)
        chosen = [pieces[number] for number in sorted(picked.tolist())]
    periods = [loop_period(text) for text in cut]
    invented, examples, reason = _invented(cut, index, unit)
    copying: dict[str, Any] = {"novelty": None, "longest_copy": None, "copied_share": None}
    if isinstance(index, str):
        reason = index
    else:
        copying = measure_copying(cut, index)
    return {
        "texts": len(cut),
        "length": length,
        "left_out": sum(len(text) < length for text in all_texts),
        "unit": unit,
        **{f"distinct_{n}": distinct(pieces, n) for n in ORDERS},
        **{f"rep_{n}": repetition(pieces, n) for n in ORDERS},
        "self_bleu": self_bleu(chosen),
        "self_bleu_texts": len(chosen),
        "loops": sum(period > 0 for period in periods) / len(cut),
        "longest_loop": max(periods),
        "invented_words": invented,
        "invented_examples": examples,
        **copying,
        **({"reason": reason} if reason else {}),
    }


def cut_equally(texts: Iterable[str], *, length: int, number: int | None = None) -> list[str]:
    """The first `number` texts of at least `length` characters, cut to that.

    Raises:
        DataError: there are fewer, or none.
    """
    if length < 1 or (number is not None and number < 1):
        raise ValueError("length and number are at least 1")
    cut = [text[:length] for text in texts if len(text) >= length]
    if len(cut) < (number or 1):
        raise DataError(
            f"{len(cut)} texts have {length} characters, {number or 1} are needed",
            hint="measure shorter texts, or fewer",
        )
    return cut[:number]


def held_out_pieces(text: str, *, length: int, number: int) -> list[str]:
    """Pieces of a real text, equally far apart, not overlapping.

    Fewer than `number` when the text is too short for so many.
    """
    count = min(number, len(text) // length)
    starts = [i * (len(text) - length) // max(1, count - 1) for i in range(count)]
    return [text[start : start + length] for start in starts]


def choose_unit(texts: Iterable[str]) -> Unit:
    """`character` if half of the letters belong to scripts without spaces."""
    letters = spaceless = 0
    for text in texts:
        letters += sum(map(str.isalpha, text))
        spaceless += sum(found.isalpha() for found in _SPACELESS.findall(text))
    return "character" if letters and 2 * spaceless >= letters else "word"


def units_of(text: str, unit: Unit) -> list[str]:
    """The units of n-grams.

    For `word`: letters, digits, marks on them and underscores in a row, apostrophes inside
    included; every other character but spaces by itself. For `character`: every character but
    spaces.
    """
    if unit == "character":
        return [character for character in text if not character.isspace()]
    return [found.group() for found in _units(text)]


def _units(text: str) -> Iterator[re.Match[str]]:
    # Marks on letters are parts of words, but not for `re`.
    marks = {mark for mark in set(text) if unicodedata.category(mark).startswith("M")}
    inside = r"[\w" + "".join(re.escape(mark) for mark in sorted(marks)) + "]"
    return re.finditer(rf"{inside}+(?:['’]{inside}+)*|\S", text)


def distinct(pieces: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams / all n-grams over all texts; None without any.

    Li, Galley, Brockett, Gao and Dolan, "A Diversity-Promoting Objective Function for Neural
    Conversation Models", NAACL 2016. No n-gram goes from one text into the next.
    """
    grams = Counter(gram for piece in pieces for gram in _grams(piece, n))
    return len(grams) / grams.total() if grams else None


def repetition(pieces: Sequence[Sequence[str]], n: int) -> float | None:
    """Mean fraction of repeated n-grams in a text; None without any.

    1 - different n-grams / all n-grams: the measure seq-rep-n of Welleck, Kulikov, Roller, Dinan,
    Cho and Weston, "Neural Text Generation with Unlikelihood Training", ICLR 2020.
    """
    shares = [
        1 - len(set(_grams(piece, n))) / (len(piece) - n + 1) for piece in pieces if len(piece) >= n
    ]
    return sum(shares) / len(shares) if shares else None


def _grams(piece: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(piece[i:] for i in range(n)), strict=False)


def self_bleu(pieces: Sequence[Sequence[str]]) -> float | None:
    """Mean BLEU-4 of each text against all others; None for one text.

    Zhu, Lu, Zheng, Guo, Zhang, Wang and Yu, "Texygen: A Benchmarking Platform for Text Generation
    Models", SIGIR 2018. BLEU (Papineni, Roukos, Ward and Zhu, ACL 2002) of one text: the geometric
    mean for n = 1 to 4 of the share of its n-grams that occur in the others, each at most as often
    as in that one of them which has it most, times exp(1 - r / c) where c units are fewer than the
    r of the other text nearest in length (the shorter of two equally near). As in Texygen, a share
    of 0 counts as 0.1 n-grams (`method1` of Chen and Cherry, WMT 2014), and a text that shares no
    unit scores 0.
    """
    if len(pieces) < 2:
        return None
    shares_TN = [_clipped(pieces, n) for n in ORDERS]
    sizes = [len(piece) for piece in pieces]
    scores = []
    for text, size in enumerate(sizes):
        shares = [shares_T[text] for shares_T in shares_TN]
        if not shares[0][0]:
            continue
        logs = [math.log((found or _SMOOTH) / max(1, total)) for found, total in shares]
        others = (*sizes[:text], *sizes[text + 1 :])
        nearest = min((abs(other - size), other) for other in others)[1]
        scores.append(math.exp(sum(logs) / len(logs) + min(0.0, 1 - nearest / size)))
    return sum(scores) / len(sizes)


def _clipped(pieces: Sequence[Sequence[str]], n: int) -> list[tuple[int, int]]:
    """For each text, its n-grams that others have, and all of them."""
    counts = [Counter(_grams(piece, n)) for piece in pieces]
    # The text that has an n-gram most often, how often, and how often the next one has it.
    most: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for text, grams in enumerate(counts):
        for gram, count in grams.items():
            who, first, second = most.get(gram, (-1, 0, 0))
            if count > first:
                most[gram] = (text, count, first)
            elif count > second:
                most[gram] = (who, first, count)
    found = []
    for text, grams in enumerate(counts):
        kept = 0
        for gram, count in grams.items():
            who, first, second = most[gram]
            kept += min(count, second if who == text else first)
        found.append((kept, grams.total()))
    return found


def loop_period(text: str) -> int:
    """Period of the loop that ends a text; 0 without one.

    A text ends in a loop when its last characters are one block at least three times in a row,
    where the block may be cut at the end of the text, and when these are at least 24 characters, so
    that "..." or "ha ha ha" is none. The shortest such block counts.
    """
    # How much of the text backwards begins at its own p-th character: the Z function.
    back = text[::-1]
    size = len(back)
    shared_T = [0] * size
    left = right = 0
    for at in range(1, size):
        same = min(right - at, shared_T[at - left]) if at < right else 0
        while at + same < size and back[same] == back[at + same]:
            same += 1
        shared_T[at] = same
        if at + same > right:
            left, right = at, at + same
        if same + at >= max(LOOP_REPEATS * at, LOOP_CHARACTERS):
            return at
        if LOOP_REPEATS * (at + 1) > size:
            break
    return 0


def _invented(
    texts: Sequence[str], index: TextIndex | str, unit: Unit
) -> tuple[float | None, list[str], str]:
    """Fraction and examples of invented words, or a reason.

    Invented words are missing from the training text.

    A word has at least one letter. The training text has it if it occurs there as a whole word, in
    the same letters or with the case of the first letter changed. The first and the last word of a
    text do not count if they touch its edge: they may have been cut.
    """
    if unit == "character":
        return None, [], "words cannot be separated in a script without spaces"
    if isinstance(index, str):
        return None, [], index
    counts: Counter[str] = Counter()
    for text in texts:
        for found in _units(text):
            inside = found.start() > 0 and found.end() < len(text)
            if inside and any(map(str.isalpha, found.group())):
                counts[found.group()] += 1
    if not counts:
        return None, [], "the texts have no words"

    def known(word: str) -> bool:
        forms = dict.fromkeys((word, word[0].lower() + word[1:], word[0].upper() + word[1:]))
        return any(map(index.has_word, forms))

    new = Counter({word: count for word, count in counts.items() if not known(word)})
    examples = [word for word, _ in new.most_common(EXAMPLES)]
    return new.total() / counts.total(), examples, ""


def measure_copying(
    texts: Sequence[str], index: TextIndex, *, lengths: Sequence[int] = LENGTHS, span: int = SPAN
) -> dict[str, Any]:
    """Compare texts with the training text; plain values.

    Novelty is the measure of McCoy, Smolensky, Linzen, Gao and Celikyilmaz, "How much do language
    models copy from their training data?", TACL 11, 2023, over characters, pooled over the texts.

    Arguments:
        texts: at least one character in all.
        index: of the training text.
        lengths: at which novelty is measured.
        span: least characters of a copied span.

    Returns:
        novelty: by length l: the fraction of all stretches of l characters of the texts that the
            training text lacks, for lengths up to that of the longest text.
        longest_copy: the longest stretch that the training text has too, as `Copied.to_mapping`
            gives it, and the number of the text that it is `in_text`, from 0; None without any.
        copied_share: fraction of characters inside copied stretches of at least `span`.
    """
    found = [index.match_lengths(text) for text in texts]
    characters = sum(len(lengths_M) for lengths_M in found)
    longest_in = max(range(len(found)), key=lambda number: int(found[number].max(initial=0)))
    longest = index.longest_copy(texts[longest_in])
    return {
        "novelty": _novelty(found, lengths),
        "longest_copy": longest and {**longest.to_mapping(), "in_text": longest_in},
        "copied_share": sum(_inside(lengths_M, span) for lengths_M in found) / characters,
    }


def _novelty(found: Sequence[NDArray[np.int32]], lengths: Sequence[int]) -> dict[str, float]:
    novelty = {}
    for length in lengths:
        known_M = np.concatenate(
            [lengths_M[: max(0, len(lengths_M) - length + 1)] for lengths_M in found]
        )
        if len(known_M):
            novelty[str(length)] = int(np.count_nonzero(known_M < length)) / len(known_M)
    return novelty


def _inside(lengths_M: NDArray[np.int32], span: int) -> int:
    """Characters inside stretches of at least `span`."""
    begins = np.flatnonzero(lengths_M >= span)
    opened_M = np.zeros(len(lengths_M) + 1, dtype=np.int64)
    opened_M[begins] += 1
    np.subtract.at(opened_M, begins + lengths_M[begins], 1)
    return int(np.count_nonzero(np.cumsum(opened_M[:-1])))
