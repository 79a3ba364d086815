"""Texts as an encoder sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rhapsode.config import SourceSettings
from rhapsode.data import TextStore, find_copy, kitchen_log_prob, kitchen_record, local_copy
from rhapsode.data.corpora.catalogue import CATALOGUE
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.text import choose_encoding
from rhapsode.errors import DataError
from rhapsode.modalities.contract import silent
from rhapsode.modalities.ids.model import elements_of
from rhapsode.modalities.text.corpus import found_lines
from rhapsode.modalities.text.processes import counted, piece_size
from rhapsode.modalities.text.read_texts import prepare_texts

__all__ = ["fetch_corpus", "list_corpora", "show_source"]

MOST_SHOWN = 1_000_000
"""Characters of a document that are shown."""


def show_source(
    source: str,
    *,
    number: int = 0,
    encoding: str = "auto",
    settings: Mapping[str, Any] | None = None,
    reading: SourceSettings | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """One document of a source, and its elements under an encoding learnt on the whole source.

    Arguments:
        source: a file, folder or corpus.
        number: which document, from 0.
        encoding: name of the encoding, or "auto".
        settings: of the encoding.
        reading: how the source is read.
        tell: takes lines of what was noticed.

    Raises:
        DataError: nothing to read, or fewer documents.
        SettingsError: an unknown encoding or setting.
    """
    tell = tell or silent
    texts = prepare_texts([source], reading or SourceSettings(), tell)
    for line in found_lines(texts):
        tell(line)
    store = texts.store
    if not 0 <= number < len(store):
        raise DataError(
            f"there is no document {number}, they are numbered 0 to {len(store) - 1}",
            where=source,
        )
    name = encoding
    if name == "auto":
        some = (piece.text for piece in store.pieces(store.whole))
        name = choose_encoding(some, characters=store.characters)[0]
    learner = ENCODERS.get(name)
    pieces = store.pieces(store.whole, piece_size(learner))
    encoder = counted(learner, pieces, settings or {}, store.characters)
    text = "".join(_beginning(store, number))
    if len(text) < store.lengths_D[number]:
        tell(
            f"document {number} has {store.lengths_D[number]:,} characters; the first {len(text):,} are shown"
        )
    shown = {
        "source": store.names[number],
        "documents": len(store),
        "vocabulary": encoder.vocab_size,
        **elements_of(encoder, text),
    }
    if source == "kitchen":
        shown["record"] = kitchen_record(text)
        shown["log_prob"] = kitchen_log_prob(text)
    return shown


def _beginning(store: TextStore, number: int) -> Iterator[str]:
    """The pieces of a document, up to the first million characters."""
    parts = store.whole[number : number + 1].copy()
    parts[0, 2] = min(int(parts[0, 2]), MOST_SHOWN)
    for piece in store.pieces(parts):
        yield piece.text


def list_corpora() -> dict[str, dict[str, str]]:
    """The named corpora: what they are, their licences, and where they are now."""
    listed: dict[str, dict[str, str]] = {}
    for name, entry in CATALOGUE.items():
        place = "here"
        if entry.download is not None and find_copy(entry.download) is None:
            place = "to be fetched"
        listed[name] = {"title": entry.title, "licence": entry.licence, "place": place}
    return listed


def fetch_corpus(name: str) -> str:
    """Bring a named corpus onto this machine; where it is.

    Raises:
        DataError: no corpus of that name, or it cannot be fetched.
    """
    if name not in CATALOGUE:
        raise DataError(
            f"there is no corpus {name!r}", hint=f"known by name: {', '.join(CATALOGUE)}"
        )
    download = CATALOGUE[name].download
    return "embedded: nothing to fetch" if download is None else str(local_copy(name, download))
