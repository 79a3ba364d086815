"""Corpora of text: an encoder, and three encoded splits."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode import __version__
from rhapsode.config import SourceSettings
from rhapsode.data import (
    ElementStore,
    Parts,
    Splits,
    TextStore,
    cache_folder,
    first_copies,
    split_documents,
    write_store,
)
from rhapsode.encoding import ENCODERS, UNKNOWN_ID, Encoder, encoder_from_mapping
from rhapsode.encoding.text import choose_encoding
from rhapsode.errors import DataError, EncodingError, RhapsodeError, SettingsError
from rhapsode.files import is_there, source_name, write_atomically
from rhapsode.log import log
from rhapsode.modalities.ids.contract import IdCorpus
from rhapsode.modalities.text.checks import list_note
from rhapsode.modalities.text.reading import (
    Texts,
    counted,
    encoded,
    piece_size,
    prepare_texts,
    progress,
    release,
)
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.views.figures import plural

# Fraction of unknown text above which nothing can be learnt from it.
MOST_UNKNOWN = 0.5
NAMED = 8
# Characters in which unknown pieces are counted by name.
LOOKED_AT = 1 << 21
_FATE = {"keep": "kept; --boilerplate drop leaves them out", "drop": "left out"}
# Largest number of documents for which the position of the test split is logged.
FEW = 50


@dataclass(frozen=True)
class TextCorpus(IdCorpus):
    """A corpus of texts ready to learn from.

    Arguments:
        encoding_reason: why this encoding.
        texts: the documents themselves.
        splits: their parts.
        source_encoder: of the inputs of pairs; None without pairs.
    """

    encoding_reason: str
    texts: TextStore
    splits: Splits
    source_encoder: Encoder | None = None


def prepare_corpus(
    sources: Sequence[Any], settings: TrainSettings, *, encoder: Encoder | None = None
) -> TextCorpus:
    """Read, split, learn an encoder on the training split, and encode.

    Arguments:
        sources: files, folders, catalogue names.
        settings: `encoding`, `encoder`, `source` and `data` are used.
        encoder: use this one instead of learning one.

    Raises:
        DataError: nothing to read, or too little.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    if settings.encoding != "auto":
        _check_encoding(settings.encoding)
    texts = prepare_texts(sources, settings.source)
    store, splits = texts.store, split_texts(texts.store, settings)
    if not len(splits.train) or store.characters < 2:
        raise DataError(
            f"{plural(store.characters, 'character')} of text: too little to learn from",
            where=", ".join(map(source_name, sources)),
        )
    reason = "as requested"
    if encoder is None:
        encoder, reason = learn_encoder(store, splits.train, settings)
    copies = int(np.count_nonzero(first_copies(store.digests_DB) != np.arange(len(store))))
    learnt = f"{encoder.name.partition('.')[0]}: {encoder.vocab_size:,} elements ({reason})"
    for line in _said(texts, settings.source, copies, splits, learnt):
        log.info(line)
    corpus = encode_corpus(store, splits, encoder, reason, copies)
    release()
    return corpus


def encode_corpus(
    store: TextStore, splits: Splits, encoder: Encoder, reason: str, copies: int
) -> TextCorpus:
    """Encode the splits of a corpus.

    Arguments:
        store: the documents.
        splits: their parts.
        encoder: of all parts.
        reason: why this encoder.
        copies: documents that repeat an earlier one.

    Raises:
        DataError: the cache folder cannot be written.
    """
    train, validation, test = (
        encode_parts(store, parts, encoder)
        for parts in (splits.train, splits.validation, splits.test)
    )
    return TextCorpus(
        encoder,
        train,
        validation,
        test,
        store.sha256,
        store.characters,
        len(store),
        copies,
        store.pairs,
        reason,
        store,
        splits,
    )


def split_texts(store: TextStore, settings: TrainSettings) -> Splits:
    """Split a corpus into three splits by the settings of `[data]`."""
    return split_documents(
        store.lengths_D,
        store.digests_DB,
        test_share=settings.data.test_share,
        validation_share=settings.data.validation_share,
        by=settings.data.split,
        duplicates=settings.data.duplicates,
    )


def _said(
    texts: Texts, source: SourceSettings, copies: int, splits: Splits, learnt: str
) -> Iterator[str]:
    store = texts.store
    yield f"{plural(len(store), 'document')}, {store.characters:,} characters; {learnt}"
    yield from found_lines(texts, source)
    if advice := list_note(store, source):
        yield advice
    tested = np.unique(splits.test[:, 0])
    if 1 < len(store) <= FEW and len(tested) == 1:
        yield f"the test split is the end of {store.names[int(tested[0])]}"
    if copies:
        out = f"; {splits.left_out:,} left out" if splits.left_out else ""
        told = f"{plural(copies, 'duplicate document')}{out}"
        yield f"{told}; no document is in more than one part"


def found_lines(texts: Texts, settings: SourceSettings) -> Iterator[str]:
    """Notes on reading, a line each."""
    found = texts.found
    for name, codec in list(found.encodings.items())[:3]:
        yield f"{name}: read as {codec}"
    if len(found.encodings) > 3:
        yield f"and {len(found.encodings) - 3:,} more files that are not UTF-8"
    if found.formats:
        formats = (f"{count:,} {name}" for name, count in found.formats.items())
        left = ", ".join(plural(count, name) for name, count in found.left_out.items())
        yield f"text taken out of {', '.join(formats)}" + (f"; left out: {left}" if left else "")
    for name, count in found.boilerplate.items():
        yield f"{name}: {count:,} characters {_FATE[settings.boilerplate]}"
    yield from found.notes[:5]
    if found.skipped:
        yield f"{plural(len(found.skipped), 'file')} left out, the first: {found.skipped[0]}"
    if found.incomplete:
        yield f"{plural(found.incomplete, 'record')} left out because a field is missing"


