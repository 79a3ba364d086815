"""Surveys of texts, and one document as an encoder sees it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from rhapsode.data import (
    ElementStore,
    Splits,
    TextStore,
    first_copies,
    kitchen_log_prob,
    kitchen_record,
)
from rhapsode.data.statistics import (
    TextCounts,
    coverage,
    frequency_curve,
    lengths_summary,
    zipf_exponent,
)
from rhapsode.encoding import ENCODERS, END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.log import log
from rhapsode.modalities.contract import SplitName, Surveyed
from rhapsode.modalities.ids.next_elements import IdsSeen, elements_of
from rhapsode.modalities.text.checks import text_warnings
from rhapsode.modalities.text.corpus import (
    TextCorpus,
    count_characters,
    encode_corpus,
    found_lines,
    learn_anew,
    learn_encoder,
    read_texts,
    split_texts,
)
from rhapsode.modalities.text.reading import prepare_texts, progress
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.views.candidates import elements_text

TOP = 20
COVERED = (50, 90, 95, 99, 100)
SHARES: tuple[SplitName, ...] = ("train", "validation", "test")
# Characters of a document that are shown.
MOST_SHOWN = 1_000_000
# Elements that a terminal shows.
FIRST = 400


def survey_texts(sources: Sequence[Any], settings: TrainSettings) -> Surveyed[TextCorpus]:
    """Describe documents, and encode them as training does; plain values.

    The text is read in pieces and never held in memory. Encoded parts are cached for training.

    Arguments:
        sources: files, folders, catalogue names.
        settings: as for training; `encoding`, `encoder`, `source` and `data` are used.

    Returns:
        sources: as given.
        documents, characters, bytes: of the decoded text, bytes in UTF-8.
        reading: `encodings` (files by encoding, where it is not UTF-8), `left_out` (files),
            `incomplete` (records), `undecodable` (bytes), `lines` (the same in words).
        warnings: sentences on what looks wrong.
        text: `distinct`, `kinds`, `scripts` (letters), `line_ends`, `odd`; counts.
        lengths: of `documents_in_characters`, `documents_in_elements` (without end-of-sequence) and
            `lines_in_characters` (not the empty ones): order statistics and a histogram.
        duplicates: `documents` that repeat an earlier one, their `characters` and `share` of all,
            `left_out` of the parts, an `example`.
        shares: of `train`, `validation` and `test`: documents, characters, elements, and `unknown`,
            the fraction of elements that are the unknown one; None in an empty part.
        vocabulary: of the encoding learnt on the training split and counted there, end-of-sequence
            left out: `encoding`, `reason`, `settings`, `size`, `seen`, `elements`, `top`,
            `coverage` (percent to number of elements, None where unknown elements are in the way),
            `once` (fraction of seen elements that are seen once), `zipf_exponent`, `curve`. None
            when there is too little text.

    Raises:
        DataError: nothing to read.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    if settings.encoding != "auto":
        ENCODERS.get(settings.encoding)
    texts = prepare_texts(sources, settings.source)
    store, noticed = texts.store, texts.found
    counts = TextCounts()
    counts.watch(progress(store.pieces(store.whole), "counting"))
    splits = split_texts(store, settings)
    first_D = first_copies(store.digests_DB)
    found: dict[str, Any] = {
        "sources": [source_name(source) for source in sources],
        "documents": len(store),
        "characters": store.characters,
        "bytes": int(store.byte_ends_D[-1]) if len(store) else 0,
        "reading": {
            "encodings": dict(Counter(noticed.encodings.values()).most_common()),
            "left_out": len(noticed.skipped),
            "incomplete": noticed.incomplete,
            "undecodable": noticed.undecodable,
            "lines": list(found_lines(texts, settings.source)),
        },
        "warnings": text_warnings(store, splits, settings.source),
        "text": counts.characters(),
        "lengths": {
            "documents_in_characters": lengths_summary(store.lengths_D),
            "documents_in_elements": None,
            "lines_in_characters": lengths_summary(counts.lines),
        },
        "duplicates": _duplicates(store, first_D, splits),
        "shares": {
            name: {
                "documents": len(np.unique(splits.part(name)[:, 0])),
                "characters": count_characters(splits.part(name)),
                "elements": None,
                "unknown": None,
            }
            for name in SHARES
        },
        "vocabulary": None,
    }
    if not len(splits.train) or store.characters < 2:
        return Surveyed(found, None, "too little text to learn from")
    encoder, reason = learn_encoder(store, splits.train, settings)
    corpus = encode_corpus(store, splits, encoder, reason, found["duplicates"]["documents"])
    for name in SHARES:
        encoded = corpus.part(name)
        elements = len(encoded) - int(encoded.counts_V[END_ID])
        unknown = int(encoded.counts_V[UNKNOWN_ID]) / elements if elements else None
        found["shares"][name] |= {"elements": elements, "unknown": unknown}
    found["lengths"]["documents_in_elements"] = lengths_summary(_elements(corpus, first_D))
    found["vocabulary"] = _vocabulary(encoder, reason, corpus.train)
    return Surveyed(found, corpus, encoding_reason=reason)


