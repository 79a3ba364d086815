"""One document of texts as an encoder sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rhapsode.data import TextStore, kitchen_log_prob, kitchen_record
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.text import choose_encoding
from rhapsode.errors import DataError
from rhapsode.modalities.contract import Tell
from rhapsode.modalities.ids.model import IdsSeen, elements_of
from rhapsode.modalities.text.corpus import found_lines
from rhapsode.modalities.text.reading.processes import counted, piece_size
from rhapsode.modalities.text.reading.read_texts import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["TextSeen", "show_text"]

MOST_SHOWN = 1_000_000
"""Characters of a document that are shown."""
FIRST = 400
"""Elements that a terminal shows."""


@dataclass(frozen=True)
class TextSeen(IdsSeen):
    """One document and its elements.

    Arguments:
        mapping: plain values.
        number: of the document, from 0.
    """

    number: int

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rich.text import Text

        from rhapsode.views.candidates import elements_text

        found = self.mapping
        facts = f"{found['encoding']}, {found['vocabulary']:,} elements"
        place = f"document {self.number} of {found['documents']:,}"
        blocks: list[RenderableType] = [
            Text.assemble((found["source"], "bold"), f"  {place}; {facts}"),
            "",
            Text(found["text"][: FIRST * 4]),
            elements_text(found, most=FIRST),
        ]
        if len(found["ids"]) > FIRST:
            left = f"the first {FIRST} of {len(found['ids']):,} elements; --json prints all"
            blocks.append(Text(left, style="dim"))
        if "log_prob" in found:
            blocks.append(f"log-probability under the grammar: {found['log_prob']:.4f} nats")
        return blocks


def show_text(sources: Sequence[str], number: int, settings: TrainSettings, tell: Tell) -> TextSeen:
    """One document of sources, and its elements under an encoding learnt on all of them.

    Arguments:
        sources: files, folders, corpora.
        number: which document, from 0.
        settings: `encoding`, `encoder` and `source` are used.
        tell: takes lines of what was noticed.

    Raises:
        DataError: nothing to read, or fewer documents.
        SettingsError: an unknown encoding or setting.
    """
    texts = prepare_texts(sources, settings.source, tell)
    for line in found_lines(texts):
        tell(line)
    store = texts.store
    if not 0 <= number < len(store):
        raise DataError(
            f"there is no document {number}, they are numbered 0 to {len(store) - 1}",
            where=", ".join(sources),
        )
    name = settings.encoding
    if name == "auto":
        some = (piece.text for piece in store.pieces(store.whole))
        name = choose_encoding(some, characters=store.characters)[0]
    learner = ENCODERS.get(name)
    pieces = store.pieces(store.whole, piece_size(learner))
    encoder = counted(learner, pieces, settings.encoder, store.characters)
    text = "".join(_beginning(store, number))
    length = store.lengths_D[number]
    if len(text) < length:
        tell(f"document {number} has {length:,} characters; the first {len(text):,} are shown")
    found = {
        "source": store.names[number],
        "documents": len(store),
        "vocabulary": encoder.vocab_size,
        **elements_of(encoder, text),
    }
    if list(sources) == ["kitchen"]:
        found["record"] = kitchen_record(text)
        found["log_prob"] = kitchen_log_prob(text)
    return TextSeen(found, number)


def _beginning(store: TextStore, number: int) -> Iterator[str]:
    """The pieces of a document, up to the first million characters."""
    parts = store.whole[number : number + 1].copy()
    parts[0, 2] = min(int(parts[0, 2]), MOST_SHOWN)
    for piece in store.pieces(parts):
        yield piece.text
