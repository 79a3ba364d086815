"""Automatic choice of an encoding for a corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_MOST_CHARACTERS = 12_000
_LONG = 20_000_000
_LOOK_AT = 8_000_000
_SCRIPTS = (
    ("mostly Han", re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")),
    ("mostly Japanese", re.compile("[\u3040-\u30ff]")),
    ("mostly Korean", re.compile("[\u1100-\u11ff\uac00-\ud7af]")),
)


def choose_encoding(texts: Iterable[str], *, characters: int | None = None) -> tuple[str, str]:
    """Choose an encoding for `--encoding auto`: its registered name and the reason.

    Arguments:
        texts: read until the answer is known; up to 8 million characters are counted.
        characters: length of all of them; None: it is counted.
    """
    counts: Counter[str] = Counter()
    seen, length = 0, 0
    for text in texts:
        length += len(text)
        if seen < _LOOK_AT:
            part = text[: _LOOK_AT - seen]
            seen += len(part)
            counts.update(part)
        enough = seen >= _LOOK_AT and characters is not None
        if enough or length > _LONG or len(counts) > _MOST_CHARACTERS:
            break
    length = max(length, characters or 0)
    if len(counts) > _MOST_CHARACTERS:
        return "bpe.v1", f"{_script(counts)} of more than {_MOST_CHARACTERS:,} distinct characters"
    if length > _LONG:
        return "bpe.v1", f"{_script(counts)} of more than {_LONG:,} characters"
    return (
        "characters.v1",
        f"{_script(counts)} of {length:,} characters, {len(counts):,} distinct characters",
    )


def _script(counts: Counter[str]) -> str:
    letters = sum(count for character, count in counts.items() if character.isalpha())
    for name, pattern in _SCRIPTS:
        if 2 * sum(count for one, count in counts.items() if pattern.match(one)) > letters:
            return f"{name} text"
    return "alphabetic text" if letters else "text without letters"
