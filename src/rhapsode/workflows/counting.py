"""The sidecars of a run folder: what counting alone knows of its training share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.data import ElementStore
from rhapsode.encoding import END_ID
from rhapsode.errors import BundleError, DataError

if TYPE_CHECKING:  # counting loads a compiler: late, and only where it is asked for
    from rhapsode.counts import NGramModel

__all__ = ["NGRAM", "Counted", "learn_ngram", "open_ngram"]

NGRAM = "ngram.safetensors"
MOST_COUNTED = 20_000_000
"""Elements of the training share that are counted; of more, these first ones."""
MOST_ORDER = 6


@dataclass(frozen=True)
class Counted:
    """The best n-gram model of a training share.

    Arguments:
        model: order and smoothing chosen on the validation slice.
        loss: nats per element of that slice.
        seconds: what counting and choosing took.
    """

    model: NGramModel
    loss: float
    seconds: float


def learn_ngram(
    train: ElementStore, validation: ElementStore, vocab_size: int, *, fresh: bool
) -> Counted | None:
    """The best n-gram model up to order 6, its order and smoothing chosen on the validation slice.

    Arguments:
        train: what is counted, up to 20 million elements.
        validation: what chooses.
        vocab_size: V.
        fresh: whether documents are read without those before them.

    Returns:
        None where there is nothing to count, or nothing to choose by.
    """
    if not len(validation) or not len(train):
        return None
    began = time.monotonic()
    from rhapsode.counts import best_ngram

    counted = min(len(train), MOST_COUNTED)
    starts = train.starts[train.starts < counted]
    try:
        model, tried = best_ngram(
            np.asarray(train.elements_N[:counted]),
            np.asarray(validation.elements_N),
            vocab_size,
            most_order=MOST_ORDER,
            starts=starts if fresh else None,
            opening=END_ID if fresh else None,
            validation_starts=validation.starts if fresh else None,
        )
    except DataError:
        return None
    return Counted(model, min(one.loss for one in tried), time.monotonic() - began)


def open_ngram(model: Path, vocab_size: int, tell: Callable[[str], None]) -> NGramModel | None:
    """The n-gram model beside a model file; None where there is none that fits.

    Arguments:
        model: the model file.
        vocab_size: V.
        tell: takes a line where a sidecar cannot be used.
    """
    path = model.parent / NGRAM
    if not path.exists():
        return None
    from rhapsode.counts import NGramModel

    try:
        ngram = NGramModel.load(path)
    except BundleError as problem:
        tell(f"warning: {problem}")
        return None
    if ngram.vocab_size != vocab_size:
        tell(f"warning: {path} counts {ngram.vocab_size:,} elements, the model has {vocab_size:,}")
        return None
    return ngram
