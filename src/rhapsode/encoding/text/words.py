"""Text as words and punctuation, each remembering whether a space stood before it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    UNKNOWN_TEXT,
    Encoder,
    Ids,
    IncrementalDecoder,
    JoiningDecoder,
    line_chunks,
    most_frequent,
    vocabulary_of,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings, stated
from rhapsode.encoding.text.encode_chunks import encode_chunks
from rhapsode.errors import BundleError, MissingExtraError, RhapsodeError, SettingsError

# With a space inside, which no element of a text has.
RESERVED = ("<end of sequence>", "<unknown word>")
# A word with the space before it, a mark with the space before it, or one character of white space.
_WORDS = r" ?[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*| ?[^\s\p{L}\p{M}\p{N}_]|\s"
# A word up to white space, or one line end; other white space is dropped.
_WHITESPACE = r"\n|[^\s]+"
_TAG = r"<[^<>]*>"
_MARKS = r"[^\s\p{L}\p{M}\p{N}_]"


@dataclass(frozen=True)
class WordSettings(NormalSettings):
    """Settings of `words.v1`."""

    split: Literal["words", "whitespace"] = "words"
    """words: words, punctuation marks and white space are elements, and the text is restored
    exactly; whitespace: the text is split at white space, a line end is an element, and other white
    space is lost."""
    unknown: Literal["element", "spell"] = "element"
    """element: a word outside the vocabulary becomes the unknown element; spell: it is spelled in
    characters, which are elements too."""
    max_vocabulary: Annotated[int, Meta(ge=3, le=1 << 24)] | None = 20_000
    """Maximum number of elements, including end-of-sequence and unknown; the most frequent ones are
    kept."""
    min_count: Annotated[int, Meta(ge=1)] = 1
    """Elements that occur less often than this become the unknown element."""
    punctuation: bool = True
    """Keep punctuation marks as elements; false drops them."""
    strip_html: bool = False
    """Replace tags such as <br /> with a space."""
    stem: str = ""
    """Reduce words to their stems with the Snowball stemmer of this language, for example
    "english"; endings and case are lost."""


class WordEncoder(Encoder):
    """One element a word or mark, with the space before it, in order of frequency.

    By default a text of known words comes back exactly, and, where unknown words are spelled, a text of known
    characters. Lower-casing, dropped marks and tags, stems and whitespace splitting lose what they are named for, and
    `round_trip` says so.
    """

    Settings = WordSettings
    name = "words.v1"
    unknown_prompt = "element"

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        self._known = from_mapping(WordSettings, settings, where="encoder", error=BundleError)
        _check(self._known, error=BundleError)
        self._texts = ("", UNKNOWN_TEXT, *self.vocabulary)
        self._before = _Before(self._known)
        self._tokenizer = _tokenizer(self.vocabulary, self._known, self._before.steps)

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """What comes back after encoding and decoding a text of known words."""
        return stated(self._known, lost=_losses(self._known))

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> WordEncoder:
        known = from_mapping(WordSettings, settings, where="[encoder]")
        _check(known, error=SettingsError)
        before = _Before(known)
        blank = _tokenizer((), known, before.steps)
        most = known.max_vocabulary if known.max_vocabulary is not None else 1 << 31
        chunks = (chunk for text in texts for chunk in line_chunks(before(text)))
        if known.unknown == "spell":
            counts = _count(blank, chunks)
            return cls(with_characters(counts, most=most, min_count=known.min_count), asdict(known))
        trainer = trainers.WordLevelTrainer(
            vocab_size=most, min_frequency=known.min_count, show_progress=False, special_tokens=[]
        )
        # The trainer counts in parallel, and orders by frequency, ties by the element itself.
        blank.train_from_iterator(chunks, trainer=trainer)
        table: dict[str, int] = blank.get_vocab(with_added_tokens=False)
        ordered = sorted(table, key=table.__getitem__)
        return cls(ordered[: most - 2], asdict(known))

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> WordEncoder:
        known = from_mapping(WordSettings, settings, where="encoder", error=BundleError)
        try:
            return cls(vocabulary_of(text, reserved=RESERVED), asdict(known))
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None

    def to_tokenizer_json(self) -> str:
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        return encode_chunks(self._tokenizer, line_chunks(self._before(text)))

    def decode(self, ids: Ids) -> str:
        if self.spaced:
            return _Spaced(self._texts).feed(ids)
        return "".join([self._texts[element] for element in ids])

    def decoder(self) -> IncrementalDecoder:
        return _Spaced(self._texts) if self.spaced else JoiningDecoder(self)

    @property
    def spaced(self) -> bool:
        return self._known.split == "whitespace"

    def unknown_pieces(self, text: str) -> list[str]:
        pieces: list[str] = []
        for chunk in line_chunks(self._before(text)):
            encoding = self._tokenizer.encode(chunk, add_special_tokens=False)
            pieces.extend(
                chunk[start:end].strip()
                for element, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
                if element == UNKNOWN_ID
            )
        return pieces


class _Before:
    """What is done to a text before the `tokenizer.json`: Chinese converted, words stemmed.

    Raises:
        SettingsError: a language without a stemmer.
        MissingExtraError: what is needed is not installed.
    """

    def __init__(self, known: WordSettings) -> None:
        self._normaliser = Normaliser(known)
        self._stems = _Stems(known.stem) if known.stem else None
        self.steps = self._normaliser.steps

    def __call__(self, text: str) -> str:
        text = self._normaliser.converted(text)
        return self._stems.text(text) if self._stems else text


class _Spaced(IncrementalDecoder):
    """One space between elements, none beside line ends."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._before = "\n"

    def feed(self, ids: Ids) -> str:
        parts: list[str] = []
        for element in ids:
            text = self._texts[element]
            if not text:
                continue
            if text != "\n" and self._before != "\n":
                parts.append(" ")
            parts.append(text)
            self._before = text
        return "".join(parts)

    def finish(self) -> str:
        return ""


