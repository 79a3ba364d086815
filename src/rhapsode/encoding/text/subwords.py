"""Text as subwords learnt from it: pieces of words, over bytes, so that nothing is ever unknown.

Every text is first cut into runs of letters with the space before them, numbers of up to three digits, runs of marks,
white space and line ends; a subword never reaches over such a cut, and so never over a line end. Within a cut the
pieces are of UTF-8 bytes, in the printable stand-ins of byte-level tokenizers, and each of the 256 bytes is an element
of its own: all text comes back as it was.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    Encoder,
    IncrementalDecoder,
    line_chunks,
    tokens_of,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings, stated
from rhapsode.encoding.text.bytes import Utf8, printable_bytes
from rhapsode.encoding.text.encode_chunks import Sample, encode_chunks
from rhapsode.errors import BundleError, SettingsError

# With a space inside, which no byte stands for.
RESERVED = ("<end of sequence>", "<unknown piece>")
# Runs are bounded, since some of the models take time in the square of their length.
_CUTS = (
    r"'(?i:s|t|re|ve|m|ll|d)| ?[\p{L}\p{M}]{1,32}|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]{1,32}"
    r"|\r?\n|\r|[^\S\r\n]{1,64}(?!\S)|[^\S\r\n]"
)
_BYTES = printable_bytes()
_VALUES = {piece: byte for byte, piece in enumerate(_BYTES)}
# Stands before a piece that goes on with a word; not the usual ##, which texts have.
_JOINED = "\N{UNDERTIE}"
_ONE = ((1_000_000, 1024), (4_000_000, 2048), (16_000_000, 4096), (64_000_000, 8192))
_FREQUENT = 10


@dataclass(frozen=True)
class SubwordSettings(NormalSettings):
    """Settings of `bpe.v1`, `wordpiece.v1` and `unigram.v1`."""

    vocab_size: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Number of elements, including end-of-sequence, unknown and the bytes. 0 chooses it by the
    text: 1,024 for less than 1 MB, doubled for every fourfold increase in length; at least twice
    the number of characters that occur 10 times or more; at most 32,768."""
    min_count: Annotated[int, Meta(ge=1)] = 2
    """Subwords that occur less often than this are not learnt; `unigram.v1`, which selects pieces
    by probability, ignores it."""


