"""Chinese text as words, segmented by jieba.

Other text is split as in `words.v1`. Decoding needs no jieba.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    CountingEncoder,
    line_chunks,
    most_frequent,
    without_surrogates,
)
from rhapsode.encoding.normalise import NormalSettings
from rhapsode.encoding.text.learnt import LearntEncoder, tokenizer_of
from rhapsode.encoding.text.words import with_characters, word_model
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.log import log

# Two noncharacters, which Unicode reserves for internal use. No element contains both, so that a
# text with one of them, or both, is split in the right places.
SEPARATOR = "\ufdd0\ufdd1"
_HAN = re.compile("[\u4e00-\u9fd5]")
# A word that jieba can find: it is within one sentence of `_PIECES`.
_OF_JIEBA = re.compile("[a-zA-Z0-9+#&._%-]{0,16}[\u4e00-\u9fd5][\u4e00-\u9fd5a-zA-Z0-9+#&._%-]*")
# A line of a user dictionary: a word, perhaps its frequency, perhaps a tag of a part of speech.
_ENTRY = re.compile(
    r"(.+?)(?:\s+([0-9]{1,9}))?(?:\s+(?:a[dgn]?|b|c|d[fg]?|e|eng|[fghijkl]|m[gq]?|n[grstz]?|nrfg"
    r"|nrt|o|p|q|r[grz]?|s|tg?|u[dgjlvz]?|v[dginq]?|x|y|zg?))?"
)
# A sentence for jieba, if it contains Chinese; otherwise a word with the space before it, a mark
# with the space before it, or one character of white space.
_PIECES = (
    r"[a-zA-Z0-9+#&._%-]{0,16}[\x{4E00}-\x{9FD5}][\x{4E00}-\x{9FD5}a-zA-Z0-9+#&._%-]*"
    r"| ?[[\p{L}\p{M}\p{N}_]&&[^\x{4E00}-\x{9FD5}]]+"
    r"(?:['’][[\p{L}\p{M}\p{N}_]&&[^\x{4E00}-\x{9FD5}]]+)*"
    r"| ?[^\s\p{L}\p{M}\p{N}_]|\s"
)


@dataclass(frozen=True)
class JiebaSettings(NormalSettings):
    """Settings of `jieba.v1`."""

    unknown: Literal["element", "spell"] = "element"
    """element: a word outside the vocabulary becomes the unknown element; spell: it is spelled in
    characters, which are elements too."""
    max_vocabulary: Annotated[int, Meta(ge=3, le=1 << 24)] | None = 20_000
    """Maximum number of elements, including end-of-sequence and unknown; the most frequent ones are
    kept."""
    min_count: Annotated[int, Meta(ge=1)] = 1
    """Elements that occur less often than this become the unknown element."""
    user_dictionary: str = ""
    """File of additional words in UTF-8, one on each line, with an optional frequency and tag after
    spaces or tabs. Words with spaces, marks or letters alone are whole elements wherever they
    occur; lines without effect are named. The content is saved in the model."""
    hmm: bool = True
    """Also find words outside the dictionaries with jieba's hidden Markov model."""
    segmenter: dict[str, str] = field(default_factory=dict)
    """Written during training: version of jieba and hash of its dictionary."""


