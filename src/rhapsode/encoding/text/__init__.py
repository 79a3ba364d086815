"""Encoders of text: characters, bytes, words, subwords, segmented Chinese.

Each is loaded on first use: continuing a text needs only one of them.
"""

from typing import TYPE_CHECKING

from rhapsode.encoding.contract import ENCODERS
from rhapsode.late import late_names

if TYPE_CHECKING:
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

_PLACES = {
    "ByteEncoder": ".bytes",
    "CharacterEncoder": ".characters",
    "JiebaEncoder": ".chinese",
    "ReadyEncoder": ".pretrained",
    "BpeEncoder": ".subwords",
    "WordPieceEncoder": ".subwords",
    "UnigramEncoder": ".subwords",
    "WordEncoder": ".words",
    "choose_encoding": ".choice",
}

for _name, _class, _aliases in (
    ("bytes.v1", "ByteEncoder", ("byte",)),
    ("characters.v1", "CharacterEncoder", ("character", "chars", "char")),
    ("jieba.v1", "JiebaEncoder", ()),
    ("tokenizer.v1", "ReadyEncoder", ()),
    ("bpe.v1", "BpeEncoder", ()),
    ("wordpiece.v1", "WordPieceEncoder", ()),
    ("unigram.v1", "UnigramEncoder", ()),
    ("words.v1", "WordEncoder", ("word",)),
):
    ENCODERS.register_at(_name, f"{__name__}{_PLACES[_class]}:{_class}", aliases=_aliases)

__getattr__ = late_names(__name__, _PLACES)
