"""Corpora of pairs: an encoder for each side, and three encoded splits."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rhapsode.config import SourceSettings
from rhapsode.config.source import LINES
from rhapsode.data import (
    CATALOGUE,
    ElementStore,
    Parts,
    SourceStore,
    Splits,
    TextStore,
    first_copies,
    split_groups,
)
from rhapsode.encoding import ENCODERS, UNKNOWN_ID, Encoder
from rhapsode.encoding.text import choose_encoding
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.log import log
from rhapsode.modalities.text.corpus import TextCorpus, found_lines
from rhapsode.modalities.text.reading import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.views.figures import plural

Pair = tuple[str, str]
"""Input and output."""

# A side is taken for symbols between spaces if it has at most so many different ones, each about so
# often, of about so many characters, and so many in a text.
MOST_SYMBOLS, OFTEN, SHORT, SEVERAL = 1000, 10, 2.5, 2.0
# A word of several fields is a label if there is one for so many texts, and so many of it.
LABELS, FEWEST_TEXTS = 0.01, 10


def is_paired(sources: Sequence[Any], settings: TrainSettings) -> bool:
    """True if sources are read as pairs, by request or name."""
    if settings.source.pairs is not None:
        return True
    known = [isinstance(source, str) and source in CATALOGUE for source in sources]
    return bool(known) and all(known) and all(CATALOGUE[source].pairs for source in sources)


def with_pairs(settings: TrainSettings) -> TrainSettings:
    """The settings, saying that sources are pairs."""
    if settings.source.pairs is not None:
        return settings
    return replace(settings, source=replace(settings.source, pairs=LINES))


def pairs_of(texts: TextStore, parts: Parts) -> Iterator[Pair]:
    """Inputs and outputs of documents, which are joined by a line end."""
    for piece in texts.pieces(parts):
        if not piece.complete or not piece.opening or not piece.prompt:
            raise DataError("a pair is longer than a million characters", where=piece.name)
        yield piece.text[: piece.prompt - 1], piece.text[piece.prompt :]


def prepare_pairs(
    sources: Sequence[Any],
    settings: TrainSettings,
    *,
    encoders: tuple[Encoder, Encoder] | None = None,
) -> TextCorpus:
    """Read pairs, split them by their inputs, learn encoders, and encode.

    All outputs of one input are in the same split.

    Arguments:
        sources: files or names.
        settings: `encoding`, `encoder`, `pairs`, `source` and `data` are used.
        encoders: of inputs and outputs; None learns them on the training split.

    Raises:
        DataError: nothing to read, or too little.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    settings = with_pairs(settings)
    texts = prepare_texts(sources, settings.source)
    store = texts.store
    pairs = list(pairs_of(store, store.whole))
    splits = split_pairs(store, pairs, settings)
    train, validation, test = (
        [pairs[number] for number in part[:, 0].tolist()]
        for part in (splits.train, splits.validation, splits.test)
    )
    if not train:
        raise DataError(
            f"{plural(len(store), 'pair')}: too few to learn from",
            where=", ".join(map(source_name, sources)),
        )
    given, asked = encoders is not None, settings.pairs
    if encoders is None:
        inputs, outputs = zip(*train, strict=True)
        encoders = (
            learn_side(
                inputs,
                asked.source_encoding,
                asked.source_encoder,
                joined=has_joined_inputs(settings.source),
            ),
            learn_side(outputs, settings.encoding, settings.encoder),
        )
    source_encoder, encoder = encoders
    for line in found_lines(texts, settings.source):
        log.info(line)
    sides = [f"{each.vocab_size:,} {each.name.partition('.')[0]}" for each in encoders]
    log.info(f"{plural(len(store), 'pair')}; inputs of {sides[0]}, outputs of {sides[1]}")
    train_store, validation_store, test_store = (
        encode_pairs(part, encoder, source_encoder) for part in (train, validation, test)
    )
    copies = int(np.count_nonzero(first_copies(store.digests_DB) != np.arange(len(store))))
    return TextCorpus(
        encoder,
        train_store,
        validation_store,
        test_store,
        store.sha256,
        store.characters,
        len(store),
        copies,
        pairs=True,
        encoding_reason="of the base model" if given else "chosen for each side",
        texts=store,
        splits=splits,
        source_encoder=source_encoder,
    )