class _Subwords(Encoder):
    """What the three have in common.

    Arguments:
        vocabulary: the pieces, in stand-ins for bytes, in order of id.
        settings: complete, as plain values.
        state: what the model has besides: merges or scores.
    """

    Settings = SubwordSettings
    unknown_prompt = "error"
    continuation: ClassVar[str] = ""
    """What a piece within a word begins with."""
    budget: ClassVar[int] = 100_000_000
    """Bytes of text to learn from at most, evenly spaced."""

    def __init__(self, vocabulary: Sequence[str], settings: Mapping[str, Any], state: Any) -> None:
        super().__init__(vocabulary, settings)
        self._known = from_mapping(SubwordSettings, settings, where="encoder", error=BundleError)
        self._state = state
        self._normaliser = Normaliser(self._known)
        self._pieces = [self._raw(piece) for piece in self.vocabulary]
        if missing := self._required() - set(self.vocabulary):
            raise BundleError(f"the encoder's vocabulary lacks {len(missing)} of the bytes")
        self._tokenizer = self._wrapped(self._model((*RESERVED, *self.vocabulary), state))

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """What comes back of any text."""
        return stated(self._known)

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Encoder:
        known = from_mapping(SubwordSettings, settings, where="[encoder]")
        least = len(cls._required()) + len(RESERVED)
        if 0 < known.vocab_size < least:
            raise SettingsError(
                f"{known.vocab_size} elements are too few for the {least - 2} that spell any byte",
                where="[encoder] vocab_size",
                hint=f"at least {least:,}, or 0 for a size that suits the text",
            )
        normaliser = Normaliser(known)
        sample = Sample((without_surrogates(normaliser(text)) for text in texts), cls.budget)
        size = max(known.vocab_size or _size_for(sample), least)
        pieces, state = cls._train(sample.chunks, size - len(RESERVED), known)
        # Ids in order of use: encode once with the trained order, then again in the order found.
        first = cls(pieces, asdict(known), state)
        used_V = np.zeros(first.vocab_size, dtype=np.int64)
        ids_N = encode_chunks(first._tokenizer, sample.chunks)
        used_V += np.bincount(ids_N, minlength=first.vocab_size)
        order = sorted(range(len(pieces)), key=lambda index: (-used_V[index + 2], pieces[index]))
        return cls([pieces[index] for index in order], asdict(known), state)

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Encoder:
        known = from_mapping(SubwordSettings, settings, where="encoder", error=BundleError)
        pieces, state = cls._read(text)
        try:
            return cls(pieces, asdict(known), state)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None

    def to_tokenizer_json(self) -> str:
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        return encode_chunks(self._tokenizer, line_chunks(self._normaliser.converted(text)))

    def decoder(self) -> IncrementalDecoder:
        return Utf8(self._pieces)

    def element_bytes(self) -> tuple[bytes, ...]:
        return tuple(self._pieces)

    def unknown_pieces(self, text: str) -> list[str]:
        return []

    def without_unknown(self, text: str) -> str:
        return without_surrogates(self._normaliser(text))

    def label(self, element: int) -> str:
        if element < len(RESERVED):
            return super().label(element)
        raw = self._pieces[element - 2]
        joined = self.continuation if len(self.vocabulary[element - 2]) > len(raw) else ""
        try:
            shown = raw.decode()
        except UnicodeDecodeError:
            shown = ""
        if not shown.isprintable() or not shown:
            shown = "0x" + raw.hex()
        return joined + shown

    @classmethod
    def _required(cls) -> set[str]:
        """The pieces without which some text would be unknown."""
        return set(_BYTES)

    @classmethod
    def _raw(cls, piece: str) -> bytes:
        """The bytes that a piece stands for."""
        try:
            return bytes([_VALUES[stand_in] for stand_in in piece])
        except KeyError:
            raise BundleError("a piece of the encoder's vocabulary is not of bytes") from None

    @classmethod
    @abstractmethod
    def _train(cls, chunks: list[str], size: int, known: SubwordSettings) -> tuple[list[str], Any]:
        """Pieces and state, at most so many."""

    @classmethod
    @abstractmethod
    def _read(cls, text: str) -> tuple[list[str], Any]:
        """Pieces and state from a `tokenizer.json`."""

    @classmethod
    @abstractmethod
    def _model(cls, tokens: Sequence[str], state: Any) -> models.Model:
        """The model of `tokenizers`; tokens in order of id."""

    @classmethod
    def _decoder(cls) -> decoders.Decoder:
        return decoders.ByteLevel()

    def _wrapped(self, model: models.Model) -> Tokenizer:
        tokenizer = Tokenizer(model)
        if self._normaliser.steps:
            tokenizer.normalizer = normalizers.Sequence(self._normaliser.steps)
        tokenizer.pre_tokenizer = _cutter()
        tokenizer.decoder = self._decoder()
        return tokenizer


class BpeEncoder(_Subwords):
    """Byte pair encoding: the most frequent neighbours are joined, again and again (Sennrich et al. 2016)."""

    name = "bpe.v1"

    @classmethod
    def _train(
        cls, chunks: list[str], size: int, known: SubwordSettings
    ) -> tuple[list[str], list[tuple[str, str]]]:
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=known.min_count,
            show_progress=False,
            special_tokens=[],
            initial_alphabet=_BYTES,
        )
        return cls._read_trained(_trained(models.BPE(), chunks, trainer))

    @classmethod
    def _read_trained(cls, model: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
        return sorted(model["vocab"], key=model["vocab"].__getitem__), _merges(model)

    @classmethod
    def _read(cls, text: str) -> tuple[list[str], list[tuple[str, str]]]:
        pieces = vocabulary_of(text, reserved=RESERVED)
        merges = _merges(json.loads(text)["model"])
        known = set(pieces)
        if any(not {left, right, left + right} <= known for left, right in merges):
            raise BundleError("the encoder's merges are not of its vocabulary")
        return pieces, merges

    @classmethod
    def _model(cls, tokens: Sequence[str], state: list[tuple[str, str]]) -> models.Model:
        return models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=state)