class _Stems:
    """Words of a text replaced by their stems.

    Raises:
        SettingsError: a language without a stemmer.
        MissingExtraError: the stemmers are not installed.
    """

    def __init__(self, language: str) -> None:
        try:
            import snowballstemmer
        except ImportError:
            raise MissingExtraError("stem", "stemming") from None
        if language not in snowballstemmer.algorithms():
            raise SettingsError(
                f"no stemmer for {language!r}",
                where="[encoder] stem",
                hint=f"known: {', '.join(sorted(snowballstemmer.algorithms()))}",
            )
        self._stemmer = snowballstemmer.stemmer(language)
        self._kept: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text with every word stemmed and small."""
        return re.sub(r"\w+", self._word, text)

    def _word(self, found: re.Match[str]) -> str:
        word = found[0].lower()
        if word not in self._kept:
            self._kept[word] = self._stemmer.stemWord(word)
        return self._kept[word]


def _losses(known: WordSettings) -> list[str]:
    named = (
        (known.split == "whitespace", "white space but line ends"),
        (not known.punctuation, "punctuation"),
        (known.strip_html, "HTML tags"),
        (bool(known.stem), "word endings"),
    )
    return [name for lost, name in named if lost]


def _check(known: WordSettings, *, error: type[RhapsodeError]) -> None:
    if known.unknown == "spell" and known.split == "whitespace":
        raise error(
            "words without their spaces cannot be spelled in characters",
            where="[encoder] unknown",
            hint='write split = "words"',
        )


def _count(blank: Tokenizer, chunks: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk in chunks:
        text = blank.normalizer.normalize_str(chunk) if blank.normalizer else chunk
        counts.update([piece for piece, _ in blank.pre_tokenizer.pre_tokenize_str(text)])
    return counts


def with_characters(counts: Mapping[str, int], *, most: int | None, min_count: int) -> list[str]:
    """The most frequent words and all their characters, in order of use when the other words are spelled.

    Arguments:
        counts: how often each word occurs.
        most: elements to keep, end-of-sequence and unknown counted in; characters come first.
        min_count: what occurs less often is left out.
    """
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    kept = set(most_frequent(characters, most=most, min_count=min_count))
    words = {word: count for word, count in counts.items() if len(word) > 1}
    room = None if most is None else most - len(kept)
    kept.update(most_frequent(words, most=room, min_count=min_count))
    use: Counter[str] = Counter(dict.fromkeys(kept, 0))
    for word, count in counts.items():
        for piece in (word,) if word in kept else word:
            if piece in kept:
                use[piece] += count
    return most_frequent(use, min_count=0)


def word_model(vocabulary: Sequence[str], *, spell: bool) -> models.Model:
    """Whole words, and with `spell` the characters of the others, as a model of `tokenizers`."""
    table = {piece: index for index, piece in enumerate((*RESERVED, *vocabulary))}
    if not spell:
        return models.WordLevel(vocab=table, unk_token=RESERVED[UNKNOWN_ID])
    # Pairs that are never merged: what is not whole in the vocabulary stays characters.
    return models.BPE(
        vocab=table, merges=[], unk_token=RESERVED[UNKNOWN_ID], fuse_unk=False, ignore_merges=True
    )


def _tokenizer(
    vocabulary: Sequence[str], known: WordSettings, first: Sequence[normalizers.Normalizer]
) -> Tokenizer:
    tokenizer = Tokenizer(word_model(vocabulary, spell=known.unknown == "spell"))
    steps = [*first]
    if known.strip_html:
        steps.append(normalizers.Replace(Regex(_TAG), " "))
    if not known.punctuation:
        steps.append(normalizers.Replace(Regex(_MARKS), ""))
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    if known.split == "words":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        # What the pattern does not match is removed: inverted, the white space between words.
        tokenizer.pre_tokenizer = pre_tokenizers.Split(
            Regex(_WHITESPACE), behavior="removed", invert=True
        )
    return tokenizer
