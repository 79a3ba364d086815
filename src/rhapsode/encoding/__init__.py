"""Documents to elements and back. No torch."""

from rhapsode.encoding.bytes import ByteEncoder
from rhapsode.encoding.characters import CharacterEncoder
from rhapsode.encoding.choose import choose_encoding
from rhapsode.encoding.contract import (
    ENCODERS,
    END_ID,
    UNKNOWN_ID,
    Encoder,
    IncrementalDecoder,
    encoder_from_mapping,
)
from rhapsode.encoding.words import WordEncoder

__all__ = [
    "ENCODERS",
    "END_ID",
    "UNKNOWN_ID",
    "ByteEncoder",
    "CharacterEncoder",
    "Encoder",
    "IncrementalDecoder",
    "WordEncoder",
    "choose_encoding",
    "encoder_from_mapping",
]
