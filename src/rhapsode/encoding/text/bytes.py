"""Text as its UTF-8 bytes: 256 elements, and no unknown ones."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import decoders, models, pre_tokenizers

from rhapsode.config import from_mapping
from rhapsode.encoding.contract import (
    UNKNOWN_TEXT,
    Encoder,
    Ids,
    IncrementalDecoder,
    vocabulary_of,
)
from rhapsode.encoding.text.learnt import ids_of, tokenizer_of
from rhapsode.errors import BundleError, EncodingError

_RESERVED = ("<end>", "<unknown>")
_FIRST = 2
_RAW = [bytes((byte,)) for byte in range(256)]


@dataclass(frozen=True)
class ByteSettings:
    """`bytes.v1` has no settings."""


def printable_bytes() -> list[str]:
    """Printable stand-ins for bytes in byte-level tokenizers (GPT-2's table)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(0x100 + others.index(byte)) for byte in range(256)]


class Utf8(IncrementalDecoder):
    """Decoder of bytes: never half a character, malformed bytes as U+FFFD.

    Arguments:
        pieces: the bytes of every id from 2 on.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, ids: Ids) -> str:
        text: list[str] = []
        waiting: list[bytes] = []
        for element in ids:
            if element >= _FIRST:
                waiting.append(self._pieces[element - _FIRST])
            elif element == 1:
                text += (self._decoder.decode(b"".join(waiting), final=True), UNKNOWN_TEXT)
                waiting = []
        text.append(self._decoder.decode(b"".join(waiting)))
        return "".join(text)

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


class ByteEncoder(Encoder):
    """One element a byte: id 2 + byte. Lossless for all text."""

    Settings = ByteSettings
    name = "bytes.v1"
    round_trip = "lossless"
    unknown_prompt = "error"

    def __init__(self) -> None:
        super().__init__(printable_bytes(), {})

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> ByteEncoder:
        from_mapping(ByteSettings, settings, where="[encoder]")
        return cls()

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> ByteEncoder:
        from_mapping(ByteSettings, settings, where="encoder", error=BundleError)
        if vocabulary_of(text, reserved=_RESERVED) != printable_bytes():
            raise BundleError("the encoder's vocabulary is not the 256 bytes")
        return cls()

    def to_tokenizer_json(self) -> str:
        tokenizer = tokenizer_of(
            models.BPE(vocab=ids_of((*_RESERVED, *self.vocabulary)), merges=[]),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            decoder=decoders.ByteLevel(),
        )
        return str(tokenizer.to_str())

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        try:
            # Bytes of a command line that are not UTF-8 arrive escaped; here they are just bytes.
            raw = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as problem:
            raise EncodingError(
                f"half of a surrogate pair at character {problem.start}", where="text"
            ) from None
        return np.frombuffer(raw, dtype=np.uint8).astype(np.uint16) + np.uint16(_FIRST)

    def decoder(self) -> IncrementalDecoder:
        return Utf8(_RAW)

    def element_bytes(self) -> tuple[bytes, ...]:
        return tuple(_RAW)

    def unknown_pieces(self, text: str) -> list[str]:
        return []

    def without_unknown(self, text: str) -> str:
        return text

    def label(self, element: int) -> str:
        byte = element - _FIRST
        if element < _FIRST or 0x20 < byte < 0x7F:
            return super().label(element)
        return f"0x{byte:02x}"
