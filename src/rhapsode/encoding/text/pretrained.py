"""Text as the elements of an existing Hugging Face `tokenizer.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    END_ID,
    UNKNOWN_ID,
    UNKNOWN_TEXT,
    Encoder,
    Ids,
    IncrementalDecoder,
    without_surrogates,
)
from rhapsode.encoding.text.bytes import printable_bytes
from rhapsode.encoding.text.learnt import Sample, encode_chunks, unknown_in
from rhapsode.errors import BundleError, RhapsodeError, SettingsError

_DECODED = "as its tokenizer.json decodes"
_SAMPLE = 1_000_000
_MOST_IDS = 1 << 24
# A character has at most four bytes: text that still looks unfinished after so many elements is
# malformed.
_MOST_HELD = 16


@dataclass(frozen=True)
class ReadySettings:
    """Settings of `tokenizer.v1`."""

    file: str = ""
    """Path of the `tokenizer.json`; its content is saved in the model."""
    round_trip: Literal["", "lossless", "as its tokenizer.json decodes"] = ""
    """Written during training: the result of decoding an encoded sample of the text."""


class ReadyEncoder(Encoder):
    """Encoder with the elements of a `tokenizer.json`, without its special tokens.

    Every line is encoded, and decoded, by itself. The `tokenizer.json` is kept unchanged. Its ids
    differ from those of this encoder, which begin with end-of-sequence and unknown.

    Arguments:
        text: the `tokenizer.json`.
        settings: complete, as plain values.

    Raises:
        BundleError: `text` is not a `tokenizer.json`.
    """

    Settings = ReadySettings
    name = "tokenizer.v1"
    unknown_prompt = "element"

    def __init__(self, text: str, settings: Mapping[str, Any]) -> None:
        self._text = text
        self._tokenizer = _opened(text)
        tokens = self._tokenizer.get_vocab(with_added_tokens=True)
        special: set[int | None] = {
            index
            for index, token in self._tokenizer.get_added_tokens_decoder().items()
            if token.special
        }
        model = json.loads(text)["model"]
        special |= {tokens.get(str(model.get("unk_token"))), model.get("unk_id")}
        by_id = {index: token for token, index in tokens.items() if index not in special}
        self._theirs = sorted(by_id)
        size = max(self._theirs, default=0) + 1
        if size > _MOST_IDS:
            raise BundleError("the tokenizer's ids are out of range")
        super().__init__([by_id[index] for index in self._theirs], settings)
        self._ours = np.full(size, UNKNOWN_ID, dtype=np.uint32)
        self._ours[self._theirs] = np.arange(2, len(self._theirs) + 2, dtype=np.uint32)

    @property
    def round_trip(self) -> str:  # type: ignore[override]
        """Result of encoding and decoding a sample of the training text."""
        return str(self.settings["round_trip"])

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> ReadyEncoder:
        known = from_mapping(ReadySettings, settings, where="[encoder]")
        if not known.file:
            raise SettingsError(
                "no tokenizer.json given",
                where="[encoder] file",
                hint='write file = "path/to/tokenizer.json"',
            )
        try:
            text = Path(known.file).read_text(encoding="utf-8")
            encoder = cls(text, {"file": Path(known.file).name})
        except OSError as problem:
            raise SettingsError(f"cannot read it: {problem.strerror}", where=known.file) from None
        except ValueError:
            raise SettingsError("not UTF-8 text", where=known.file) from None
        except RhapsodeError as problem:
            raise SettingsError(problem.what, where=known.file) from None
        sample = map(without_surrogates, Sample(texts, _SAMPLE).chunks)
        exact = all(encoder.decode(encoder.encode(chunk)) == chunk for chunk in sample)
        encoder.settings["round_trip"] = "lossless" if exact else _DECODED
        return encoder

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> ReadyEncoder:
        known = from_mapping(ReadySettings, settings, where="encoder", error=BundleError)
        return cls(text, {"file": known.file, "round_trip": known.round_trip or _DECODED})

    def to_tokenizer_json(self) -> str:
        return self._text

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        theirs_N = encode_chunks(self._tokenizer, StringIO(without_surrogates(text)))
        known_N = np.minimum(theirs_N, len(self._ours) - 1)
        return np.where(known_N == theirs_N, self._ours[known_N], np.uint32(UNKNOWN_ID))

    def decoder(self) -> IncrementalDecoder:
        return _Stream(self._tokenizer, self._theirs)

    def element_bytes(self) -> tuple[bytes, ...]:
        try:
            kind = json.loads(self._text)["decoder"]["type"]
        except (KeyError, TypeError):
            kind = None
        if kind != "ByteLevel":
            raise SettingsError(
                "the tokenizer.json of this model is not byte-level: "
                "the text of an element depends on its neighbours",
                hint="leave it out, or use a model of characters, bytes, words or subwords",
            )
        values = {stand_in: byte for byte, stand_in in enumerate(printable_bytes())}
        return tuple(
            bytes(values[each] for each in piece) if set(piece) <= set(values) else piece.encode()
            for piece in self.vocabulary
        )

    def unknown_pieces(self, text: str) -> list[str]:
        chunks = StringIO(without_surrogates(text))
        return unknown_in(self._tokenizer, chunks, set(self._theirs))


class _Stream(IncrementalDecoder):
    """Incremental decoder of a ready tokenizer.

    Each element adds text to its line, which is held back while a character is unfinished. `decode`
    uses this stream, too, so that both agree for every tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, theirs: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._theirs = theirs
        self._shown: list[int] = []
        self._held: list[int] = []

    def feed(self, ids: Ids) -> str:
        pieces: list[str] = []
        for element in ids:
            if element == UNKNOWN_ID:
                pieces += (self.finish(), UNKNOWN_TEXT)
            elif element != END_ID:
                self._held.append(self._theirs[element - 2])
                new = self._new()
                if not new.endswith(UNKNOWN_TEXT) or len(self._held) >= _MOST_HELD:
                    pieces.append(self._release(new))
        return "".join(pieces)

    def finish(self) -> str:
        return self._release(self._new()) if self._held else ""

    def _new(self) -> str:
        before, whole = self._decoded(self._shown), self._decoded(self._shown + self._held)
        if whole.startswith(before):
            return whole[len(before) :]
        return self._decoded(self._held)

    def _decoded(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False)) if ids else ""

    def _release(self, new: str) -> str:
        if new.endswith("\n"):
            self._shown = []
        elif new:
            # Elements without text are kept too: they may say where the line began.
            self._shown = self._held
        else:
            self._shown = self._shown + self._held
        self._held = []
        return new


def _opened(text: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        tokenizer.decode(tokenizer.encode("a b\n", add_special_tokens=False).ids)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    # A panic in Rust is not an Exception.
    except BaseException:
        raise BundleError("the encoder's vocabulary is malformed: not a tokenizer.json") from None
    return tokenizer