def split_pairs(store: TextStore, pairs: Sequence[Pair], settings: TrainSettings) -> Splits:
    """Split pairs by the hashes of their inputs.

    Arguments:
        store: the documents.
        pairs: their inputs and outputs.
        settings: shares of the splits, and what to do with duplicates.
    """
    digests = [
        hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()[:16] for source, _ in pairs
    ]
    digests_DB = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16)
    splits = split_groups(
        store.lengths_D,
        digests_DB,
        test_share=settings.data.test_share,
        validation_share=settings.data.validation_share,
    )
    if settings.data.duplicates == "keep":
        return splits
    first_D = first_copies(store.digests_DB)
    single_P = first_D[splits.train[:, 0]] == splits.train[:, 0]
    return replace(splits, train=splits.train[single_P], left_out=int((~single_P).sum()))


def has_joined_inputs(source: SourceSettings) -> bool:
    """True if inputs consist of several fields of a record."""
    return source.pairs is not None and "+" in source.pairs.partition(":")[0]


def learn_side(
    texts: Sequence[str], encoding: str, settings: Mapping[str, Any], *, joined: bool = False
) -> Encoder:
    """Learn the encoder of one side of pairs.

    Arguments:
        texts: of the training split.
        encoding: name; "auto" chooses symbols between spaces where they are few, else by the text.
        settings: of the encoding.
        joined: True if texts consist of several fields; "auto" then takes frequent words, such as
            features of a form, for elements, and spells the others.

    Raises:
        SettingsError: an unknown encoding or a setting it lacks.
    """
    if encoding == "auto":
        if are_symbols(texts):
            encoding, settings = "words", {"split": "whitespace", **settings}
        elif joined and (labels := labels_in(texts)):
            characters = len(set().union(*texts))
            most = UNKNOWN_ID + 1 + characters + len(labels)
            encoding, settings = "words", {"unknown": "spell", "max_vocabulary": most, **settings}
        else:
            encoding, _ = choose_encoding(texts)
    learner = ENCODERS.get(encoding)
    encoder: Encoder = learner.learn(iter(texts), settings)
    return encoder


def labels_in(texts: Sequence[str]) -> list[str]:
    """Frequent words of two and more characters, a space before them included."""
    least = max(FEWEST_TEXTS, math.ceil(LABELS * len(texts)))
    frequent: Encoder = ENCODERS.get("words").learn(iter(texts), {"min_count": least})
    return [word for word in frequent.vocabulary if len(word) > 1]


def are_symbols(texts: Iterable[str]) -> bool:
    """True if texts are few short symbols between spaces.

    Phonemes are an example.
    """
    counts: Counter[str] = Counter()
    total = 0
    for text in texts:
        counts.update(text.split())
        total += 1
        if len(counts) > MOST_SYMBOLS:
            return False
    symbols = counts.total()
    characters = sum(len(symbol) * count for symbol, count in counts.items())
    often = symbols >= OFTEN * len(counts)
    return bool(often and symbols >= SEVERAL * total and characters <= SHORT * symbols)


def encode_pairs(pairs: Sequence[Pair], encoder: Encoder, source_encoder: Encoder) -> ElementStore:
    """Encode pairs: outputs as documents, inputs as their sources.

    Arguments:
        pairs: inputs and outputs.
        encoder: of the outputs.
        source_encoder: of the inputs.
    """
    outputs = [output for _, output in pairs]
    encoded = list(encoder.encode_all(outputs))
    store = ElementStore.of(encoded, sum(map(len, outputs)), encoder.vocab_size)
    return replace(
        store,
        bytes=sum(len(output.encode("utf-8", "surrogatepass")) for output in outputs),
        unknown=int(store.counts_V[UNKNOWN_ID]),
        sources=SourceStore.of(list(source_encoder.encode_all(source for source, _ in pairs))),
    )
