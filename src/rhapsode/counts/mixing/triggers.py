"""Words that begin documents and make others likelier.

Trigger pairs: Lau, Rosenfeld and Roukos, "Trigger-based language models: a maximum entropy
approach", ICASSP 1993.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

# Compiled into the cached code of this module: when it changes, this file must change, too.
from rhapsode.counts.mixing.ngram_evidence import BEGINNING, MOST_TRIGGERED, SAID, UNKNOWN

# Documents that a pair must occur in, and the largest share of all documents that a trigger may
# begin: what begins most of them says little.
LEAST, MOST_SHARE = 3, 0.2
# Documents added to observed and expected ones, the least evidence in nats, and by how many
# standard deviations more documents must have a pair than chance would give.
ADDED, LEAST_EVIDENCE, LEAST_DEVIATIONS = 2.0, 0.2, 2.5
# Evidence is stored in hundredths of a nat.
PARTS = 100


@compiled
def read_documents(
    ids_N: Any, starts_N: Any, letter_V: Any, form_DB: Any, first_D: Any, later_J: Any
) -> None:
    """Write the words that begin documents, and the elements after them.

    A form that has occurred before in the beginning is -1.
    """
    last_V = np.full(len(letter_V), -1, np.int64)
    n = 0
    for d in range(len(starts_N)):
        first_D[d] = n
        end = starts_N[d + 1] if d + 1 < len(starts_N) else len(ids_N)
        known = 0
        for t in range(starts_N[d], end):
            element = ids_N[t]
            if element <= UNKNOWN:
                continue
            if known < BEGINNING:
                form = SAID - letter_V[element]
                form_DB[d, known] = form
                for b in range(known):
                    if form_DB[d, b] == form:
                        form_DB[d, known] = -1
                        break
                known += 1
            elif last_V[element] != d:
                last_V[element] = d
                later_J[n] = element
                n += 1
    first_D[len(starts_N)] = n


@compiled
def find_triggered(
    form_F: Any, first_F: Any, document_P: Any, first_D: Any, later_J: Any, share_V: Any,
    size_F: Any, element_K: Any, evidence_K: Any,
) -> int:  # fmt: skip
    """Write the elements that each form triggers, and the evidence for them.

    Returns their number. `share_V` is the share of documents that have an element late.
    """
    vocab = len(share_V)
    count_V, touched_V = np.zeros(vocab, np.int64), np.empty(vocab, np.int64)
    deviation_V, found_V = np.empty(vocab), np.empty(vocab, np.int64)
    n = 0
    for f in range(len(form_F)):
        documents = first_F[f + 1] - first_F[f]
        touched = found = 0
        for p in range(first_F[f], first_F[f + 1]):
            d = document_P[p]
            for j in range(first_D[d], first_D[d + 1]):
                element = later_J[j]
                if count_V[element] == 0:
                    touched_V[touched] = element
                    touched += 1
                count_V[element] += 1
        for k in range(touched):
            element = touched_V[k]
            expected = documents * share_V[element]
            deviation = (count_V[element] - expected) / math.sqrt(expected + 1)
            ratio = (count_V[element] + ADDED) / (expected + ADDED)
            if (
                count_V[element] >= LEAST
                and deviation >= LEAST_DEVIATIONS
                and math.log(ratio) >= LEAST_EVIDENCE
            ):
                found_V[found], deviation_V[found] = element, -deviation
                found += 1
        order_K = np.argsort(deviation_V[:found])[:MOST_TRIGGERED]
        chosen_K = np.sort(found_V[order_K])
        for k in range(len(chosen_K)):
            expected = documents * share_V[chosen_K[k]]
            element_K[n] = chosen_K[k]
            evidence = math.log((count_V[chosen_K[k]] + ADDED) / (expected + ADDED))
            evidence_K[n] = math.floor(PARTS * evidence + 0.5)
            n += 1
        size_F[f] = len(chosen_K)
        for k in range(touched):
            count_V[touched_V[k]] = 0
    return n


def learn_triggers(
    ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64]
) -> tuple[NDArray[np.int32], ...]:
    """Find words that begin documents, and what they make likelier.

    Arguments:
        ids_N: a corpus.
        starts_N: where documents begin.
        letter_V: as in `WordContexts`, of words.

    Returns:
        The words, by their most frequent form; the number of elements of each; these elements,
        ascending for each word; and the evidence for them, in hundredths of a nat.
    """
    form_DB = np.full((len(starts_N), BEGINNING), -1, np.int32)
    first_D = np.zeros(len(starts_N) + 1, np.int64)
    later_N = np.empty(len(ids_N), np.int32)
    read_documents(ids_N, starts_N, letter_V, form_DB, first_D, later_N)
    form_DB[np.diff(first_D) == 0] = -1
    documents = max(1, int(np.count_nonzero(np.diff(first_D))))
    share_V = np.bincount(later_N[: first_D[-1]], minlength=len(letter_V)) / documents
    document_P, place_P = np.nonzero(form_DB >= 0)
    form_P = form_DB[document_P, place_P]
    often_V = np.bincount(form_P, minlength=len(letter_V))
    kept_V = (often_V >= LEAST) & (often_V <= MOST_SHARE * documents)
    kept_P = kept_V[form_P]
    order_P = np.argsort(form_P[kept_P], kind="stable")
    document_P = document_P[kept_P][order_P]
    form_F = np.flatnonzero(kept_V).astype(np.int32)
    first_F = np.append(0, np.cumsum(often_V[form_F]))
    # Every pair occurs in several documents.
    most = int(np.diff(first_D)[document_P].sum()) // LEAST
    size_F = np.zeros(len(form_F), np.int32)
    element_K, evidence_K = np.empty((2, min(most, len(form_F) * MOST_TRIGGERED)), np.int32)
    find: Any = find_triggered
    found = find(
        form_F, first_F, document_P, first_D, later_N, share_V, size_F, element_K, evidence_K
    )
    kept_F = size_F > 0
    return form_F[kept_F], size_F[kept_F], element_K[:found], evidence_K[:found]
