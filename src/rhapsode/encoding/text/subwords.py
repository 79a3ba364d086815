"""Text as learnt subwords: pieces of words, over UTF-8 bytes.

No text is ever unknown. Every text is first cut into runs of letters with the space before them,
numbers of up to three digits, runs of marks, white space and line ends; a subword never crosses
such a cut, and so never a line end. Within a cut the pieces are of UTF-8 bytes, in the printable
stand-ins of byte-level tokenizers, and each of the 256 bytes is an element of its own: every text
is restored exactly.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_ID,
    Encoder,
    IncrementalDecoder,
    tokens_of,
    vocabulary_of,
    without_surrogates,
)
from rhapsode.encoding.normalise import Normaliser, NormalSettings
from rhapsode.encoding.text.bytes import Utf8, printable_bytes
from rhapsode.encoding.text.learnt import (
    LearntEncoder,
    Sample,
    count_points,
    encode_chunks,
    ids_of,
    tokenizer_of,
)
from rhapsode.errors import BundleError, SettingsError

# Runs are bounded, since some models take time quadratic in their length.
_CUTS = (
    r"'(?i:s|t|re|ve|m|ll|d)| ?[\p{L}\p{M}]{1,32}|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]{1,32}"
    r"|\r?\n|\r|[^\S\r\n]{1,64}(?!\S)|[^\S\r\n]"
)
_BYTES = printable_bytes()
_VALUES = {piece: byte for byte, piece in enumerate(_BYTES)}
_SIZES = (
    (1_000_000, 1024),
    (4_000_000, 2048),
    (16_000_000, 4096),
    (64_000_000, 8192),
    (256_000_000, 16_384),
)
_LARGEST = 32_768
_FREQUENT = 10


@dataclass(frozen=True)
class SubwordSettings(NormalSettings):
    """Settings of `bpe.v1`, `wordpiece.v1` and `unigram.v1`."""

    vocab_size: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Number of elements, including end-of-sequence, unknown and the bytes. 0 chooses the number
    from the text: 1,024 for less than 1 MB, doubled for every fourfold increase in length; at least
    twice the number of characters that occur 10 times or more; at most 32,768."""
    min_count: Annotated[int, Meta(ge=1)] = 2
    """Subwords that occur less often than this are not learnt; `unigram.v1`, which selects pieces
    by probability, ignores it."""


class _Subwords(LearntEncoder[SubwordSettings]):
    """Common part of the three encoders of subwords.

    Arguments:
        vocabulary: the pieces, in stand-ins for bytes, in order of id.
        settings: complete, as plain values.
        state: merges or scores of the model.
    """

    Settings = SubwordSettings
    unknown_prompt = "error"
    # With a space inside, which no byte stands for.
    reserved = ("<end of sequence>", "<unknown piece>")
    continuation: ClassVar[str] = ""
    """Mark before a piece within a word."""
    budget: ClassVar[int] = 100_000_000
    """Bytes of text to learn from at most, evenly spaced."""
    joiner: ClassVar[decoders.Decoder] = decoders.ByteLevel()
    """Decoder of the `tokenizer.json`."""
    required: ClassVar[frozenset[str]] = frozenset(_BYTES)
    """Pieces without which some text would be unknown."""

    def __init__(
        self, vocabulary: Sequence[str], settings: Mapping[str, Any], state: Any = None
    ) -> None:
        super().__init__(vocabulary, settings)
        self._state = state
        try:
            self._pieces = [
                bytes([_VALUES[stand_in] for stand_in in piece.removeprefix(self.continuation)])
                for piece in self.vocabulary
            ]
        except KeyError:
            raise BundleError("a piece of the encoder's vocabulary is not of bytes") from None
        if missing := self.required - set(self.vocabulary):
            raise BundleError(f"the encoder's vocabulary lacks {len(missing)} of the bytes")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizer_of(
            self._model(self._ids, self._state),
            _cutter(),
            steps=self._normaliser.steps,
            decoder=self.joiner,
        )

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> Encoder:
        known = from_mapping(SubwordSettings, settings, where="[encoder]")
        least = len(cls.required) + len(cls.reserved)
        if 0 < known.vocab_size < least:
            raise SettingsError(
                f"{known.vocab_size} elements are too few for the {least - 2} that spell any byte",
                where="[encoder] vocab_size",
                hint=f"at least {least:,}, or 0 for a size that suits the text",
            )
        normaliser = Normaliser(known)
        sample = Sample((without_surrogates(normaliser(text)) for text in texts), cls.budget)
        size = max(known.vocab_size or _size_for(sample), least)
        pieces, state = cls._train(sample.chunks, size - len(cls.reserved), known)
        # Ids in order of use: encode once with the trained order, then again in the order found.
        first = cls(pieces, settings, state)
        ids_N = encode_chunks(first._tokenizer, sample.chunks)
        used_V = np.bincount(ids_N, minlength=first.vocab_size)
        order = sorted(range(len(pieces)), key=lambda index: (-used_V[index + 2], pieces[index]))
        return cls([pieces[index] for index in order], settings, state)

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> Encoder:
        pieces, state = cls._read(text)
        return cls(pieces, settings, state)

    def decoder(self) -> IncrementalDecoder:
        return Utf8(self._pieces)

    def element_bytes(self) -> tuple[bytes, ...]:
        return tuple(self._pieces)

    def unknown_pieces(self, text: str) -> list[str]:
        return []

    def without_unknown(self, text: str) -> str:
        return without_surrogates(self._normaliser(text))

    def label(self, element: int) -> str:
        if element < len(self.reserved):
            return super().label(element)
        raw = self._pieces[element - 2]
        joined = self.continuation if len(self.vocabulary[element - 2]) > len(raw) else ""
        # Bytes that are no text become halves of surrogate pairs, which are not printable.
        text = raw.decode(errors="surrogateescape")
        return joined + (text if text and text.isprintable() else "0x" + raw.hex())

    @classmethod
    @abstractmethod
    def _train(cls, chunks: list[str], size: int, known: SubwordSettings) -> tuple[list[str], Any]:
        """Learn at most `size` pieces, and the state."""

    @classmethod
    def _read(cls, text: str) -> tuple[list[str], Any]:
        """Pieces and state from a `tokenizer.json`."""
        return vocabulary_of(text, reserved=cls.reserved), None

    @classmethod
    @abstractmethod
    def _model(cls, ids: dict[str, int], state: Any) -> models.Model:
        """The model of `tokenizers`."""