class JiebaEncoder(LearntEncoder[JiebaSettings], CountingEncoder):
    """Encoder of Chinese words, other words, marks and white space.

    Other words and marks include the space before them. A text of known words comes back exactly;
    if unknown words are spelled, so does a text of known characters. The `tokenizer.json` takes
    segmented text, which `segmented` gives.
    """

    Settings = JiebaSettings
    name = "jieba.v1"
    unknown_prompt = "element"
    parallel = "processes"

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        model = word_model(self._ids, spell=self._known.unknown == "spell")
        splitter = pre_tokenizers.Split(SEPARATOR, behavior="removed")
        return tokenizer_of(model, splitter, decoder=decoders.Fuse())

    @classmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        blank = cls((), asdict(_with_content(settings)))
        return Counter(piece for text in texts for piece in blank._segments(text))

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], settings: Mapping[str, Any]) -> JiebaEncoder:
        known = _with_content(settings)
        choose = with_characters if known.unknown == "spell" else most_frequent
        ordered = choose(counts, most=known.max_vocabulary, min_count=known.min_count)
        encoder = cls(ordered, asdict(replace(known, segmenter=_described())))
        encoder._tell_lines_without_effect()
        return encoder

    def _tell_lines_without_effect(self) -> None:
        for number, (word, _) in self._entries.items():
            pieces = list(self._segments(word))
            if pieces != [word]:
                log.warning(
                    f"user dictionary, line {number}: {word!r} is still split into "
                    f"{' / '.join(pieces)}; leave out its frequency, or give a larger one"
                )

    def segmented(self, text: str) -> str:
        """Segment a text as the `tokenizer.json` expects.

        U+FDD0 and U+FDD1 separate the elements.
        """
        return SEPARATOR.join(self._segments(text))

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        find = self._ids.get
        return np.array([find(piece, UNKNOWN_ID) for piece in self._spelled(text)], dtype=np.uint32)

    def unknown_pieces(self, text: str) -> list[str]:
        return [piece.strip() or piece for piece in self._spelled(text) if piece not in self._ids]

    def _spelled(self, text: str) -> Iterator[str]:
        """Words of a text, with unknown ones spelled if configured."""
        spell = self._known.unknown == "spell"
        for piece in self._segments(text):
            if spell and piece not in self._ids:
                yield from piece
            else:
                yield piece

    def _segments(self, text: str) -> Iterator[str]:
        splitter = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
        for chunk in line_chunks(without_surrogates(self._normaliser(text))):
            for part in self._parts(chunk):
                if part in self._whole.get(part[0], ()):
                    yield part
                    continue
                for piece, _ in splitter.pre_tokenize_str(part):
                    if _HAN.search(piece):
                        yield from self._segmenter.cut(piece, HMM=self._known.hmm)
                    else:
                        yield piece

    def _parts(self, text: str) -> Iterator[str]:
        """The user's words that jieba cannot find, and the text between them."""
        begin, end = 0, 0
        for match in self._first.finditer(text) if self._whole else ():
            place = match.start()
            if place < end:
                continue
            words = self._whole[match[0]]
            word = next((word for word in words if _stands_alone(text, place, word)), None)
            if word is not None:
                if begin < place:
                    yield text[begin:place]
                yield word
                begin = end = place + len(word)
        if begin < len(text):
            yield text[begin:]

    @cached_property
    def _entries(self) -> dict[int, tuple[str, int | None]]:
        """Normalised words of the user dictionary and their frequencies, by line."""
        lines = enumerate(self._known.user_dictionary.split("\n"), 1)
        matches = ((number, _ENTRY.fullmatch(line.strip())) for number, line in lines)
        return {
            number: (self._normaliser(match[1]), int(match[2]) if match[2] else None)
            for number, match in matches
            if match  # else an empty line
        }

    @cached_property
    def _whole(self) -> dict[str, list[str]]:
        """The user's words that jieba cannot find, by first character.

        The longest come first.
        """
        words = {word for word, _ in self._entries.values() if not _OF_JIEBA.fullmatch(word)}
        if self.vocabulary:  # otherwise it is being learnt
            words &= set(self.vocabulary)
        by_first: dict[str, list[str]] = {}
        for word in sorted(words, key=len, reverse=True):
            by_first.setdefault(word[0], []).append(word)
        return by_first

    @cached_property
    def _first(self) -> re.Pattern[str]:
        return re.compile(f"[{re.escape(''.join(self._whole))}]")

    @cached_property
    def _segmenter(self) -> Any:
        entries = self._entries.values()
        return _segmenter(tuple(entry for entry in entries if _OF_JIEBA.fullmatch(entry[0])))


def _with_content(settings: Mapping[str, Any]) -> JiebaSettings:
    """Settings with the content of the user dictionary instead of its path."""
    known = from_mapping(JiebaSettings, settings, where="[encoder]")
    if not known.user_dictionary:
        return known
    try:
        content = Path(known.user_dictionary).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
        raise SettingsError(
            f"cannot read the user dictionary: {reason}", where=known.user_dictionary
        ) from None
    return replace(known, user_dictionary=content)


def _jieba() -> Any:
    with warnings.catch_warnings():
        # Old ways of jieba's that newer Pythons complain of.
        warnings.simplefilter("ignore")
        try:
            return import_module("jieba")
        except ImportError:
            raise MissingExtraError("zh", "finding Chinese words") from None


@lru_cache(maxsize=1)
def _described() -> dict[str, str]:
    jieba = _jieba()
    with jieba.Tokenizer().get_dict_file() as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"name": "jieba", "version": str(jieba.__version__), "dictionary": digest}


def _stands_alone(text: str, place: int, word: str) -> bool:
    """True if a word is at a place, and no letter continues it."""
    end = place + len(word)
    if not text.startswith(word, place):
        return False
    before, after = text[max(0, place - 1) : place] + word[0], word[-1] + text[end : end + 1]
    return not any(len(pair) == 2 and pair.isascii() and pair.isalnum() for pair in (before, after))


@lru_cache(maxsize=4)
def _segmenter(words: tuple[tuple[str, int | None], ...]) -> Any:
    """A jieba of its own, with the user's words and their frequencies."""
    segmenter = _jieba().Tokenizer()
    # Jieba's own way reads a cache that anybody may have written to the temporary folder, and tells
    # of it.
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    for word, frequency in words:
        segmenter.add_word(word, frequency)
    return segmenter
