"""Log-probabilities of the elements of a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.data import Batch
from rhapsode.encoding import END_ID
from rhapsode.serving.states.snapshots import log_probs_of
from rhapsode.serving.writing.choice_text import Entry
from rhapsode.serving.writing.work import Scored, Work

# Elements whose distributions are computed at once.
PART = 2048


def prompt_entries(work: Work, predictor: Predictor) -> list[Entry]:
    """Entries of the elements of a prompt.

    The first one has no log-probability.

    Arguments:
        work: of the prompt, over ids.
        predictor: the model.
    """
    assert work.top is not None
    ids_N = np.asarray(work.elements, dtype=np.int64)
    fragments = work.prompt.fragments((), replace(work.settings, stop=(), min_length=0))
    entries: list[Entry] = [Entry(END_ID, None, 0)] if work.after_end else []
    offset = 0
    for place, log_prob_V in enumerate(_distributions(work, predictor, ids_N)):
        if work.cancelled:
            break
        element = int(ids_N[place])
        text = fragments.feed(element)
        scored = None if not entries else Scored.of(log_prob_V, element, work.top)
        entries.append(Entry(element, scored, offset, text))
        offset += len(text)
    return entries


def _distributions(
    work: Work, predictor: Predictor, ids_N: NDArray[np.int64]
) -> Iterator[NDArray[Any]]:
    """Log-probabilities (V,) before each element."""
    if predictor.window and len(ids_N) > predictor.window:
        yield from log_probs_of(predictor, work.prompt, ids_N)
        return
    state, waiting = work.prompt.start(predictor)
    inputs_N = np.append(np.array(waiting, dtype=np.int64), ids_N)[: len(ids_N)]
    for first in range(0, len(ids_N), PART):
        part = slice(first, first + PART)
        inputs_1T, targets_1T = inputs_N[None, part], ids_N[None, part]
        batch = Batch(inputs_1T, targets_1T, np.ones(targets_1T.shape, dtype=np.float32))
        # The numbers of an evaluation, which are rounded otherwise than a whole distribution.
        own_1T, _ = predictor.score(batch, state)
        parts, state = predictor.distributions(batch, state)
        place = 0
        for log_prob_1TV in parts:
            for log_prob_V in log_prob_1TV[0]:
                exact_V = log_prob_V.copy()
                exact_V[targets_1T[0, place]] = own_1T[0, place]
                place += 1
                yield exact_V
