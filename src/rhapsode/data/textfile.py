"""Bytes of a file to text, block by block: which encoding, which line ends, what is no text at all.

Knows nothing of folders, archives or records. Memory stays at a few blocks whatever the size.
"""

import codecs
import difflib
import encodings.aliases
import io
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rhapsode.config import SourceSettings
from rhapsode.errors import DataError, SettingsError

__all__ = [
    "Found",
    "NotText",
    "Open",
    "Raw",
    "Unreadable",
    "find_codec",
    "read_up_to",
    "text_chunks",
]

BLOCK = 1 << 20
HEAD = 1 << 16  # bytes looked at for zeros
SAMPLE = 1 << 17  # bytes from the start, and again around the first fault, to guess from

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_REFUSED = frozenset(
    {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "mbcs", "oem"}
)
_USUAL = ("utf-8", "utf-16", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "cp1252")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\v\x1b")) + b"\x7f"
_VALID_UTF8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_ASCII = bytes(range(128))
_SINGLE_BYTE = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "koi8_r", "koi8_u", "cp874", "tis_620", "iso8859_2", "iso8859_5", "iso8859_6", "iso8859_7",
    "iso8859_8", "iso8859_15", "cp866", "cp850", "cp437", "mac_roman",
)  # fmt: skip
# The letters and marks that cp1252 text of western Europe is made of, beside ASCII.
_WESTERN = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœšžðþÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŒŠŽÐÞ"
    "«»‘’“”„‚‹›–—…•·°§©®™€£¥ªº¿¡¹²³½¼¾±×÷´¨¶µ\xa0\xad"
)
# The commonest Chinese characters, simplified and traditional: a third and more of any Chinese text.
_COMMON = frozenset(
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多"
    "天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身"
    "些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门"
    "相次东政海口使教西再平真听世气信北少关山水太五先军兵曰吾王马城这來個國說們為時會過對裡後麼沒於發當無開經頭面"
    "從動兩長樣現將與進實點種聲話問機給幾業間電東聽氣關軍馬書見"
)


class NotText(DataError):  # noqa: N818
    """A file that holds no text: an error when named, passed over within a folder."""


class Unreadable(DataError):  # noqa: N818
    """Bytes that are not what they ought to be: an error, unless such files are to be skipped."""


