"""Text encodings by name, and decoding with the position of faults."""

import codecs
import difflib
import encodings.aliases
import threading
from contextlib import closing
from typing import NamedTuple

from rhapsode.data.sources.blob import Open, Unreadable
from rhapsode.errors import SettingsError

# Bytes decoded at a time.
BLOCK = 1 << 20
# The error handler that replaces undecodable bytes by U+FFFD and counts them.
REPLACE = "rhapsode-replace"
_REFUSED = frozenset(
    {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "mbcs", "oem"}
)
_USUAL = ("utf-8", "utf-16", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "cp1252")


class Fault(NamedTuple):
    """Position and value of the first byte that cannot be decoded."""

    offset: int
    line: int
    byte: int


def find_codec(name: str) -> str:
    """Python's name of a text encoding.

    Raises:
        SettingsError: there is none of this name, or it does not decode bytes to text.
    """
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError, UnicodeError):
        aliases = encodings.aliases.aliases
        names = [*aliases, *aliases.values(), "utf-8", "utf-16"]
        near = difflib.get_close_matches(name.lower(), names, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise _no_codec(f"unknown encoding {name!r}", guess) from None
    bare = info.name.replace("-", "_")
    # Marked by Python for its own use; there is no other way to tell.
    if not getattr(info, "_is_text_encoding", True) or bare in _REFUSED:
        raise _no_codec(f"{name!r} is not an encoding of text files")
    return "utf-8" if bare == "utf_8_sig" else info.name


def _no_codec(what: str, guess: str = "") -> SettingsError:
    hint = f"{guess}usual ones: {', '.join(_USUAL)}"
    return SettingsError(what, where="text_encoding", hint=hint)


class Steps:
    """Incremental decoder that keeps track of its position in the file."""

    def __init__(self, codec: str, errors: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)(errors)
        self._codec = codec
        self._fed = self._lines = 0
        self.fault: Fault | None = None
        self.replaced = 0
        self.first_replaced = -1

    def feed(self, block: bytes, *, final: bool) -> str:
        """Decode the next block.

        At the first bytes that cannot be decoded, set `fault` and return an empty text.
        """
        self._fed += len(block)
        _HANDLER.bad = 0
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError as problem:
            before = problem.object[: problem.start].decode(self._codec, "replace")
            # What the decoder complains of ends where the block ends, whatever it kept from before.
            offset = self._fed - len(problem.object) + problem.start
            line = self._lines + before.count("\n") + 1
            self.fault = Fault(offset, line, problem.object[problem.start])
            return ""
        except UnicodeError:  # some decoders give up without saying where
            self.fault = Fault(self._fed - len(block), self._lines + 1, block[0] if block else 0)
            return ""
        if _HANDLER.bad:
            if not self.replaced:
                self.first_replaced = self._fed - _HANDLER.distance
            self.replaced += _HANDLER.bad
        self._lines += text.count("\n")
        return text


class _Handler(threading.local):
    """Error handler that replaces undecodable bytes by U+FFFD and counts them."""

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
codecs.register_error(REPLACE, _HANDLER)


def first_fault(opened: Open, codec: str) -> Fault | None:
    """First fault of a file; None if there is none."""
    steps, final = Steps(codec, "strict"), False
    with closing(opened()) as raw:
        while not final and steps.fault is None:
            block = raw.read(BLOCK)
            final = not block
            steps.feed(block, final=final)
    return steps.fault


def undecodable(fault: Fault, codec: str, where: str, hint: str | None = None) -> Unreadable:
    """Error that reports a fault."""
    shown = "UTF-8" if codec == "utf-8" else codec
    return Unreadable(
        f"not {shown} text: byte 0x{fault.byte:02x} at offset {fault.offset}, line {fault.line}",
        where=where,
        hint=hint or "use --errors replace or skip, or name another encoding with --text-encoding",
    )
