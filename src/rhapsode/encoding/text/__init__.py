"""Encoders of text: characters, bytes, words, subwords, segmented Chinese."""

from rhapsode.encoding.text.bytes import ByteEncoder
from rhapsode.encoding.text.characters import CharacterEncoder
from rhapsode.encoding.text.chinese import JiebaEncoder
from rhapsode.encoding.text.choice import choose_encoding
from rhapsode.encoding.text.pretrained import ReadyEncoder
from rhapsode.encoding.text.subwords import BpeEncoder, UnigramEncoder, WordPieceEncoder
from rhapsode.encoding.text.words import WordEncoder

__all__ = [
    "BpeEncoder",
    "ByteEncoder",
    "CharacterEncoder",
    "JiebaEncoder",
    "ReadyEncoder",
    "UnigramEncoder",
    "WordEncoder",
    "WordPieceEncoder",
    "choose_encoding",
]
