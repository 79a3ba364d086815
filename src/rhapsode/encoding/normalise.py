"""Normalisation of texts before encoding; none by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import normalizers

from rhapsode.encoding.contract import line_chunks, without_surrogates
from rhapsode.errors import MissingExtraError

_FORMS = {
    "nfc": normalizers.NFC,
    "nfkc": normalizers.NFKC,
    "nfd": normalizers.NFD,
    "nfkd": normalizers.NFKD,
}
_CONVERSIONS = {"simplified": "t2s", "traditional": "s2t"}


@dataclass(frozen=True)
class NormalSettings:
    """Normalisation of a text before any text encoding."""

    lowercase: bool = False
    """Convert the text to lower case; capital letters are lost."""
    unicode: Literal["", "nfc", "nfkc", "nfd", "nfkd"] = ""
    """Convert the text to this Unicode normalisation form; the original composition of characters
    is lost."""
    chinese: Literal["", "simplified", "traditional"] = ""
    """Convert Chinese characters to simplified or traditional ones with OpenCC (extra `zh`); the
    original ones are lost. An exported `tokenizer.json` does not contain the conversion and expects
    converted text."""


class Normaliser:
    """Normalisation of texts by `NormalSettings`.

    Arguments:
        known: the settings.

    Raises:
        MissingExtraError: the conversion of Chinese is not installed.
    """

    def __init__(self, known: NormalSettings) -> None:
        form = [_FORMS[known.unicode]()] if known.unicode else []
        small = [normalizers.Lowercase()] if known.lowercase else []
        # Lower-case letters may compose where their capitals did not, as in J with caron.
        self.steps: list[normalizers.Normalizer] = [*form, *small, *(form if small else [])]
        """Steps of `tokenizers`, which an exported `tokenizer.json` contains, too."""
        self._sequence = normalizers.Sequence(self.steps)
        self._convert = _converter(known.chinese) if known.chinese else None

    def converted(self, text: str) -> str:
        """Convert Chinese characters and replace halves of surrogate pairs."""
        text = without_surrogates(text)
        if self._convert is None:
            return text
        return "".join([str(self._convert(chunk)) for chunk in line_chunks(text)])

    def __call__(self, text: str) -> str:
        """The normalised text."""
        if self._convert is None and not self.steps:
            return text
        text = self.converted(text)
        if not self.steps:
            return text
        return "".join([self._sequence.normalize_str(chunk) for chunk in line_chunks(text)])


def stated(known: NormalSettings, *, lost: Iterable[str] = ()) -> str:
    """Description of the round trip in words.

    Arguments:
        known: the settings.
        lost: losses of the encoding itself.
    """
    missing = [*(["capitals"] if known.lowercase else []), *lost]
    forms = [f"Unicode {known.unicode.upper()}"] if known.unicode else []
    if known.chinese:
        forms.append(f"{known.chinese} Chinese")
    named = {"without": missing, "with": forms}
    parts = [f"{word} {', '.join(names)}" for word, names in named.items() if names]
    return ", ".join(parts) or "lossless"


def _converter(to: str) -> Callable[[str], Any]:
    try:
        from opencc import OpenCC
    except ImportError:
        raise MissingExtraError("zh", "converting Chinese characters") from None
    convert: Callable[[str], Any] = OpenCC(_CONVERSIONS[to]).convert
    return convert