class BpeEncoder(_Subwords):
    """Byte pair encoding: frequent neighbours are merged repeatedly (Sennrich et al. 2016)."""

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
        model = _trained(models.BPE(), chunks, trainer)
        return sorted(model["vocab"], key=model["vocab"].__getitem__), _merges(model)

    @classmethod
    def _read(cls, text: str) -> tuple[list[str], list[tuple[str, str]]]:
        pieces, _ = super()._read(text)
        merges = _merges(json.loads(text)["model"])
        known = set(pieces)
        if any(not {left, right, left + right} <= known for left, right in merges):
            raise BundleError("the encoder's merges are not of its vocabulary")
        return pieces, merges

    @classmethod
    def _model(cls, ids: dict[str, int], state: list[tuple[str, str]]) -> models.Model:
        return models.BPE(vocab=ids, merges=state)


class WordPieceEncoder(_Subwords):
    """The longest pieces that fit (Schuster and Nakajima 2012).

    Bytes at the beginning of a word and within it are different pieces.
    """

    name = "wordpiece.v1"
    # Not the usual ##, which texts have.
    continuation = "\N{UNDERTIE}"
    required = frozenset((*_BYTES, *("\N{UNDERTIE}" + byte for byte in _BYTES)))
    joiner = decoders.Sequence([decoders.Replace("\N{UNDERTIE}", ""), decoders.ByteLevel()])

    @classmethod
    def _train(cls, chunks: list[str], size: int, known: SubwordSettings) -> tuple[list[str], None]:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=known.min_count,
            show_progress=False,
            special_tokens=sorted(cls.required),
            continuing_subword_prefix=cls.continuation,
        )
        model = _trained(cls._model({}, None), chunks, trainer)
        return sorted(model["vocab"], key=model["vocab"].__getitem__), None

    @classmethod
    def _model(cls, ids: dict[str, int], state: None) -> models.Model:
        return models.WordPiece(
            vocab=ids,
            unk_token=cls.reserved[UNKNOWN_ID],
            max_input_chars_per_word=1 << 12,
            continuing_subword_prefix=cls.continuation,
        )


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
        rows = _trained(models.Unigram(), chunks, trainer)["vocab"] if any(chunks) else []
        # The last digits differ from run to run.
        scores = {piece: round(score, 6) for piece, score in rows if set(piece) <= set(_BYTES)}
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
            tokens = tokens_of(ids_of(piece for piece, _ in rows), cls.reserved)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BundleError("the encoder's vocabulary is malformed") from None
        if not all(abs(score) < 1e6 for score in scores.values()):
            raise BundleError("the encoder's vocabulary has scores out of range")
        return tokens, scores

    @classmethod
    def _model(cls, ids: dict[str, int], state: Mapping[str, float]) -> models.Model:
        return models.Unigram([(token, state.get(token, 0.0)) for token in ids], 1, False)


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
    """The model part of a tokenizer that a trainer of `tokenizers` learns."""
    tokenizer = tokenizer_of(model, _cutter())
    tokenizer.train_from_iterator(chunks, trainer=trainer)
    return dict(json.loads(tokenizer.to_str())["model"])


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The merges in either form that `tokenizers` has written them."""
    try:
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        return msgspec.convert(pairs, list[tuple[str, str]])
    except (KeyError, TypeError, msgspec.ValidationError):
        raise BundleError("the encoder's merges are malformed") from None


def _size_for(sample: Sample) -> int:
    size = next((size for limit, size in _SIZES if sample.bytes < limit), _LARGEST)
    counts = count_points(chunk for chunk in sample.chunks if not chunk.isascii())
    frequent = sum(count >= _FREQUENT for count in counts.values())
    return min(max(size, 256 + 2 * frequent), _LARGEST)