class WordPieceEncoder(_Subwords):
    """Always the longest piece that fits (Schuster and Nakajima 2012), over bytes at a word's beginning and within."""

    name = "wordpiece.v1"
    continuation = _JOINED

    @classmethod
    def _required(cls) -> set[str]:
        return {*_BYTES, *(_JOINED + byte for byte in _BYTES)}

    @classmethod
    def _raw(cls, piece: str) -> bytes:
        return super()._raw(piece.removeprefix(_JOINED))

    @classmethod
    def _train(cls, chunks: list[str], size: int, known: SubwordSettings) -> tuple[list[str], None]:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=known.min_count,
            show_progress=False,
            special_tokens=sorted(cls._required()),
            continuing_subword_prefix=_JOINED,
        )
        model = _trained(cls._model((), None), chunks, trainer)
        return sorted(model["vocab"], key=model["vocab"].__getitem__), None

    @classmethod
    def _read(cls, text: str) -> tuple[list[str], None]:
        return vocabulary_of(text, reserved=RESERVED), None

    @classmethod
    def _model(cls, tokens: Sequence[str], state: None) -> models.Model:
        return models.WordPiece(
            vocab={token: index for index, token in enumerate(tokens)},
            unk_token=RESERVED[1],
            max_input_chars_per_word=1 << 12,
            continuing_subword_prefix=_JOINED,
        )

    @classmethod
    def _decoder(cls) -> decoders.Decoder:
        return decoders.Sequence([decoders.Replace(_JOINED, ""), decoders.ByteLevel()])


class UnigramEncoder(_Subwords):
    """The most probable pieces, each with its own probability (Kudo 2018)."""

    name = "unigram.v1"
    budget = 20_000_000  # its trainer weighs every piece again and again

    @classmethod
    def _train(
        cls, chunks: list[str], size: int, known: SubwordSettings
    ) -> tuple[list[str], dict[str, float]]:
        trainer = trainers.UnigramTrainer(
            vocab_size=size,
            show_progress=False,
            special_tokens=[],
            initial_alphabet=_BYTES,
            unk_token=None,
            # Twice as fast as the usual 0.75, for half a percent more elements.
            shrinking_factor=0.5,
        )
        found = _trained(models.Unigram(), chunks, trainer)["vocab"] if any(chunks) else []
        # The last digits differ from run to run.
        scores = {piece: round(score, 6) for piece, score in found if set(piece) <= set(_BYTES)}
        least = min(scores.values(), default=-1.0)
        for byte in _BYTES:
            # The trainer gives unlikely bytes slightly different scores, in an order of chance.
            if scores.get(byte, least) < least + 0.03:
                scores[byte] = least
        ordered = [*_BYTES, *(piece for piece in scores if len(piece) > 1)][:size]
        return ordered, {piece: scores[piece] for piece in ordered}

    @classmethod
    def _read(cls, text: str) -> tuple[list[str], dict[str, float]]:
        try:
            rows = json.loads(text)["model"]["vocab"]
            scores = {piece: float(score) for piece, score in rows}
            tokens = tokens_of({piece: index for index, (piece, _) in enumerate(rows)}, RESERVED)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BundleError("the encoder's vocabulary is malformed") from None
        if not all(abs(score) < 1e6 for score in scores.values()):
            raise BundleError("the encoder's vocabulary has scores out of range")
        return tokens, scores

    @classmethod
    def _model(cls, tokens: Sequence[str], state: Mapping[str, float]) -> models.Model:
        return models.Unigram([(token, state.get(token, 0.0)) for token in tokens], 1, False)


def _cutter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CUTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _trained(
    model: models.Model, chunks: Iterable[str], trainer: trainers.Trainer
) -> dict[str, Any]:
    """The model part of what a trainer of `tokenizers` learns."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = _cutter()
    tokenizer.train_from_iterator(chunks, trainer=trainer)
    found: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return found


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The merges in either form that `tokenizers` has written them."""
    try:
        pairs = [
            tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge)
            for merge in model["merges"]
        ]
        if any([str, str] != [type(part) for part in pair] for pair in pairs):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise BundleError("the encoder's merges are malformed") from None
    return [(left, right) for left, right in pairs]


def _size_for(sample: Sample) -> int:
    size = next((size for limit, size in _ONE if sample.bytes < limit), None)
    if size is None:
        size = 16_384 if sample.bytes < 256_000_000 else 32_768
    counts: dict[str, int] = {}
    for chunk in sample.chunks:
        if not chunk.isascii():
            points, found = np.unique(
                np.frombuffer(chunk.encode("utf-32-le"), dtype=np.uint32), return_counts=True
            )
            for point, count in zip(points.tolist(), found.tolist(), strict=True):
                counts[point] = counts.get(point, 0) + count
    frequent = sum(count >= _FREQUENT for count in counts.values())
    return min(max(size, 256 + 2 * frequent), 32_768)
