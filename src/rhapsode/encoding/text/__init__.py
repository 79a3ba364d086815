"""Encoders of text: characters, bytes, words, subwords, segmented Chinese.

Each is loaded when it is asked for: who continues a text needs one of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rhapsode.encoding.contract import ENCODERS

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
    "ByteEncoder": "bytes",
    "CharacterEncoder": "characters",
    "JiebaEncoder": "chinese",
    "ReadyEncoder": "pretrained",
    "BpeEncoder": "subwords",
    "WordPieceEncoder": "subwords",
    "UnigramEncoder": "subwords",
    "WordEncoder": "words",
    "choose_encoding": "choice",
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
    ENCODERS.register_at(_name, f"{__name__}.{_PLACES[_class]}:{_class}", aliases=_aliases)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
