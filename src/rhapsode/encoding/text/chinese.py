"""Chinese text as words, found by jieba; everything else as in `words.v1`. Decoding needs no jieba."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
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
    UNKNOWN_TEXT,
    CountingEncoder,
    Ids,
    IncrementalDecoder,
    JoiningDecoder,
    line_chunks,
    most_frequent,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings, stated
from rhapsode.encoding.text.words import RESERVED, with_characters, word_model
from rhapsode.errors import BundleError, MissingExtraError, SettingsError

# Two characters that Unicode reserves for the inside of programs. No element holds both, so that a text with one or
# the other, or both, is cut in the right places.
SEPARATOR = "\ufdd0\ufdd1"
_HAN = re.compile("[\u4e00-\u9fd5]")
# What jieba takes as one sentence, if there is Chinese in it; otherwise a word with the space before it, a mark with
# the space before it, or one character of white space.
_PIECES = (
    r"[a-zA-Z0-9+#&._%-]{0,16}[\x{4E00}-\x{9FD5}][\x{4E00}-\x{9FD5}a-zA-Z0-9+#&._%-]*"
    r"| ?[[\p{L}\p{M}\p{N}_]&&[^\x{4E00}-\x{9FD5}]]+(?:['’][[\p{L}\p{M}\p{N}_]&&[^\x{4E00}-\x{9FD5}]]+)*"
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
    """File of additional words in UTF-8, one on each line with an optional frequency; its content
    is saved in the model."""
    hmm: bool = True
    """Also find words outside the dictionaries with jieba's hidden Markov model."""
    segmenter: dict[str, str] = field(default_factory=dict)
    """Written during training: version of jieba and hash of its dictionary."""


class JiebaEncoder(CountingEncoder):
    """One element a Chinese word, another word or mark with the space before it, or a character of white space.

    A text of known words comes back exactly, and, where unknown words are spelled, a text of known characters. The
    `tokenizer.json` is of segmented text: `segmented` gives it.
    """

    Settings = JiebaSettings
    name = "jieba.v1"
    unknown_prompt = "element"
    parallel = "processes"

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> None:
        super().__init__(vocabulary, settings)
        self._known = from_mapping(JiebaSettings, settings, where="encoder", error=BundleError)
        self._normaliser = Normaliser(self._known)
        self._texts = ("", UNKNOWN_TEXT, *self.vocabulary)
        self._table = {piece: index for index, piece in enumerate(self.vocabulary, 2)}
        self._tokenizer = Tokenizer(
            word_model(self.vocabulary, spell=self._known.unknown == "spell")
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.Split(SEPARATOR, behavior="removed")
        self._tokenizer.decoder = decoders.Fuse()

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """What comes back of a text of known words."""
        return stated(self._known)

    @property
    def segmenter(self) -> dict[str, str]:
        """What found the words when this encoder learnt: name, version, and hash of the dictionary."""
        return dict(self._known.segmenter)

    @classmethod
    def count(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Counter[str]:
        known = _with_content(from_mapping(JiebaSettings, settings, where="[encoder]"))
        normaliser = Normaliser(known)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_segments(without_surrogates(normaliser(text)), known))
        return counts

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], settings: Mapping[str, Any]) -> JiebaEncoder:
        known = _with_content(from_mapping(JiebaSettings, settings, where="[encoder]"))
        choose = with_characters if known.unknown == "spell" else most_frequent
        ordered = choose(counts, most=known.max_vocabulary, min_count=known.min_count)
        return cls(ordered, asdict(replace(known, segmenter=_described())))

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> JiebaEncoder:
        known = from_mapping(JiebaSettings, settings, where="encoder", error=BundleError)
        return cls(vocabulary_of(text, reserved=RESERVED), asdict(known))

    def to_tokenizer_json(self) -> str:
        return str(self._tokenizer.to_str())

    def segmented(self, text: str) -> str:
        """The text with U+FDD0 and U+FDD1 between elements, as the `tokenizer.json` takes it."""
        return SEPARATOR.join(self._segments(text))

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        find = self._table.get
        if self._known.unknown == "element":
            ids = [find(piece, UNKNOWN_ID) for piece in self._segments(text)]
        else:
            ids = [find(piece, UNKNOWN_ID) for piece in self._spelled(text)]
        return np.array(ids, dtype=np.uint32)

    def decode(self, ids: Ids) -> str:
        return "".join([self._texts[element] for element in ids])

    def decoder(self) -> IncrementalDecoder:
        return JoiningDecoder(self)

    def unknown_pieces(self, text: str) -> list[str]:
        spell = self._known.unknown == "spell"
        pieces = self._spelled(text) if spell else self._segments(text)
        return [piece.strip() for piece in pieces if piece not in self._table]

    def _segments(self, text: str) -> Iterator[str]:
        return _segments(without_surrogates(self._normaliser(text)), self._known)

    def _spelled(self, text: str) -> Iterator[str]:
        for piece in self._segments(text):
            if piece in self._table:
                yield piece
            else:
                yield from piece


def _segments(text: str, known: JiebaSettings) -> Iterator[str]:
    splitter = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    segmenter: Any = None
    for chunk in line_chunks(text):
        for piece, _ in splitter.pre_tokenize_str(chunk):
            if _HAN.search(piece):
                segmenter = segmenter or _segmenter(known.user_dictionary)
                yield from segmenter.cut(piece, HMM=known.hmm)
            else:
                yield piece


def _with_content(known: JiebaSettings) -> JiebaSettings:
    """The settings with the words of the user's dictionary in place of its file."""
    if not known.user_dictionary:
        return known
    try:
        content = Path(known.user_dictionary).read_text("utf-8-sig")
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


@lru_cache(maxsize=4)
def _segmenter(user_dictionary: str) -> Any:
    """A jieba of its own, with the user's words.

    Raises:
        SettingsError: a line of the user's dictionary is malformed.
    """
    segmenter = _jieba().Tokenizer()
    # Jieba's own way reads a cache that anybody may have written to the temporary folder, and tells of it.
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    for number, line in enumerate(user_dictionary.splitlines(), 1):
        if not line.strip():
            continue
        found = re.fullmatch(r"(.+?)(?: ([0-9]{1,9}))?(?: [a-z]+)?", line.strip())
        if found is None:
            raise SettingsError(
                f"line {number} is not a word with an optional frequency",
                where="[encoder] user_dictionary",
            )
        segmenter.add_word(found[1], int(found[2]) if found[2] else None)
    return segmenter
