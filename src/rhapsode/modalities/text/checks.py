"""Warnings on texts before anybody trains on them.

Each looks at a sample and says how much it found, with an example.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import SourceSettings
from rhapsode.data import Splits, TextStore
from rhapsode.data.statistics import script_of

# Characters that are looked at, spread over the text.
SAMPLE = 4_000_000
# Characters of a line from which on a repetition counts, in a text or in many documents.
LONG = 25
NOTICE = 12
# Characters of a line that tell its language.
TELLING = 300
REPEATED = 0.08
# Documents, and the fraction of them, that share a line of boilerplate.
FEW_DOCUMENTS = 5
SHARED = 1 / 3
# Fraction of lines that are told as of another script or language.
FOREIGN = 0.02
FEWEST_FOREIGN = 5
# Mistaken sequences from which on they are told.
FEWEST_MISREAD = 3
# Bits per character, and standard errors, by which a test split is worse to predict than a random
# one.
UNLIKE = 0.15
ERRORS = 4
BLOCK = 200
CLASSES = 512
# A list of short texts: its lines, and the characters that all but one in twenty have at most.
FEWEST_LINES = 1000
SHORT_LINE = 48

# UTF-8 read as a single-byte encoding: a first byte and one to three that continue it.
_MISREAD = re.compile(
    "(?:[\u00c2-\u00df][{0}]|[\u00e0-\u00ef][{0}]{{2}}|[\u00f0-\u00f4][{0}]{{3}})".format(
        "\u0080-\u00bf" + bytes(range(128, 160)).decode("cp1252", "ignore")
    )
)
_LETTERS = re.compile(r"[^\W\d_]")
# Frequent words of languages in Latin letters, few of which are words of the others.
_WORDS = {
    "English": "the of and to is was that with for you this are not have his from they which were",
    "German": "und der das nicht ist ein eine mit den von zu sich auf ich dem auch wie wird",
    "French": "les des est dans une pour qui que pas sur avec vous nous elle ce plus je au",
    "Spanish": "los las una por con para como pero más del que su el está muy cuando",
    "Italian": "che di non per della con il gli questo come più anche è sono nel una",
    "Portuguese": "não uma com para os dos mais como mas foi são em do da ao pelo",
    "Dutch": "het een van niet dat zijn voor met ook aan maar heeft naar wordt bij",
    "Swedish": "och att det som inte jag är för på en av till den med ett",
    "Polish": "nie się na jest że do to co jak ale tak od przez był",
}
_LANGUAGES: dict[str, list[str]] = {}
for _language, _frequent in _WORDS.items():
    for _word in _frequent.split():
        _LANGUAGES.setdefault(_word, []).append(_language)


def text_warnings(store: TextStore, splits: Splits, settings: SourceSettings) -> list[str]:
    """Sentences on what looks wrong with texts; empty if nothing does.

    Arguments:
        store: the texts.
        splits: of their parts.
        settings: how they were read.
    """
    seen = _Seen()
    for text in _sample(store):
        seen.add(text)
    warnings = [
        *seen.repetitions(several=len(store) >= FEW_DOCUMENTS),
        *seen.misread(),
        *seen.foreign(),
        *_unlike(store, splits),
        list_note(store, settings),
    ]
    return [warning for warning in warnings if warning]


def list_note(store: TextStore, settings: SourceSettings) -> str:
    """Advice for a list of short texts that was read as one."""
    if settings.documents != "files" or settings.records or len(store) > 3:
        return ""
    piece = next(iter(store.pieces(store.whole)), None)
    lines = piece.text.split("\n") if piece else []
    filled = [len(line) for line in lines if line.strip()]
    if len(filled) < FEWEST_LINES or len(filled) < 0.98 * (len(lines) - 1):
        return ""
    if np.quantile(filled, 0.95) > SHORT_LINE or len(set(lines)) < len(lines) / 2:
        return ""
    return (
        f"{store.names[0]} is one text of {len(filled):,} or more short lines; if each is a text "
        "of its own, as in a list of names, use --documents lines"
    )


def _sample(store: TextStore) -> Iterator[str]:
    """Evenly spread documents, or parts of long ones, up to the size of a sample."""
    keep = max(1, round(store.characters / SAMPLE))
    for number, piece in enumerate(store.pieces(store.whole)):
        if number % keep == 0:
            yield piece.text


@dataclass
class _Seen:
    """What is counted of documents, one after another."""

    documents: int = 0
    characters: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)
    mistaken: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, text: str) -> None:
        self.documents += bool(text)
        self.characters += len(text)
        lines = [line.strip() for line in text.split("\n")]
        self.lines.update(line for line in lines if len(line) >= LONG and _LETTERS.search(line))
        if len(text) > 10 * LONG:
            self.holding.update({line for line in lines if len(line) >= NOTICE})
        if not text.isascii():
            self.mistaken.update(filter(_repaired, _MISREAD.findall(text)))
        for line in lines:
            if len(line) >= LONG and (kind := _kind(line[:TELLING])):
                self.kinds[kind] += 1
                self.examples.setdefault(kind, line)

    def repetitions(self, *, several: bool) -> Iterator[str]:
        shared = [
            (count, line)
            for line, count in self.holding.items()
            if several and count >= SHARED * self.documents
        ]
        if shared:
            count, line = max(shared)
            more = f", and {len(shared) - 1:,} more such lines" if len(shared) > 1 else ""
            yield (
                f"the line {_short(line)} stands in {count:,} of {self.documents:,} documents"
                f"{more}: boilerplate?"
            )
        again = {line: count - 1 for line, count in self.lines.items() if count > 1}
        size = sum(len(line) * count for line, count in again.items())
        if size > REPEATED * self.characters:
            line = max(again, key=lambda line: again[line] * len(line))
            yield (
                f"{size / self.characters:.0%} of the text are lines that repeat an earlier one, "
                f"{_short(line)} {again[line] + 1:,} times: the model will copy them"
            )

    def misread(self) -> Iterator[str]:
        total = self.mistaken.total()
        if total < FEWEST_MISREAD:
            return
        examples = ", ".join(
            f"{wrong!r} for {_repaired(wrong)!r}" for wrong, _ in self.mistaken.most_common(2)
        )
        yield (
            f"{total:,} times, characters look like UTF-8 that was read in another encoding and "
            f"saved again ({examples}): repair the file"
        )

    def foreign(self) -> Iterator[str]:
        for of in ("script", "language"):
            counts = Counter(
                {
                    kind: n
                    for kind, n in self.kinds.items()
                    if (kind in _WORDS) == (of == "language")
                }
            )
            if of == "script":
                counts["Latin"] += sum(n for kind, n in self.kinds.items() if kind in _WORDS)
            for kind, count in counts.most_common()[1:]:
                share = count / counts.total()
                if share >= FOREIGN and count >= FEWEST_FOREIGN:
                    example = self.examples.get(kind) or next(
                        line for name, line in self.examples.items() if name in _WORDS
                    )
                    yield (
                        f"{share:.0%} of the lines are in {kind}, most in "
                        f"{counts.most_common(1)[0][0]}: {_short(example)}"
                    )


def _repaired(wrong: str) -> str:
    """The character that a mistaken sequence stands for; empty if it stands for none."""
    raw = b"".join(
        letter.encode("cp1252") if ord(letter) > 0xFF else bytes([ord(letter)]) for letter in wrong
    )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _kind(line: str) -> str:
    """Language of a line in Latin letters, or its script; empty if it is not clear."""
    if not line.isascii():
        letters = _LETTERS.findall(line)
        other = [letter for letter in letters if ord(letter) > 0x24F]
        if len(other) > len(letters) / 2:
            script = Counter(map(script_of, other)).most_common(1)[0][0]
            return "Han" if script in ("Hiragana", "Katakana") else script
    counts: Counter[str] = Counter()
    for word in line.lower().split():
        counts.update(_LANGUAGES.get(word, ()))
    best = counts.most_common(2)
    if not best or best[0][1] < 3 or (len(best) > 1 and best[1][1] > best[0][1] - 2):
        return ""
    return best[0][0]


def _unlike(store: TextStore, splits: Splits) -> Iterator[str]:
    """Warn if the test split is worse to predict than a random part of equal size.

    A bigram model of characters is learnt on the rest in both cases.
    """
    keep = max(1, round(store.characters / SAMPLE))
    train, test = (_blocks(store, parts, keep) for parts in (splits.train, splits.test))
    if len(test) < 10 or len(train) < 3 * len(test):
        return
    codes, classes = np.unique(np.concatenate([*train, *test]), return_counts=True)
    known = codes[np.argsort(-classes)[: CLASSES - 1]]
    table = np.zeros(0x110000, dtype=np.int32)
    table[known] = np.arange(1, len(known) + 1)
    train_blocks, test_blocks = [table[block] for block in train], [table[block] for block in test]
    generator = np.random.default_rng(0)
    order = generator.permutation(len(train_blocks))
    held = [train_blocks[i] for i in order[: len(test_blocks)]]
    rest = [train_blocks[i] for i in order[len(test_blocks) :]]
    (own, error), (random, _) = (_bits(rest, blocks) for blocks in (test_blocks, held))
    if own - random > max(UNLIKE, ERRORS * error):
        yield (
            f"the test split is unlike the rest: {own:.2f} bits per character by a bigram model of "
            f"it, a random part {random:.2f}; "
            + (
                "--set data.split=documents chooses documents at random"
                if len(store) >= FEW_DOCUMENTS
                else "its figures will be worse than those of a random part"
            )
        )


def _blocks(store: TextStore, parts: NDArray[np.int64], keep: int) -> list[NDArray[np.uint32]]:
    """Code points of parts in blocks, one of every `keep`."""
    blocks: list[NDArray[np.uint32]] = []
    text, seen = "", 0
    for piece in store.pieces(parts):
        text += piece.text
        whole = len(text) // BLOCK
        for block in range(-seen % keep, whole, keep):
            raw = text[block * BLOCK : (block + 1) * BLOCK].encode("utf-32-le", "surrogatepass")
            blocks.append(np.frombuffer(raw, dtype="<u4"))
        seen += whole
        text = text[whole * BLOCK :]
    return blocks


def _bits(
    learnt: Sequence[NDArray[np.int32]], scored: Sequence[NDArray[np.int32]]
) -> tuple[float, float]:
    """Bits per character of blocks under a bigram model of others, and the standard error."""
    pairs = np.concatenate([block[:-1] * CLASSES + block[1:] for block in learnt])
    counts_CC = np.bincount(pairs, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)
    single_C = counts_CC.sum(axis=0) + 0.5
    single_C /= single_C.sum()
    weight = 8.0
    probabilities_CC = (counts_CC + weight * single_C) / (
        counts_CC.sum(axis=1, keepdims=True) + weight
    )
    logs_CC = -np.log2(probabilities_CC)
    bits_B = np.array([logs_CC[block[:-1], block[1:]].mean() for block in scored])
    return float(bits_B.mean()), float(bits_B.std() / len(bits_B) ** 0.5)


def _short(line: str, most: int = 60) -> str:
    return repr(line if len(line) <= most else line[: most - 3] + "...")
