"""Detection of text files and of their character encodings."""

import codecs
import re
import unicodedata
from collections import Counter
from contextlib import closing

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import NotText, Open, Unreadable, read_up_to
from rhapsode.data.sources.decoding import BLOCK, Fault, first_fault, undecodable

# Bytes looked at for zeros.
HEAD = 1 << 16
# Bytes from the start, and again around the first fault, to guess from.
SAMPLE = 1 << 17

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
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
# The commonest Chinese characters, simplified and traditional: a third of any Chinese text.
_COMMON = frozenset(
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多"
    "天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身"
    "些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门"
    "相次东政海口使教西再平真听世气信北少关山水太五先军兵曰吾王马城这來個國說們為時會過對裡後麼沒於發當無開經頭面"
    "從動兩長樣現將與進實點種聲話問機給幾業間電東聽氣關軍馬書見"
)


def byte_order(head: bytes, codec: str) -> str:
    """A named codec with its byte order.

    The first bytes determine the order if the name leaves it open.
    """
    if codec not in {"utf-16", "utf-32"}:
        return codec
    for mark, marked in _BOMS:
        if head.startswith(mark) and marked.startswith(codec):
            return marked
    return _wide(head, whole=len(head) < HEAD) or f"{codec}-le"


def refuse_zeros(head: bytes, where: str) -> None:
    """Raise an error if zeros and control characters indicate binary data.

    Raises:
        NotText: binary data, with the offset of the first zero.
    """
    zero = head.find(b"\0")
    if zero >= 0 and _controls(head) > 0.01:
        raise NotText(f"not a text file: a zero byte at offset {zero}", where=where)


def detect(opened: Open, head: bytes, where: str, settings: SourceSettings, *, zeros: bool) -> str:
    """Detect the encoding of a file.

    The whole file can be decoded in it, or its damage will be replaced.

    Arguments:
        opened: opens it from the start.
        head: its first `HEAD` bytes.
        where: its name, for messages.
        settings: `errors` is used.
        zeros: True if text may contain zero bytes.

    Raises:
        NotText: no encoding fits.
        Unreadable: one fits, except for some bytes.
    """
    for mark, codec in _BOMS:
        if head.startswith(mark):
            if settings.errors == "skip" and (fault := first_fault(opened, codec)):
                raise undecodable(fault, codec, where)
            return codec
    if b"\0" in head:
        wide = _wide(head, whole=len(head) < HEAD)
        if wide is not None and first_fault(opened, wide) is None:
            return wide
        if not zeros:
            refuse_zeros(head, where)
    fault = first_fault(opened, "utf-8")
    if fault is None:
        return "utf-8"
    sample = _sample(opened, fault.offset)
    if _looks_utf8(sample):
        if settings.errors == "replace":
            return "utf-8"
        raise undecodable(fault, "utf-8", where)
    candidates = _guesses(sample) if _controls(sample) <= 0.01 else []
    first: Fault | None = None
    for candidate in candidates:
        damage = first_fault(opened, candidate)
        if damage is None:
            return candidate
        first = first or damage
    if candidates and settings.errors == "replace":
        return candidates[0]
    if first is not None:
        likely = candidates[0]
        raise Unreadable(
            f"neither valid UTF-8 nor valid {likely}: byte 0x{first.byte:02x} "
            f"at offset {first.offset}, line {first.line}",
            where=where,
            hint=f"if it is damaged {likely}, use --text-encoding {likely} --errors replace",
        )
    raise NotText(
        f"not UTF-8 text: byte 0x{fault.byte:02x} at offset {fault.offset}, line {fault.line}, "
        "and no other encoding was detected",
        where=where,
        hint="name its encoding with --text-encoding",
    )


def _controls(sample: bytes) -> float:
    return 1 - len(sample.translate(None, _CONTROLS)) / max(1, len(sample))


def _looks_utf8(sample: bytes) -> bool:
    high = len(sample.translate(None, _ASCII))
    sound = sum(len(match[0]) for match in _VALID_UTF8.finditer(sample))
    return sound > 0.6 * high


def _sample(opened: Open, fault: int) -> bytes:
    with closing(opened()) as raw:
        head = read_up_to(raw, SAMPLE)
        if fault < SAMPLE - 4096:
            return head
        skip = max(0, fault - SAMPLE // 2 - SAMPLE)
        while skip > 0 and (part := raw.read(min(skip, BLOCK))):
            skip -= len(part)
        near = read_up_to(raw, SAMPLE)
    # Whole lines, so that no character is cut at the seam.
    return head[: head.rfind(b"\n") + 1] + near[near.find(b"\n") + 1 :]


def _wide(head: bytes, *, whole: bool) -> str | None:
    """Detect UTF-16 or UTF-32 without a byte order mark."""
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
            # The right order of bytes makes few blocks of characters; ASCII with zeros, many.
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
    """Possible encodings of bytes, the likeliest first; empty if none fits."""
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
    """True if cp1252 fits about as well as any other encoding."""
    mine = [entry for entry in found if entry[2] == "cp1252"]
    if not mine:
        return not found
    return mine[0][0] <= found[0][0] + 0.15 and mine[0][1] <= min(e[1] for e in found) + 0.15


def _east_asian(sample: bytes) -> list[str]:
    """Likely Chinese, Japanese and Korean encodings, the likeliest first.

    An encoding is likely if the decoded text has many of its commonest characters. A word counts
    once, since a table may repeat one in each row.
    """
    scores: list[tuple[float, str]] = []
    for codec in ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"):
        steps = codecs.getincrementaldecoder(codec)("replace")
        text = "\n".join(dict.fromkeys(re.findall(r"[^\x00-\x7f]+", steps.decode(sample))))
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
        if codec == "cp932" and common > 0.05 and _is_kanji(text, len(high)):
            score = max(score, 1.0)  # tables have hardly any kana
        if score > 0.4 and len(high) >= 4:
            scores.append((score, codec))
    return [codec for _, codec in sorted(scores, reverse=True)]


def _is_kanji(text: str, high: int) -> bool:
    """True if most characters beyond ASCII stand in words, of usual Japanese characters."""
    words = "".join(re.findall(r"[^\x00-\x7f]{2,}", text))
    leads = [character.encode("cp932", "replace")[0] for character in words]
    return 2 * len(words) > high and sum(0x81 <= lead <= 0x98 for lead in leads) > 0.9 * len(words)