def read_texts(sources: Sequence[Any], settings: SourceSettings) -> TextStore:
    """Read the documents of sources, and log notes on them.

    Raises:
        DataError: the sources cannot be read.
    """
    texts = prepare_texts(sources, settings)
    for line in found_lines(texts, settings):
        log.info(line)
    return texts.store


def learn_encoder(store: TextStore, train: Parts, settings: TrainSettings) -> tuple[Encoder, str]:
    """Learn an encoder, or load it from the cache; with the reason.

    Raises:
        SettingsError: an unknown encoding or a setting it lacks.
    """
    told = json.dumps([__version__, settings.encoding, dict(settings.encoder)], default=str)
    kept = cache_folder() / "encoders" / f"{_key(store, train, told)}.json"
    # A file named in the settings may have changed.
    lasting = not any(name in settings.encoder for name in ("file", "user_dictionary"))
    if lasting and is_there(kept):
        try:
            known = json.loads(kept.read_text(encoding="utf-8"))
            return encoder_from_mapping(known["encoder"]), str(known["reason"])
        except (OSError, ValueError, TypeError, KeyError, RhapsodeError):
            pass  # learn anew
    encoder, reason = learn_anew(store, train, settings)
    if lasting:
        kept.parent.mkdir(parents=True, exist_ok=True)
        known = {"encoder": encoder.to_mapping(), "reason": reason}
        write_atomically(kept, json.dumps(known).encode())
    return encoder, reason


def _check_encoding(name: str) -> None:
    """Pass for an encoding of text.

    Raises:
        SettingsError: there is none of this name, or it encodes something else.
    """
    documents = ENCODERS.get(name).documents
    if documents == "text":
        return
    others = [other for other in ENCODERS.names() if ENCODERS.get(other).documents == "text"]
    fitting = ", ".join(other.partition(".")[0] for other in others)
    raise SettingsError(
        f"{name} encodes {documents}, and the sources are text",
        where="--encoding",
        hint=f"use auto, or one of {fitting}",
    )


def learn_anew(store: TextStore, parts: Parts, settings: TrainSettings) -> tuple[Encoder, str]:
    """Learn an encoder on some parts; with the reason for the encoding.

    Raises:
        SettingsError: an unknown encoding or a setting it lacks.
    """
    name, reason = settings.encoding, "as requested"
    if name == "auto":
        texts = (piece.text for piece in store.pieces(parts))
        name, reason = choose_encoding(texts, characters=count_characters(parts))
    learner = ENCODERS.get(name)
    pieces = progress(store.pieces(parts, piece_size(learner)), "learning the encoding")
    return counted(learner, pieces, settings.encoder, store.characters), reason


def encode_parts(store: TextStore, parts: Parts, encoder: Encoder) -> ElementStore:
    """Encode some parts, or load their element store from the cache.

    Raises:
        DataError: the cache folder cannot be written.
    """
    return write_store(
        cache_folder() / "stores" / _key(store, parts, encoder.fingerprint),
        progress(store.pieces(parts, piece_size(type(encoder))), "encoding"),
        encoder.encode,
        vocab_size=encoder.vocab_size,
        unknown_id=UNKNOWN_ID,
        each=encoded(encoder, count_characters(parts)),
    )


def _key(store: TextStore, parts: Parts, more: str) -> str:
    told = store.sha256.encode() + np.ascontiguousarray(parts).tobytes() + more.encode()
    return hashlib.sha256(told).hexdigest()[:32]


def count_characters(parts: Parts) -> int:
    """Characters of some parts of documents."""
    return int((parts[:, 2] - parts[:, 1]).sum())


def unknown_lines(corpus: TextCorpus) -> Iterator[str]:
    """Describe pieces of a new text that the encoder does not know.

    Raises:
        EncodingError: most of the text is unknown.
    """
    shares = (corpus.train, corpus.validation, corpus.test)
    total, unknown = sum(map(len, shares)), sum(share.unknown for share in shares)
    if not unknown:
        return
    counts = _unknown_pieces(corpus.texts, corpus.encoder)
    named = ", ".join(f"{piece!r} {count:,}" for piece, count in counts.most_common(NAMED))
    rest = len(counts) - NAMED
    more = f" and {rest:,} others" if rest > 0 else ""
    share = unknown / total
    if share > MOST_UNKNOWN:
        raise EncodingError(
            f"{share:.0%} of the text is unknown to the model ({named}{more})",
            where="--from",
            hint="train a new model on it, without --from",
        )
    yield (
        f"{unknown:,} of {total:,} elements ({share:.2%}) are unknown to the model and read as its "
        f"unknown element, which it never writes: {named}{more}"
    )


def _unknown_pieces(texts: TextStore, encoder: Encoder) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen = 0
    for piece in texts.pieces(texts.whole):
        counts.update(encoder.unknown_pieces(piece.text))
        seen += len(piece.text)
        if seen >= LOOKED_AT:
            break
    return counts