class Raw(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""

    def close(self) -> None:
        """Let go of it."""


Open = Callable[[], Raw]


@dataclass
class Found:
    """What reading has noticed, filled while iterating.

    Arguments:
        encodings: from file to the name of its encoding, where that is not UTF-8.
        skipped: files of folders and archives that were left out, each with the reason.
        incomplete: records left out because they lack a field.
        undecodable: bytes that were replaced.
        notes: remarks for the user, one line each.
    """

    encodings: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    incomplete: int = 0
    undecodable: int = 0
    notes: list[str] = field(default_factory=list)


class _Fault(NamedTuple):
    offset: int
    line: int
    byte: int


def find_codec(name: str) -> str:
    """The name Python has for a text encoding.

    Raises:
        SettingsError: there is none of this name, or it does not make text of bytes.
    """
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError, UnicodeError):
        near = difflib.get_close_matches(name.lower(), _names(), n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(
            f"unknown encoding {name!r}",
            where="text_encoding",
            hint=f"{guess}usual ones: {', '.join(_USUAL)}",
        ) from None
    bare = info.name.replace("-", "_")
    # Marked by Python for its own use; there is no other way to tell.
    if not getattr(info, "_is_text_encoding", True) or bare in _REFUSED:
        raise SettingsError(
            f"{name!r} is no encoding of text files",
            where="text_encoding",
            hint=f"usual ones: {', '.join(_USUAL)}",
        )
    return "utf-8" if bare == "utf_8_sig" else info.name


def text_chunks(
    opened: Open, where: str, settings: SourceSettings, found: Found, *, zeros: bool = False
) -> Iterator[str]:
    """The text of a file in chunks of about a million characters, without byte order mark.

    Arguments:
        opened: opens the file from its start; called more than once.
        where: its name, for messages.
        settings: `text_encoding`, `errors` and `newlines` are used.
        found: where encodings, replaced bytes and dropped zeros are noted.
        zeros: whether zero bytes say nothing against its being text.

    Raises:
        NotText: it is empty, or not text at all.
        DataError: bytes that are no text in the encoding, unless `errors` is "replace".
        SettingsError: an unknown encoding.
    """
    auto = settings.text_encoding == "auto"
    asked = "" if auto else find_codec(settings.text_encoding)
    raw = opened()
    try:
        head = read_up_to(raw, HEAD)
    finally:
        raw.close()
    if not head:
        raise NotText("the file is empty", where=where)
    if auto:
        codec = _detect(opened, head, where, settings, zeros=zeros)
    else:
        codec = _asked(head, asked)
        if not (zeros or codec.startswith(("utf-16", "utf-32"))):
            _refuse_zeros(head, where)
        if settings.errors == "skip" and (fault := _scan(opened, codec)):
            raise _undecodable(fault, codec, where)
    if codec not in {"utf-8", "ascii"}:
        found.encodings[where] = codec
    return _decode(opened, codec, where, settings, found)


def read_up_to(raw: Raw, size: int) -> bytes:
    """So many bytes of a stream that may give fewer at a time; fewer only at the end."""
    parts = []
    while size > 0 and (part := raw.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _names() -> list[str]:
    return [*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "utf-8", "utf-16"]


def _decode(
    opened: Open, codec: str, where: str, settings: SourceSettings, found: Found
) -> Iterator[str]:
    replace = settings.errors == "replace"
    turn = io.IncrementalNewlineDecoder(None, translate=True) if settings.newlines == "lf" else None
    steps = _Steps(codec, "rhapsode-replace" if replace else "strict")
    dropped, first, raw = 0, True, opened()
    try:
        final = False
        while not final:
            block = raw.read(BLOCK)
            final = not block
            text = steps.feed(block, final=final)
            if steps.fault:
                raise _undecodable(steps.fault, codec, where)
            if first and text:
                first = False
                text = text.removeprefix("\N{BYTE ORDER MARK}") if _is_unicode(codec) else text
            if "\0" in text:
                dropped += text.count("\0")
                text = text.replace("\0", "")
            if codec == "utf-7":  # the only one that lets half a pair through
                text = re.sub("[\ud800-\udfff]", "\ufffd", text)
            if turn is not None:
                text = turn.decode(text, final)
            if text:
                yield text
    finally:
        raw.close()
    if dropped:
        found.notes.append(f"{where}: {_count(dropped, 'zero byte')} dropped")
    if steps.replaced:
        found.undecodable += steps.replaced
        found.notes.append(
            f"{where}: {_count(steps.replaced, 'byte')} that {'is' if steps.replaced == 1 else 'are'} "
            f"not {codec} replaced by U+FFFD, the first at offset {steps.first_replaced}"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _is_unicode(codec: str) -> bool:
    return codec.startswith("utf") or codec == "gb18030"


class _Steps:
    """An incremental decoder that knows where in the file it is."""

    def __init__(self, codec: str, errors: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)(errors)
        self._codec = codec
        self._fed = self._lines = 0
        self.fault: _Fault | None = None
        self.replaced = 0
        self.first_replaced = -1

    def feed(self, block: bytes, *, final: bool) -> str:
        """The text so far; sets `fault` and returns nothing at the first bytes that are no text."""
        self._fed += len(block)
        _HANDLER.bad = 0
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError as problem:
            before = problem.object[: problem.start].decode(self._codec, "replace")
            # What the decoder complains of ends where the block ends, whatever it kept from before.
            offset = self._fed - len(problem.object) + problem.start
            line = self._lines + before.count("\n") + 1
            self.fault = _Fault(offset, line, problem.object[problem.start])
            return ""
        except UnicodeError:  # some decoders give up without saying where
            self.fault = _Fault(self._fed - len(block), self._lines + 1, block[0] if block else 0)
            return ""
        if _HANDLER.bad:
            if not self.replaced:
                self.first_replaced = self._fed - _HANDLER.distance
            self.replaced += _HANDLER.bad
        self._lines += text.count("\n")
        return text


class _Handler(threading.local):
    """Replaces what cannot be decoded by U+FFFD, counting."""

    bad = 0
    distance = 0

    def __call__(self, problem: UnicodeError) -> tuple[str, int]:
        if not isinstance(problem, UnicodeDecodeError):
            raise problem
        if not self.bad:
            self.distance = len(problem.object) - problem.start
        self.bad += problem.end - problem.start
        return "\ufffd", problem.end


_HANDLER = _Handler()
codecs.register_error("rhapsode-replace", _HANDLER)


def _scan(opened: Open, codec: str) -> _Fault | None:
    """The first fault of a file, read to its end."""
    raw = opened()
    try:
        steps = _Steps(codec, "strict")
        final = False
        while not final and steps.fault is None:
            block = raw.read(BLOCK)
            final = not block
            steps.feed(block, final=final)
        return steps.fault
    finally:
        raw.close()


def _undecodable(fault: _Fault, codec: str, where: str, hint: str | None = None) -> Unreadable:
    shown = "UTF-8" if codec == "utf-8" else codec
    return Unreadable(
        f"not {shown} text: byte 0x{fault.byte:02x} at offset {fault.offset}, line {fault.line}",
        where=where,
        hint=hint or "--errors replace or skip reads on, --text-encoding names another encoding",
    )


def _asked(head: bytes, codec: str) -> str:
    """A named codec, with the order of its bytes where the name leaves that open."""
    if codec not in {"utf-16", "utf-32"}:
        return codec
    for mark, marked in _BOMS:
        if head.startswith(mark) and marked.startswith(codec):
            return marked
    return _wide(head, whole=len(head) < HEAD) or f"{codec}-le"


def _refuse_zeros(head: bytes, where: str) -> None:
    zero = head.find(b"\0")
    if zero >= 0 and _controls(head) > 0.01:
        raise NotText(f"not a text file: a zero byte at offset {zero}", where=where)


def _detect(opened: Open, head: bytes, where: str, settings: SourceSettings, *, zeros: bool) -> str:
    for mark, codec in _BOMS:
        if head.startswith(mark):
            if settings.errors == "skip" and (fault := _scan(opened, codec)):
                raise _undecodable(fault, codec, where)
            return codec
    if b"\0" in head:
        wide = _wide(head, whole=len(head) < HEAD)
        if wide is not None and _scan(opened, wide) is None:
            return wide
        if not zeros:
            _refuse_zeros(head, where)
    fault = _scan(opened, "utf-8")
    if fault is None:
        return "utf-8"
    sample = _sample(opened, fault.offset)
    if _looks_utf8(sample):
        if settings.errors == "replace":
            return "utf-8"
        raise _undecodable(fault, "utf-8", where)
    candidates = _guesses(sample) if _controls(sample) <= 0.01 else []
    first: _Fault | None = None
    for candidate in candidates:
        damage = _scan(opened, candidate)
        if damage is None:
            return candidate
        first = first or damage
    if candidates and settings.errors == "replace":
        return candidates[0]
    if first is not None:
        likely = candidates[0]
        raise Unreadable(
            f"not UTF-8, and not whole as {likely}: byte 0x{first.byte:02x} at offset {first.offset}, line {first.line}",
            where=where,
            hint=f"if it is {likely} with damage: --text-encoding {likely} --errors replace",
        )
    raise NotText(
        f"not UTF-8 text: byte 0x{fault.byte:02x} at offset {fault.offset}, line {fault.line}, "
        "nor any other text that is recognised",
        where=where,
        hint="--text-encoding names its encoding",
    )


def _controls(sample: bytes) -> float:
    """Share of control characters."""
    return 1 - len(sample.translate(None, _CONTROLS)) / max(1, len(sample))


def _looks_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is sound UTF-8."""
    high = len(sample.translate(None, _ASCII))
    sound = sum(len(match[0]) for match in _VALID_UTF8.finditer(sample))
    return sound > 0.6 * high


def _sample(opened: Open, fault: int) -> bytes:
    """Bytes from the start, and from around the first fault where that lies further in."""
    raw = opened()
    try:
        head = read_up_to(raw, SAMPLE)
        if fault < SAMPLE - 4096:
            return head
        skip = max(0, fault - SAMPLE // 2 - SAMPLE)
        while skip > 0 and (part := raw.read(min(skip, BLOCK))):
            skip -= len(part)
        near = read_up_to(raw, SAMPLE)
    finally:
        raw.close()
    # Whole lines, so that no character is cut at the seam.
    return head[: head.rfind(b"\n") + 1] + near[near.find(b"\n") + 1 :]


def _wide(head: bytes, *, whole: bool) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, where zeros and characters look like it."""
    for size, names in ((4, ("utf-32-le", "utf-32-be")), (2, ("utf-16-le", "utf-16-be"))):
        if (whole and len(head) % size) or len(head) < size:
            continue
        cut = head[: len(head) // size * size]
        best, name = (0.0, 0), ""
        for codec in names:
            try:
                text = codecs.getincrementaldecoder(codec)().decode(cut)
            except UnicodeDecodeError:
                continue
            # The right order of bytes makes few blocks of characters; ASCII with zeros strewn in, many.
            blocks = Counter(ord(character) >> 8 for character in text)
            two = sum(count for _, count in blocks.most_common(2))
            if cut.isascii() and two < 0.9 * len(text):
                continue
            good = sum(
                unicodedata.category(character) not in {"Cc", "Cn", "Co", "Cs"}
                or character in "\t\n\r\f"
                for character in text
            )
            share = round(good / max(1, len(text)), 2)
            if (share, -len(blocks)) > best:
                best, name = (share, -len(blocks)), codec
        if best[0] >= 0.99:
            return name
    return None


def _guesses(sample: bytes) -> list[str]:
    """Encodings that the bytes may be text in, the likeliest first; none where nothing fits."""
    telling = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    likely = _east_asian(telling)
    if likely:
        return likely
    from charset_normalizer import from_bytes

    found = [
        (match.chaos, -match.coherence, name)
        for match in from_bytes(telling, cp_isolation=list(_SINGLE_BYTE), threshold=0.35)
        for name in dict.fromkeys((match.encoding, *match.could_be_from_charset))
    ]
    found.sort(key=lambda entry: (round(entry[0], 2), entry[1]))
    names = [name for _, _, name in found if name in _SINGLE_BYTE]
    try:
        western = sample.decode("cp1252")
    except UnicodeDecodeError:
        return names
    high = [character for character in western if not character.isascii()]
    if _WESTERN.issuperset(high) and (len(high) < 4 or _near_best(found)):
        return ["cp1252", *(name for name in names if name != "cp1252")]
    return names


def _near_best(found: list[tuple[float, float, str]]) -> bool:
    """Whether western European text is about as good a reading as any other."""
    mine = [entry for entry in found if entry[2] == "cp1252"]
    if not mine:
        return not found
    return mine[0][0] <= found[0][0] + 0.15 and mine[0][1] <= min(e[1] for e in found) + 0.15


def _east_asian(sample: bytes) -> list[str]:
    """Encodings of Chinese, Japanese and Korean whose commonest characters the text is made of."""
    scores: list[tuple[float, str]] = []
    for codec in ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"):
        steps = codecs.getincrementaldecoder(codec)("replace")
        text = steps.decode(sample)
        high = [character for character in text if not character.isascii()]
        if not high or text.count("\ufffd") > 0.01 * len(high):
            continue
        kana = sum("\u3041" <= character <= "\u30fe" for character in high) / len(high)
        hangul = sum("\uac00" <= character <= "\ud7a3" for character in high) / len(high)
        common = sum(character in _COMMON for character in high) / len(high)
        if codec in {"gb18030", "big5hkscs"}:
            score = 3 * common if kana < 0.1 else 0.0
        else:
            score = hangul if codec == "cp949" else 2 * kana
        if score > 0.4 and len(high) >= 4:
            scores.append((score, codec))
    return [codec for _, codec in sorted(scores, reverse=True)]
