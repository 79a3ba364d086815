"""Metrics of models of text: sizes in words and characters, spelling, writing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rhapsode.config import SourceSettings
from rhapsode.data import ElementStore, Parts, TextStore
from rhapsode.encoding import Encoder
from rhapsode.evaluation import Text
from rhapsode.files import source_name
from rhapsode.modalities.ids.metrics import Evaluation, IdPart
from rhapsode.modalities.text.corpus import encode_parts, read_texts
from rhapsode.modalities.text.spelling import Speller

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel


UNSPACED = 0.2
# Scripts that do not set words apart: Thai, Lao, Burmese, Khmer, Kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af]"
)


@dataclass(frozen=True)
class TextPart(IdPart):
    """Documents to score.

    Arguments:
        texts: the documents.
        parts: which parts of them are scored.
    """

    texts: TextStore
    parts: Parts

    @classmethod
    def of(cls, store: ElementStore, texts: TextStore, parts: Parts, split: str) -> TextPart:
        """Parts of documents, and their elements."""
        opening_P = parts[:, 1] == 0
        opening_P[:1] = True  # where the first document is cut, the store begins in its middle
        names = [texts.names[document] for document in parts[opening_P, 0].tolist()]
        return cls(store, split, names, texts, parts)


@dataclass(frozen=True, repr=False)
class TextEvaluation(Evaluation):
    """Figures of a sweep over a text, and measures of generated text.

    Arguments:
        writing: measures of generated text beside the scored text; see `measure_model`.
    """

    writing: dict[str, Any] | None = None


def read_part(model: TextModel, sources: Sequence[Any], source: SourceSettings | None) -> TextPart:
    """All documents of sources, encoded.

    Arguments:
        model: gives the default reading settings.
        sources: files, folders, corpora.
        source: reading settings; None: as in training, whole.

    Raises:
        DataError: the sources cannot be read.
    """
    settings = source or model.source_settings(sources)
    texts = read_texts(sources, settings)
    bundle = model.bundle
    source_encoder = model.source_encoder
    if source_encoder is None:
        store = encode_parts(texts, texts.whole, bundle.encoder)
    else:
        from rhapsode.modalities.text.pairs.pair_corpus import encode_pairs, pairs_of

        pairs = list(pairs_of(texts, texts.whole))
        store = encode_pairs(pairs, bundle.encoder, source_encoder)
    named = ", ".join(map(source_name, sources))
    if settings.pattern is not None:
        named += f", only files that match {settings.pattern}"
    which = (
        "all" if settings.limit is None else f"the first {settings.limit:,} records, files or lines"
    )
    return TextPart.of(store, texts, texts.whole, f"{which} of {named}")


def text_facts(texts: TextStore, parts: Parts, encoder: Encoder, *, unknown: int) -> Text:
    """Text statistics that figures need.

    Arguments:
        texts: the documents.
        parts: which of them are scored.
        encoder: names the pieces without an element.
        unknown: how many elements are unknown; without any, nothing is spelled.
    """
    words = characters = unspaced = 0
    pieces: Counter[str] = Counter()
    for piece in texts.pieces(parts):
        text = piece.text[piece.prompt :]
        words += len(text.split())
        characters += len(text)
        unspaced += len(_UNSPACED.findall(text))
        if unknown:
            pieces.update(encoder.unknown_pieces(text))
    spaced = words if unspaced < UNSPACED * characters else None
    if not pieces:
        return Text(spaced)
    speller = Speller(encoder.vocabulary)
    return Text(spaced, speller.nats(pieces), speller.name)
