"""Text as words and punctuation, each with the space before it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, islice, tee
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    Ids,
    IncrementalDecoder,
    line_chunks,
    most_frequent,
)
from rhapsode.encoding.normalise import NormalSettings, stated
from rhapsode.encoding.text.learnt import (
    LearntEncoder,
    encode_chunks,
    encoded_chunks,
    tokenizer_of,
    unknown_in,
)
from rhapsode.errors import MissingExtraError, SettingsError

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


class WordEncoder(LearntEncoder[WordSettings]):
    """Encoder of words and marks, in order of frequency.

    An element includes the space before it. By default a text of known words comes back exactly; if
    unknown words are spelled, so does a text of known characters. Lower-casing, dropped marks and
    tags, stemming and splitting at white space lose information, as `round_trip` states.
    """

    Settings = WordSettings
    name = "words.v1"
    unknown_prompt = "element"

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        self.spaced = self._known.split == "whitespace"
        if self._known.unknown == "spell" and self.spaced:
            raise SettingsError(
                "words without their spaces cannot be spelled in characters",
                where="[encoder] unknown",
                hint='write split = "words"',
            )
        self._stem = _stemmer(self._known.stem) if self._known.stem else None

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        known = self._known
        steps = [*self._normaliser.steps]
        if known.strip_html:
            steps.append(normalizers.Replace(Regex(_TAG), " "))
        if not known.punctuation:
            steps.append(normalizers.Replace(Regex(_MARKS), ""))
        model = word_model(self._ids, spell=known.unknown == "spell")
        if not self.spaced:
            splitter = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
            return tokenizer_of(model, splitter, steps=steps, decoder=decoders.Fuse())
        # What the pattern does not match is removed: inverted, the white space between words.
        splitter = pre_tokenizers.Split(Regex(_WHITESPACE), behavior="removed", invert=True)
        return tokenizer_of(model, splitter, steps=steps)

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """Result of decoding an encoded text of known words."""
        losses = {
            "white space but line ends": self.spaced,
            "punctuation": not self._known.punctuation,
            "HTML tags": self._known.strip_html,
            "word endings": self._known.stem,
        }
        return stated(self._known, lost=[name for name, lost in losses.items() if lost])

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> WordEncoder:
        known = from_mapping(WordSettings, settings, where="[encoder]")
        blank = cls((), settings)
        most = known.max_vocabulary if known.max_vocabulary is not None else 1 << 31
        chunks = (chunk for text in texts for chunk in blank._chunks(text))
        if known.unknown == "spell":
            counts = Counter(piece for chunk in chunks for piece in blank._words(chunk))
            vocabulary = with_characters(counts, most=most, min_count=known.min_count)
            return cls(vocabulary, settings)
        trainer = trainers.WordLevelTrainer(
            vocab_size=most, min_frequency=known.min_count, show_progress=False, special_tokens=[]
        )
        # The trainer counts in parallel, and orders by frequency, ties by the element itself.
        blank._tokenizer.train_from_iterator(chunks, trainer=trainer)
        table: dict[str, int] = blank._tokenizer.get_vocab(with_added_tokens=False)
        return cls(sorted(table, key=table.__getitem__)[: most - 2], settings)

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        return encode_chunks(self._tokenizer, self._chunks(text))

    def encode_all(self, texts: Iterable[str]) -> Iterator[NDArray[np.unsignedinteger]]:
        chunked = ([*self._chunks(text)] for text in texts)
        own, all_chunks = tee(chunked)
        encoded = encoded_chunks(self._tokenizer, chain.from_iterable(all_chunks))
        nothing = np.zeros(0, dtype=np.uint32)
        for chunks in own:
            yield np.concatenate([nothing, *islice(encoded, len(chunks))])

    def decoder(self) -> IncrementalDecoder:
        return _Spaced(self._texts) if self.spaced else super().decoder()

    def unknown_pieces(self, text: str) -> list[str]:
        return unknown_in(self._tokenizer, self._chunks(text), range(2, self.vocab_size))

    def _chunks(self, text: str) -> Iterable[str]:
        """Parts of a text for the tokenizer.

        Chinese is converted and words are stemmed.
        """
        text = self._normaliser.converted(text)
        return line_chunks(re.sub(r"\w+", self._stem, text) if self._stem else text)

    def _words(self, chunk: str) -> list[str]:
        tokenizer = self._tokenizer
        text = tokenizer.normalizer.normalize_str(chunk) if tokenizer.normalizer else chunk
        return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


class _Spaced(IncrementalDecoder):
    """One space between elements, none beside line ends."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._before = "\n"

    def feed(self, ids: Ids) -> str:
        parts: list[str] = []
        for element in ids:
            text = self._texts[element]
            if text and "\n" not in (text, self._before):
                parts.append(" ")
            parts.append(text)
            self._before = text or self._before
        return "".join(parts)

    def finish(self) -> str:
        return ""


def _stemmer(language: str) -> Callable[[re.Match[str]], str]:
    """A function that stems a matched word in lower case.

    Raises:
        SettingsError: a language without a stemmer.
        MissingExtraError: the stemmers are not installed.
    """
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
    stem = cache(snowballstemmer.stemmer(language).stemWord)

    def stem_match(match: re.Match[str]) -> str:
        return str(stem(match[0].lower()))

    return stem_match


def with_characters(counts: Mapping[str, int], *, most: int | None, min_count: int) -> list[str]:
    """The most frequent words and all characters, in order of use.

    Characters are used where other words are spelled.

    Arguments:
        counts: how often each word occurs.
        most: maximum number of elements, including end-of-sequence and unknown; characters come
            first.
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


def word_model(ids: dict[str, int], *, spell: bool) -> models.Model:
    """Model of `tokenizers` for whole words.

    With `spell`, other words become their characters.
    """
    unknown = LearntEncoder.reserved[UNKNOWN_ID]
    if not spell:
        return models.WordLevel(vocab=ids, unk_token=unknown)
    # Without merges, a word outside the vocabulary stays as characters.
    return models.BPE(vocab=ids, merges=[], unk_token=unknown, fuse_unk=False, ignore_merges=True)
