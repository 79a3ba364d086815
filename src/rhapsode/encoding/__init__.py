"""Documents to elements and back. No torch."""

from rhapsode.encoding.bytes import ByteEncoder
from rhapsode.encoding.characters import CharacterEncoder
from rhapsode.encoding.chinese import JiebaEncoder
from rhapsode.encoding.choose import choose_encoding
from rhapsode.encoding.contract import (
    ENCODERS,
    END_ID,
    UNKNOWN_ID,
    CountingEncoder,
    Encoder,
    IncrementalDecoder,
    encoder_from_mapping,
)
from rhapsode.encoding.ready import ReadyEncoder
from rhapsode.encoding.subwords import BpeEncoder, UnigramEncoder, WordPieceEncoder
from rhapsode.encoding.words import WordEncoder

__all__ = [
    "ENCODERS",
    "END_ID",
    "UNKNOWN_ID",
    "BpeEncoder",
    "ByteEncoder",
    "CharacterEncoder",
    "CountingEncoder",
    "Encoder",
    "IncrementalDecoder",
    "JiebaEncoder",
    "ReadyEncoder",
    "UnigramEncoder",
    "WordEncoder",
    "WordPieceEncoder",
    "choose_encoding",
    "encoder_from_mapping",
]
