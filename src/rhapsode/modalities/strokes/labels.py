"""Texts of drawings, as what a model writes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhapsode.data import Condition, SourceStore
from rhapsode.encoding import ENCODERS, Encoder
from rhapsode.errors import DataError, EncodingError
from rhapsode.modalities.strokes.files import Specimen

ENCODING = "characters.v1"


def learn_characters(texts: Sequence[str]) -> Encoder:
    """An encoder of the characters of texts."""
    encoder: Encoder = ENCODERS.get(ENCODING).learn(iter(texts), {})
    return encoder


def condition_of(texts: Sequence[str], encoder: Encoder) -> Condition:
    """Texts as a condition, one a row.

    Characters that were never seen are unknown.
    """
    store = SourceStore.of([encoder.encode(text) for text in texts])
    return store.condition(np.arange(len(store), dtype=np.int64))


def check_seen(text: str, encoder: Encoder) -> None:
    """Refuse a text with characters that were never seen.

    Raises:
        EncodingError: there are such characters, or none at all.
    """
    if not text.strip():
        raise EncodingError(
            "there is no text to write",
            hint='this model writes given texts: rhapsode write MODEL "a text"',
        )
    strange = encoder.unknown(text)
    if strange:
        raise EncodingError(
            f"the model has never seen {', '.join(map(repr, strange))} written",
            hint="leave them out, or add --unknown skip",
        )


def text_of(specimen: Specimen, *, names: bool = True) -> str:
    """The text of a drawing in one line; empty without one.

    Arguments:
        specimen: the drawing.
        names: whether its name counts where it has no text.
    """
    text = " ".join((specimen.text or "").split())
    return text or " ".join((specimen.label or "").split() if names else ())


def own_texts(specimens: Sequence[Specimen], use: str) -> list[str] | None:
    """The texts that a model is to write from; None without.

    Names of drawings count only where texts are asked for.

    Arguments:
        specimens: the drawings.
        use: the setting.

    Raises:
        DataError: a text is missing, and texts are to be used.
    """
    texts = [text_of(specimen, names=use == "always") for specimen in specimens]
    missing = sum(not text for text in texts)
    if use == "never" or (use == "auto" and missing):
        return None
    if missing:
        raise DataError(
            f"{missing:,} of {len(texts):,} drawings have no text",
            hint='give every drawing a "text" beside its strokes',
        )
    return texts
