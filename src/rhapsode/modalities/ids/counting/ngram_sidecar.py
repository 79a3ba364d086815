"""N-gram counts of a model, in its file or in a sidecar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdFacts, NGramPart
from rhapsode.bundle import element_facts as id_facts
from rhapsode.encoding import END_ID
from rhapsode.errors import BundleError, DataError

if TYPE_CHECKING:  # counting loads a compiler, late and only on request
    from rhapsode.counts import NGramModel
    from rhapsode.modalities.ids.contract import IdCorpus


T = TypeVar("T")

NGRAM = "ngram.safetensors"
# Maximum number of elements of the training split that are counted, from its beginning.
MOST_COUNTED = 20_000_000


@dataclass(frozen=True)
class Counted:
    """The best n-gram model of a training split.

    Arguments:
        model: order and smoothing chosen on the validation slice.
        loss: nats per element of that slice.
        seconds: duration of counting and choosing.
    """

    model: NGramModel
    loss: float
    seconds: float


def count_corpus(corpus: IdCorpus, facts: type[IdFacts], *, fresh: bool) -> Counted | None:
    """Choose the best n-gram model by validation loss.

    Arguments:
        corpus: elements of its training split are counted, up to 20 million.
        facts: of its modality: grammar, over which the loss is normalised, and letters.
        fresh: True if every document is read without the previous ones.

    Returns:
        None if there is nothing to count, or no validation data.
    """
    train, validation, encoder = corpus.train, corpus.validation, corpus.encoder
    if not len(validation) or not len(train):
        return None
    began = time.monotonic()
    from rhapsode.counts import best_ngram
    from rhapsode.evaluation.model_metrics import grammatical_loss

    counted = min(len(train), MOST_COUNTED)
    starts = train.starts[train.starts < counted]
    try:
        model, tried = best_ngram(
            np.asarray(train.elements_N[:counted]),
            np.asarray(validation.elements_N),
            encoder.vocab_size,
            letter_V=facts.letters(encoder),
            starts=starts if fresh else None,
            opening=END_ID if fresh else None,
            validation_starts=validation.starts if fresh else None,
        )
    except DataError:
        return None
    loss = min(one.loss for one in tried)
    grammar = facts.grammar(encoder)
    if grammar is not None:
        loss = grammatical_loss(validation, model, grammar, fresh=fresh)
    return Counted(model, loss, time.monotonic() - began)


def ngram_part(model: NGramModel) -> NGramPart | None:
    """Entry of the counts in the model file; None if too large."""
    part = NGramPart(*model.to_arrays())
    return part if part.size <= id_facts.MOST_INSIDE else None


def inner_ngram(facts: IdFacts) -> NGramModel:
    """The n-gram model inside a model file.

    Raises:
        BundleError: its counts do not fit together, or are those of another text.
    """
    from rhapsode.counts import NGramModel

    assert facts.ngram is not None
    ngram = NGramModel.from_arrays(facts.ngram.numbers, facts.ngram.arrays)
    if not _same_text(ngram, facts.counts_V):
        raise BundleError("its n-gram counts are from another text")
    return ngram


def _same_text(ngram: NGramModel, counts_V: NDArray[np.int64]) -> bool:
    counted_V = ngram.trie.occurrences_V
    return (
        len(counted_V) == len(counts_V)
        and int(counted_V.sum()) == min(int(counts_V.sum()), MOST_COUNTED)
        and bool((counted_V <= counts_V).all())
    )


def open_ngram(model: Path, counts_V: NDArray[np.int64]) -> NGramModel | str:
    """The n-gram model of a sidecar, or a reason for its absence.

    Arguments:
        model: the model file.
        counts_V: counts of each element in the training data, which identify the sidecar of the
            model.
    """

    def load(path: Path) -> NGramModel:
        from rhapsode.counts import NGramModel

        return NGramModel.load(path)

    return open_sidecar(
        model.parent / NGRAM, load, lambda ngram: _same_text(ngram, counts_V), "counts"
    )


def open_sidecar(
    path: Path, load: Callable[[Path], T], is_own: Callable[[T], bool], verb: str
) -> T | str:
    """Read a sidecar file, or explain why it cannot be used.

    Arguments:
        path: of the sidecar.
        load: reads it.
        is_own: True if it was made from the training text of the model.
        verb: what it does with a text, for messages.
    """
    if not path.exists():
        return f"there is no {path.name} beside the model"
    try:
        sidecar = load(path)
    except BundleError as problem:
        return f"{path.name} cannot be used: {problem.what}"
    if is_own(sidecar):
        return sidecar
    return f"{path.name} {verb} another text than the one this model learnt from"
