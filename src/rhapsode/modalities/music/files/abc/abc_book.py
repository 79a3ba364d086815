"""Tune books in ABC notation, taken apart into tunes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TAGS = (
    "html|head|body|pre|br|p|div|span|hr|font|title|table|tr|td|th|center|script|style|meta|link"
    "|img|h[1-6]|ul|ol|li|xmp|textarea|!doctype"
)
_HTML = re.compile(rf"</?(?:{_TAGS})\b[^<>]*>", re.IGNORECASE)
_FIELD = re.compile(r"\s*([A-Za-z]):(.*)", re.DOTALL)
# Fields that may stand between lines of music. Other letters are notes there.
BODY_FIELDS = frozenset("IKLMmNPQRrsTUVWw")
# A line of music; letters that only stand for decorations of the user are taken for prose.
_MUSIC = re.compile(r"[\sA-Ga-gzxZXyHLMOPSTuv0-9/,'^_=|:\[\](){}<>~.\-\"!+&#*%\\$`]*")
_PROSE = re.compile(r"\b(?=[A-Za-z]*[hijklmnopqrstwyI-KNQRUWY])[A-Za-z]{3,}")
_MARKED = re.compile(r'"[^"]*"|![^!]*!|\+[^+]*\+|\[[A-Za-z]:[^\]]*\]')
_COMMENT = re.compile(r"(?<!\\)%.*")
_DIRECTIVE = re.compile(r"\s*(%%|I:)\s*(.*)")


@dataclass
class Tune:
    """A tune as lines.

    Arguments:
        line: number of its first line.
        number: after `X:`; empty without.
        title: after the first `T:`.
        fields: line number, letter and text of the fields before the music.
        body: line number and text of everything after them.
        source: text of the tune as the book has it.
        has_key: True after `K:`.
        prose: number of lines left out because they hold no music.
    """

    line: int
    number: str = ""
    title: str = ""
    fields: list[tuple[int, str, str]] = field(default_factory=list)
    body: list[tuple[int, str]] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    has_key: bool = False
    prose: int = 0

    @property
    def text(self) -> str:
        """The tune as the book has it."""
        return "\n".join(self.source).rstrip() + "\n"


def split_book(text: str) -> list[Tune]:
    """Tunes of a book.

    A tune begins with `X:`, or with `T:` after an empty line where there is none. An empty line
    ends it, unless a line of music follows. Fields before the first tune are defaults of all
    tunes. HTML, and text between tunes, is left out.
    """
    tunes: list[Tune] = []
    defaults: list[tuple[int, str, str]] = []
    tune: Tune | None = None
    is_open = False  # no empty line since the last line of the tune
    for line, raw in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        plain = _HTML.sub("", raw)
        if not plain.strip():
            is_open = is_open and bool(raw.strip())  # a line of HTML alone ends nothing
            continue
        found = _FIELD.fullmatch(_without_comment(plain))
        letter = found[1] if found else ""
        value = found[2].strip() if found else ""
        begins = letter == "X" or (
            letter == "T" and not is_open and (tune is None or bool(tune.body) or tune.has_key)
        )
        if begins:
            tune = Tune(line, number=value if letter == "X" else "", fields=list(defaults))
            tunes.append(tune)
            is_open = True
        elif not is_open and not (tune and tune.has_key and _goes_on(plain, letter)):
            if not tunes and letter and letter not in "TXKVP":
                defaults.append((line, letter, value))
            elif tune is None and _is_tune_of_its_own(plain):
                tune = Tune(line)
                tunes.append(tune)
                is_open = True
            else:
                continue
        if tune is None:
            continue
        is_open = True
        tune.source.append(plain.rstrip())
        _add(tune, line, plain, letter, value)
    return [tune for tune in tunes if tune.body or tune.has_key or tune.fields]


def _add(tune: Tune, line: int, text: str, letter: str, value: str) -> None:
    if letter and not tune.has_key and not tune.body:
        tune.fields.append((line, letter, value))
        if letter == "T" and not tune.title:
            tune.title = value
        tune.has_key = letter == "K"
    elif text.lstrip().startswith("%"):
        if text.lstrip().startswith("%%"):
            tune.body.append((line, text.strip()))
    elif letter not in BODY_FIELDS and _is_prose(text):
        tune.prose += 1
    else:
        tune.body.append((line, _line_of_music(text)))


def _without_comment(text: str) -> str:
    return text if text.lstrip().startswith("%%") else _COMMENT.sub("", text)


def _line_of_music(text: str) -> str:
    """A line without comment, continuation mark, and the line break `!` of old files."""
    text = _without_comment(text).rstrip().removesuffix("\\").rstrip()
    if text.endswith("!") and text.count("!") % 2:
        text = text[:-1].rstrip()
    return text


def _is_prose(text: str) -> bool:
    """True for a line of words without a bar line."""
    plain = _MARKED.sub(" ", _without_comment(text))
    return "|" not in plain and _PROSE.search(plain) is not None


def _goes_on(text: str, letter: str) -> bool:
    """True if a line after an empty one still belongs to the tune."""
    if letter:
        return letter in "PKMLVw" and letter not in "XT"
    return _is_tune_of_its_own(text)


def _is_tune_of_its_own(text: str) -> bool:
    """True if a line holds nothing but music, a bar line among it."""
    unquoted = re.sub(r'"[^"]*"', "", _without_comment(text))
    return "|" in unquoted and _MUSIC.fullmatch(unquoted) is not None


def tune_texts(text: str) -> Iterator[str]:
    """The text of each tune of a book."""
    for tune in split_book(text):
        yield tune.text