def _duplicates(store: TextStore, first_D: NDArray[np.int64], splits: Splits) -> dict[str, Any]:
    copies = np.flatnonzero(first_D != np.arange(len(store)))
    characters = int(store.lengths_D[copies].sum())
    example = None
    if len(copies):
        copy = int(copies[0])
        example = {"copy": store.names[copy], "of": store.names[int(first_D[copy])]}
    return {
        "documents": len(copies),
        "characters": characters,
        "share": characters / max(1, store.characters),
        "left_out": splits.left_out,
        "example": example,
    }


def _elements(corpus: TextCorpus, first_D: NDArray[np.int64]) -> NDArray[np.int64]:
    """Elements of each document, end-of-sequence not counted.

    Stores keep the beginnings of documents, not of later parts of a cut document. Elements that
    such parts have in common with a neighbour are divided in proportion to their characters. This
    concerns at most one cut for each part and slice.
    """
    lengths_D = corpus.texts.lengths_D
    elements_D = np.zeros(len(lengths_D))
    reached_D = np.zeros(len(lengths_D), dtype=bool)
    for name in SHARES:
        parts, encoded = corpus.splits.part(name), corpus.part(name)
        if not len(parts):
            continue
        opening_P = parts[:, 1] == 0
        opening_P[0] = True
        group_P = np.cumsum(opening_P) - 1
        sizes_P = (parts[:, 2] - parts[:, 1]).astype(np.float64)
        ends_P = parts[:, 2] == lengths_D[parts[:, 0]]
        held_G = np.diff(encoded.starts, append=len(encoded)).astype(np.float64)
        held_G -= np.bincount(group_P, weights=ends_P)
        all_G = np.maximum(1.0, np.bincount(group_P, weights=sizes_P))
        elements_P = held_G[group_P] * sizes_P / all_G[group_P]
        np.add.at(elements_D, parts[:, 0], elements_P)
        reached_D[parts[:, 0]] = True
    # A copy outside all parts is as long as the document it repeats.
    elements_D = np.where(reached_D, elements_D, elements_D[first_D])
    return np.round(elements_D).astype(np.int64)


def _vocabulary(encoder: Encoder, reason: str, train: ElementStore) -> dict[str, Any]:
    counts_V = train.counts_V[UNKNOWN_ID:].astype(np.int64)
    total = int(counts_V.sum())
    seen = counts_V[counts_V > 0]
    top = [int(place) for place in np.argsort(-counts_V, kind="stable")[:TOP] if counts_V[place]]
    covering = coverage(counts_V, [percent / 100 for percent in COVERED])
    return {
        "encoding": encoder.name,
        "reason": reason,
        "settings": dict(encoder.settings),
        "size": encoder.vocab_size,
        "seen": len(seen),
        "elements": total,
        "characters_per_element": round(train.characters / max(1, total), 4),
        "top": [
            {
                "id": place + UNKNOWN_ID,
                "element": encoder.label(place + UNKNOWN_ID),
                "count": int(counts_V[place]),
                "share": int(counts_V[place]) / total,
            }
            for place in top
        ],
        "coverage": {str(percent): n for percent, n in zip(COVERED, covering, strict=True)},
        "once": float(np.mean(seen == 1)) if len(seen) else 0.0,
        "zipf_exponent": zipf_exponent(counts_V),
        "curve": frequency_curve(counts_V),
    }


@dataclass(frozen=True, repr=False)
class TextSeen(IdsSeen):
    """One document and its elements.

    Arguments:
        mapping: plain values.
        number: of the document, from 0.
    """

    number: int

    def shown(self, width: int) -> Sequence[RenderableType]:
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


def show_text(sources: Sequence[Any], number: int, settings: TrainSettings) -> TextSeen:
    """One document of sources under an encoding learnt on all of them.

    Arguments:
        sources: files, folders, corpora.
        number: which document, from 0.
        settings: `encoding`, `encoder` and `source` are used.

    Raises:
        DataError: nothing to read, or fewer documents.
        SettingsError: an unknown encoding or setting.
    """
    store = read_texts(sources, settings.source)
    if not 0 <= number < len(store):
        raise DataError(
            f"there is no document {number}, they are numbered 0 to {len(store) - 1}",
            where=", ".join(map(source_name, sources)),
        )
    encoder, _ = learn_anew(store, store.whole, settings)
    length = int(store.lengths_D[number])
    beginning = np.array([[number, 0, min(length, MOST_SHOWN)]], dtype=np.int64)
    text = "".join(piece.text for piece in store.pieces(beginning))
    if len(text) < length:
        log.info(f"document {number} has {length:,} characters; the first {len(text):,} are shown")
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
